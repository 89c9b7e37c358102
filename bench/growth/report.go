package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"text/tabwriter"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
)

// report is everything that a run found.
type report struct {
	Date     string  `json:"date"`
	Machine  string  `json:"machine"`
	Versions string  `json:"versions"`
	Rounds   int     `json:"rounds"`
	Seconds  float64 `json:"seconds"`
	Lines    []line  `json:"lines"`
}

// line is one size in one row: medians of the rounds, but for Foreign, which is the worst.
type line struct {
	Row       string  `json:"row"`
	Documents int     `json:"documents"`
	Rate      float64 `json:"reqPerSecond"`
	P50       float64 `json:"p50Millis"`
	CPU       float64 `json:"cpuMicros"`
	Foreign   float64 `json:"foreignPercent"`
	// Of the smallest size, in the slices next to these. CPURatio is the one that is judged: it hardly depends on what
	// others do with the machine and the disk.
	CPURatio  float64 `json:"cpuRatio"`
	RateRatio float64 `json:"rateRatio"`
	Reached   bool    `json:"reached"`
}

func (g *growth) report() *report {
	r := &report{
		Date: time.Now().UTC().Format("2006-01-02"), Machine: figure.Machine(), Rounds: g.opt.rounds, Seconds: g.opt.seconds,
		Versions: fmt.Sprintf("sluice %s, %s", g.binary.Commit(), goruntime.Version()),
	}
	for _, row := range append(reads[:len(reads):len(reads)], row{name: "insert"}) {
		first := g.slices[key{row.name, g.sizes[0].documents}]
		for _, s := range g.all {
			if slices := g.slices[key{row.name, s.documents}]; slices != nil {
				r.Lines = append(r.Lines, summary(row.name, s.documents, first, slices))
			}
		}
	}
	return r
}

func summary(row string, documents int, first, slices []figure.Slice) line {
	l := line{Row: row, Documents: documents}
	var rates, cpuRatios, rateRatios []float64
	var cpus, p50s []time.Duration
	for i, s := range slices {
		rates, cpus, p50s = append(rates, s.Rate), append(cpus, s.CPU), append(p50s, s.P50)
		cpuRatios = append(cpuRatios, figure.Ratio(s.CPU, first[i].CPU))
		rateRatios = append(rateRatios, figure.Ratio(first[i].Rate, s.Rate))
		l.Foreign = max(l.Foreign, 100*s.Foreign)
	}
	l.Rate, l.P50, l.CPU = figure.Median(rates), figure.Millis(figure.Median(p50s)), 1000*figure.Millis(figure.Median(cpus))
	l.CPURatio, l.RateRatio = figure.Median(cpuRatios), figure.Median(rateRatios)
	l.Reached = l.CPURatio <= goal
	return l
}

func (r *report) writeJSON(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%s · %s\n%s\n500-byte documents, %d connections, medians of %d rounds of %g s\n\n", r.Date, r.Machine, r.Versions, connections, r.Rounds, r.Seconds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "ROW\tDOCUMENTS\tREQ/S\tP50 ms\tCPU us/req\tFOREIGN %\tCPU RATIO\tTIME RATIO\tGOAL\tREACHED\t\n")
	row := ""
	for _, l := range r.Lines {
		name := l.Row
		if name == row {
			name = ""
		}
		row = l.Row
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%.0f\t%.2f\t%.2f\t%g\t%s\t\n", name, l.Documents, figure.Text(l.Rate), figure.Text(l.P50),
			figure.Text(l.CPU), l.Foreign, l.CPURatio, l.RateRatio, goal, figure.YesNo(l.Reached))
	}
	return t.Flush()
}
