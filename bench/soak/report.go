package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
	"github.com/sluice-edge/sluice/bench/load"
)

// mostP99 is how many times its p99 alone the good project's p99 may be beside the hostile one.
const mostP99 = 1.5

// report is everything that a run found.
type report struct {
	Date    string  `json:"date"`
	Machine string  `json:"machine"`
	Version string  `json:"version"`
	Rate    int     `json:"rate"`
	Hostile int     `json:"hostileConnections"`
	Phase   string  `json:"phase"`
	Kinds   []*kind `json:"kinds"` // alone, beside
	// Ratios of the p99s, beside to alone.
	ReadRatio    float64 `json:"readRatio"`
	WriteRatio   float64 `json:"writeRatio"`
	Reached      bool    `json:"reached"`
	FirstMemory  float64 `json:"firstMemoryMiB"` // anonymous, behind the first phase beside the hostile project, and behind the last one
	LastMemory   float64 `json:"lastMemoryMiB"`
	Failed       int     `json:"failed"`
	FirstFailure string  `json:"firstFailure,omitempty"`

	mu sync.Mutex // guards Failed and FirstFailure
}

// kind is all phases of one kind together.
type kind struct {
	Kind     string  `json:"kind"`
	Phases   int     `json:"phases"`
	Rate     float64 `json:"reqPerSecond"`
	ReadP50  float64 `json:"readP50Millis"`
	ReadP99  float64 `json:"readP99Millis"`
	WriteP50 float64 `json:"writeP50Millis"`
	WriteP99 float64 `json:"writeP99Millis"`
	Deploys  int     `json:"deploys"`
	Hostile  float64 `json:"hostilePerSecond"`

	read, write     load.Histogram
	requests, asked int64
	elapsed         time.Duration
}

func newReport(opt *options, commit string) *report {
	return &report{
		Date: time.Now().UTC().Format("2006-01-02"), Machine: figure.Machine(), Version: fmt.Sprintf("sluice %s, %s", commit, goruntime.Version()),
		Rate: opt.rate, Hostile: opt.hostile, Phase: opt.phase.String(), Kinds: []*kind{{Kind: "alone"}, {Kind: "beside"}},
	}
}

// fail notes that something of the good project failed, if it did.
func (r *report) fail(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Failed++; r.FirstFailure == "" {
		r.FirstFailure = err.Error()
	}
}

func (r *report) add(p *phase) {
	k := r.Kinds[0]
	if p.beside {
		k = r.Kinds[1]
		if r.LastMemory = figure.MiB(p.memory); k.Phases == 0 {
			r.FirstMemory = r.LastMemory
		}
	}
	k.Phases++
	k.read.Merge(&p.read)
	k.write.Merge(&p.write)
	k.requests, k.asked, k.elapsed, k.Deploys = k.requests+p.requests, k.asked+p.asked, k.elapsed+p.elapsed, k.Deploys+p.deploys
}

func (r *report) finish() {
	for _, k := range r.Kinds {
		k.ReadP50, k.ReadP99 = figure.Millis(k.read.Quantile(0.5)), figure.Millis(k.read.Quantile(0.99))
		k.WriteP50, k.WriteP99 = figure.Millis(k.write.Quantile(0.5)), figure.Millis(k.write.Quantile(0.99))
		if k.elapsed > 0 {
			k.Rate, k.Hostile = float64(k.requests)/k.elapsed.Seconds(), float64(k.asked)/k.elapsed.Seconds()
		}
	}
	alone, beside := r.Kinds[0], r.Kinds[1]
	r.ReadRatio, r.WriteRatio = figure.Ratio(beside.ReadP99, alone.ReadP99), figure.Ratio(beside.WriteP99, alone.WriteP99)
	r.Reached = r.Failed == 0 && r.ReadRatio > 0 && r.ReadRatio <= mostP99 && r.WriteRatio > 0 && r.WriteRatio <= mostP99
}

func (r *report) writeJSON(path string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

func (r *report) writeText(w io.Writer) error {
	fmt.Fprintf(w, "%s · %s\n%s\n%d clients at %d requests a second, %d hostile connections, phases of %s\n\n", r.Date, r.Machine, r.Version, clients, r.Rate, r.Hostile, r.Phase)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "GOOD PROJECT\tPHASES\tREQ/S\tREAD P50 ms\tP99 ms\tWRITE P50 ms\tP99 ms\tDEPLOYS\tHOSTILE REQ/S\t\n")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t\n", k.Kind, k.Phases, figure.Text(k.Rate), figure.Text(k.ReadP50), figure.Text(k.ReadP99),
			figure.Text(k.WriteP50), figure.Text(k.WriteP99), k.Deploys, figure.Text(k.Hostile))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nfailed: %d (at most 0: %s)\np99 of reads beside, to that alone: %.2f (at most %g: %s)\np99 of writes beside, to that alone: %.2f (at most %g: %s)\nanonymous memory behind the first phase beside the hostile project %.0f MiB, behind the last one %.0f MiB\n",
		r.Failed, figure.YesNo(r.Failed == 0), r.ReadRatio, mostP99, figure.YesNo(r.ReadRatio <= mostP99), r.WriteRatio, mostP99, figure.YesNo(r.WriteRatio <= mostP99),
		r.FirstMemory, r.LastMemory)
	return err
}
