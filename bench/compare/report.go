package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
)

// report is everything that a run found.
type report struct {
	Date       string      `json:"date"`
	Machine    string      `json:"machine"`
	Versions   string      `json:"versions"`
	Documents  int         `json:"documents"`
	Rounds     int         `json:"rounds"`
	Seconds    float64     `json:"seconds"`
	Flush      float64     `json:"flushMillis"` // see figure.Flush
	Rows       []reportRow `json:"rows"`
	Bounds     []bound     `json:"bounds"`
	idle, peak int64
	start      time.Duration
}

type reportRow struct {
	Row         string       `json:"row"`
	What        string       `json:"what"`
	Connections int          `json:"connections"`
	Sides       []reportSide `json:"sides"`
	Ratios      []ratio      `json:"ratios"`
}

// reportSide holds medians of the rounds, but for Peak and Foreign, which are the worst.
type reportSide struct {
	Side    sideName `json:"side"`
	Rate    float64  `json:"reqPerSecond,omitempty"`
	P50     float64  `json:"p50Millis,omitempty"`
	P99     float64  `json:"p99Millis,omitempty"`
	CPU     float64  `json:"cpuMicros,omitempty"`
	Ready   float64  `json:"startMillis,omitempty"`
	Idle    float64  `json:"rssAnonIdleMiB"`
	Peak    float64  `json:"rssAnonPeakMiB,omitempty"`
	Foreign float64  `json:"foreignPercent"`
}

// ratio is one of the row's first side to another: the median of the ratios of slices that were taken one after the other.
type ratio struct {
	Of      measure  `json:"of"`
	To      sideName `json:"to"`
	Ratio   float64  `json:"ratio"`
	Target  float64  `json:"target,omitempty"`
	Reached *bool    `json:"reached,omitempty"`
}

// bound is a figure of the node alone that should not be exceeded.
type bound struct {
	What    string  `json:"what"`
	Value   float64 `json:"value"`
	Most    float64 `json:"most"`
	Unit    string  `json:"unit"`
	Reached bool    `json:"reached"`
}

func newReport(opt *options, commit string) *report {
	return &report{
		Date:     time.Now().UTC().Format("2006-01-02"),
		Machine:  figure.Machine(),
		Versions: fmt.Sprintf("sluice %s, PocketBase %s, %s", commit, pocketbaseVersion, goruntime.Version()),
		Rounds:   opt.rounds, Documents: opt.documents, Seconds: opt.seconds,
	}
}

func (r *report) add(m *measured) {
	out := reportRow{Row: m.row.name, What: m.row.what, Connections: m.row.connections}
	for _, name := range m.row.sides {
		s := summary(name, m.slices[name])
		s.Idle = figure.MiB(m.idle[name])
		out.Sides = append(out.Sides, s)
		if name == sluice {
			r.idle = max(r.idle, m.idle[name])
		}
		if !name.isPeer() && name != bareServer {
			for _, slice := range m.slices[name] {
				r.peak = max(r.peak, slice.Peak)
			}
		}
	}
	first := m.slices[m.row.sides[0]]
	for _, t := range m.row.targets {
		q := ratio{Of: t.of, To: t.to, Target: t.least}
		var each []float64
		for i, other := range m.slices[t.to] {
			each = append(each, t.of.ratio(&first[i], &other))
		}
		if q.Ratio = figure.Median(each); t.least > 0 {
			reached := q.Ratio >= t.least
			q.Reached = &reached
		}
		out.Ratios = append(out.Ratios, q)
	}
	if m.row.kind == kindStart {
		var each []time.Duration
		for _, s := range first {
			each = append(each, s.ready)
		}
		r.start = figure.Median(each)
	}
	r.Rows = append(r.Rows, out)
}

