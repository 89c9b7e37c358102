// Command soak runs a good project beside a hostile one on one node, for minutes, and says what the good one felt of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const help = `soak runs the real binary with two projects. The good one has 64 clients, which read and write at a fixed rate through a policy, and a
new version of its bundle every second. The hostile one has a bundle of guests that spin, recurse, miss every cache, grow their memory, write
logs without end, answer garbage and trap, under the highest limits that a bundle may have, and clients that ask them as fast as they are
answered. Phases without and with the hostile clients take turns, so that what else the machine does meets both.

  cd bench && go run ./soak                          ten minutes
  cd bench && go run ./soak -minutes 1 -phase 5s     a quick look

The first phase warms up and is not counted. Beside the hostile project no request of the good one may fail, and its p99 may be at
most 1.5 times what it is alone: over all phases of a kind together. Needs Linux. The table is on standard output.

Flags:
`

type options struct {
	minutes  float64
	phase    time.Duration
	rate     int      // of the good project's requests a second
	hostile  int      // connections
	crimes   []string // that are asked
	jsonFile string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	opt, err := parse(args, stderr)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := soak(ctx, opt, stderr)
	if err != nil {
		return err
	}
	if opt.jsonFile != "" {
		if err := r.writeJSON(opt.jsonFile); err != nil {
			return err
		}
	}
	if err := r.writeText(stdout); err != nil {
		return err
	}
	if r.Failed > 0 {
		return fmt.Errorf("%d requests or deploys of the good project failed, the first one so: %s", r.Failed, r.FirstFailure)
	}
	return nil
}

// parse reads the flags and reports every bad one at once.
func parse(args []string, stderr io.Writer) (*options, error) {
	var (
		opt   options
		names string
	)
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, help)
		f.PrintDefaults()
	}
	f.Float64Var(&opt.minutes, "minutes", 10, "how long in all, 0.01 to 1440")
	f.DurationVar(&opt.phase, "phase", 15*time.Second, "length of a phase, 200ms to 4m")
	f.IntVar(&opt.rate, "rate", 640, "requests a second of the good project, 64 to 100000; the less of the processors it needs alone, the more the other may take")
	f.IntVar(&opt.hostile, "hostile", 64, "connections of the hostile project, 1 to 1024")
	f.StringVar(&names, "crimes", "", "what the hostile clients ask, separated by commas (default all): "+strings.Join(collections(), ", "))
	f.StringVar(&opt.jsonFile, "json", "", "write the table as JSON to this `file` as well")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0)))
	}
	if !(opt.minutes >= 0.01 && opt.minutes <= 1440) {
		errs = append(errs, errors.New("-minutes must be 0.01 to 1440"))
	}
	if opt.phase < 200*time.Millisecond || opt.phase > 4*time.Minute {
		errs = append(errs, errors.New("-phase must be 200ms to 4m"))
	}
	if opt.rate < clients || opt.rate > 100_000 {
		errs = append(errs, errors.New("-rate must be 64 to 100000"))
	}
	if opt.hostile < 1 || opt.hostile > 1024 {
		errs = append(errs, errors.New("-hostile must be 1 to 1024"))
	}
	opt.crimes = collections()
	if names != "" {
		opt.crimes = strings.Split(names, ",")
	}
	for _, name := range opt.crimes {
		if !slices.Contains(collections(), name) {
			errs = append(errs, fmt.Errorf("there is no crime %q; -help lists them", name))
		}
	}
	return &opt, errors.Join(errs...)
}
