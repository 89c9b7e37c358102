package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
)

// report is everything that a run found.
type report struct {
	Date     string `json:"date"`
	Machine  string `json:"machine"`
	Versions string `json:"versions"`
	Rounds   int    `json:"rounds"`
	Slice    string `json:"slice"`
	Load     string `json:"load"`
	Event    int    `json:"eventBytes"`
	Sides    []side `json:"sides"`
}

// side holds medians of the rounds, but for Foreign, which is the worst.
type side struct {
	Row      string  `json:"row"`
	Name     string  `json:"side"`
	What     string  `json:"what"`
	Call     float64 `json:"micros,omitempty"`
	CPU      float64 `json:"cpuMicros"`
	Allocs   float64 `json:"allocs"`
	Rate     float64 `json:"reqPerSecond,omitempty"`
	Isolated bool    `json:"isolated"`
	Limited  bool    `json:"limited"`
	Foreign  float64 `json:"foreignPercent"`
	Ratio    float64 `json:"ratio,omitempty"`
	Target   float64 `json:"target,omitempty"`
	Reached  *bool   `json:"reached,omitempty"`
}

func newReport(opt *options) *report {
	versions := []string{goruntime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			switch dep.Path {
			case "github.com/tetratelabs/wazero", "github.com/extism/go-sdk", "github.com/dop251/goja", "github.com/open-policy-agent/opa", "cel.dev/cel-go", "github.com/valyala/fasthttp":
				versions = append(versions, strings.TrimPrefix(dep.Path, "github.com/")+" "+dep.Version)
			}
		}
	}
	return &report{Date: time.Now().UTC().Format("2006-01-02"), Machine: figure.Machine(), Versions: strings.Join(versions, ", "),
		Rounds: opt.rounds, Slice: opt.slice.String(), Load: opt.load.String(), Event: len(text(document))}
}

func (r *report) add(m *measured) {
	first := side{Row: m.row.name, Name: "sluice", What: "Sluice", Isolated: true, Limited: true}
	targets, http := m.row.others, m.row.guest == ""
	if http {
		first = side{Row: m.row.name, Name: "hello", What: "fasthttp alone"}
		targets = m.row.http
	}
	var all []slice
	var others []side
	for _, t := range targets {
		s := side{Row: m.row.name, Name: t.to, Target: t.least}
		if http {
			s.What, s.Isolated, s.Limited = "and a guest's call", true, true
		} else {
			e := engineNamed(t.to)
			s.What, s.Isolated, s.Limited = e.what, e.isolated, e.limited
		}
		var its []slice
		var ratios []float64
		for _, p := range m.pairs[t.to] {
			all, its = append(all, p.first), append(its, p.other)
			if http {
				ratios = append(ratios, figure.Ratio(p.other.rate, p.first.rate))
			} else {
				ratios = append(ratios, figure.Ratio(float64(p.other.wall), float64(p.first.wall)))
			}
		}
		s.fill(its, http)
		if s.Ratio = figure.Median(ratios); t.least > 0 {
			reached := s.Ratio >= t.least
			s.Reached = &reached
		}
		others = append(others, s)
	}
	first.fill(all, http)
	r.Sides = append(append(r.Sides, first), others...)
}

// fill takes the medians.
func (s *side) fill(slices []slice, http bool) {
	var wall, cpu []time.Duration
	var allocs, rate []float64
	for _, one := range slices {
		wall, cpu = append(wall, one.wall), append(cpu, one.cpu)
		allocs, rate = append(allocs, one.allocs), append(rate, one.rate)
		s.Foreign = max(s.Foreign, 100*one.foreign)
	}
	s.CPU, s.Allocs = micros(figure.Median(cpu)), figure.Median(allocs)
	if http {
		s.Rate = figure.Median(rate)
	} else {
		s.Call = micros(figure.Median(wall))
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (r *report) writeJSON(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%s · %s\n%s\nan event of %d bytes, medians of %d rounds of %s a side, %s over HTTP\n\n", r.Date, r.Machine, r.Versions, r.Event, r.Rounds, r.Slice, r.Load)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "ROW\tSIDE\tUS/CALL\tREQ/S\tCPU us\tALLOCS\tISOLATED\tLIMITED\tFOREIGN %\tRATIO\tTARGET\tREACHED\t\n")
	row := ""
	for _, s := range r.Sides {
		name := s.Row
		if name == row {
			name = ""
		}
		row = s.Row
		ratio, target, reached := figure.Text(s.Ratio), "", ""
		if s.Reached != nil {
			target, reached = fmt.Sprintf("%.3g", s.Target), figure.YesNo(*s.Reached)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%s\t%.0f\t%s\t%s\t%s\t\n", name, s.Name, figure.Text(s.Call), figure.Text(s.Rate),
			figure.Text(s.CPU), s.Allocs, mark(s.Isolated), mark(s.Limited), s.Foreign, ratio, target, reached)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, e := range engines {
		for _, s := range r.Sides {
			if s.Name == e.name {
				fmt.Fprintf(w, "%-16s %s\n", e.name, e.what)
				break
			}
		}
	}
	return nil
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return "-"
}