// finish judges what concerns the node as a whole.
func (r *report) finish() {
	add := func(what string, value, most float64, unit string) {
		if value > 0 {
			r.Bounds = append(r.Bounds, bound{what, value, most, unit, value <= most})
		}
	}
	add("start after a clean stop", figure.Millis(r.start), mostStartMillis, "ms")
	add("anonymous memory, idle", figure.MiB(r.idle), figure.MiB(mostIdle), "MiB")
	add("anonymous memory, most under any row", figure.MiB(r.peak), figure.MiB(mostUnderLoad), "MiB")
}

// ratio is above 1 when a is better.
func (m measure) ratio(a, b *slice) float64 {
	switch m {
	case rate:
		return figure.Ratio(a.Rate, b.Rate)
	case cpu:
		return figure.Ratio(b.CPU, a.CPU)
	case p99:
		return figure.Ratio(b.P99, a.P99)
	default:
		return figure.Ratio(b.ready, a.ready)
	}
}

func summary(name sideName, slices []slice) reportSide {
	out := reportSide{Side: name}
	var rates []float64
	var p50s, p99s, cpus, readies []time.Duration
	for _, s := range slices {
		rates, p50s, p99s = append(rates, s.Rate), append(p50s, s.P50), append(p99s, s.P99)
		cpus, readies = append(cpus, s.CPU), append(readies, s.ready)
		out.Peak = max(out.Peak, figure.MiB(s.Peak))
		out.Foreign = max(out.Foreign, 100*s.Foreign)
	}
	out.Rate, out.CPU = figure.Median(rates), 1000*figure.Millis(figure.Median(cpus))
	out.P50, out.P99, out.Ready = figure.Millis(figure.Median(p50s)), figure.Millis(figure.Median(p99s)), figure.Millis(figure.Median(readies))
	return out
}

// countTitles counts the documents in an answer, whatever is around them.
func countTitles(body []byte) int { return bytes.Count(body, []byte(`"title":`)) }

func (r *report) writeJSON(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%s · %s\n%s\n%d documents of 500 bytes, medians of %d rounds of %g s; the disk makes 4 KiB durable in %.2f ms\n\n",
		r.Date, r.Machine, r.Versions, r.Documents, r.Rounds, r.Seconds, r.Flush)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "ROW\tCONNS\tSIDE\tREQ/S\tP50 ms\tP99 ms\tCPU us/req\tSTART ms\tRSSANON MiB\tFOREIGN %\tRATIO\tTARGET\tREACHED\t\n")
	for _, row := range r.Rows {
		for i, s := range row.Sides {
			name, conns := row.Row, fmt.Sprint(row.Connections)
			if i > 0 {
				name, conns = "", ""
			}
			memory := s.Peak
			if memory == 0 {
				memory = s.Idle
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\t%s\n", name, conns, s.Side,
				figure.Text(s.Rate), figure.Text(s.P50), figure.Text(s.P99), figure.Text(s.CPU), figure.Text(s.Ready), memory, s.Foreign, row.verdict(s.Side, rate, ready))
			for _, of := range []measure{cpu, p99} {
				if v := row.verdict(s.Side, of); v != none {
					fmt.Fprintf(t, "\t\t%s\t\t\t\t\t\t\t\t%s\n", of, v)
				}
			}
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Bounds) > 0 {
		fmt.Fprintln(w)
	}
	for _, b := range r.Bounds {
		fmt.Fprintf(w, "%s: %.1f %s (at most %.0f: %s)\n", b.What, b.Value, b.Unit, b.Most, figure.YesNo(b.Reached))
	}
	return nil
}

const none = "\t\t\t"

// verdict is the row's ratio to a side, in three columns.
func (r *reportRow) verdict(to sideName, of ...measure) string {
	for _, q := range r.Ratios {
		if q.To != to || !slices.Contains(of, q.Of) {
			continue
		}
		if q.Reached == nil {
			return fmt.Sprintf("%.2f\t\t\t", q.Ratio)
		}
		return fmt.Sprintf("%.2f\t%g\t%s\t", q.Ratio, q.Target, figure.YesNo(*q.Reached))
	}
	return none
}
