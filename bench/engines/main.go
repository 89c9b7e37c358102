// Command engines measures what one call of a guest costs beside the other ways in which a server in Go can ask a project's own
// rule: the engine without what package hooks adds, Extism, goja, OPA and CEL. All of them get the same event, as the same bytes, and
// come to the same verdict. It has a go.mod of its own, so that nobody has to fetch them to build or check anything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const help = `engines measures a policy (a price of 100 or less, in an event of 300 bytes) as a guest of Sluice beside other engines.

  cd bench/engines && go run .                              everything: some three minutes
  cd bench/engines && go run . -rows c,http                 some rows
  cd bench/engines && go run . -rounds 3 -slice 20ms        a quick look

A guest of Sluice is asked through the public API of package hooks, with everything on: metered, bounded in its stack, restored
after each call. That it is restored is counted, although whoever calls need not wait for it. The others do what the table
says of them, and no more: ISOLATED is whether a call can leave nothing to the next one, LIMITED whether it ends by itself.

The sides of a row take turns, a short slice each, again and again, in one goroutine. A ratio is made from slices that lie next to
each other; the one printed is the median of the rounds, and how many times as much as Sluice's call the other one costs. CPU is
of the whole process, garbage collection included, and other work on the machine moves it less than US/CALL. The rows over HTTP
load a server of its own, 32 connections; their ratio is of the bare server's requests a second.

Rows:
%s
It builds the guests first: make toolchains installs what that needs. HTTP needs Linux. The table is on standard output.

Flags:
`

type options struct {
	rows     []string
	rounds   int
	slice    time.Duration // of a call's row
	load     time.Duration // slice of a row over HTTP
	keep     string        // directory to build guests in; "": a temporary one
	jsonFile string
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == helloArgument {
		if err := serveHello(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "engines:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "engines:", err)
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
	report, err := compare(ctx, opt, stderr)
	if err != nil {
		return err
	}
	if opt.jsonFile != "" {
		if err := report.writeJSON(opt.jsonFile); err != nil {
			return err
		}
	}
	return report.writeText(stdout)
}

// parse reads the flags and reports every bad one at once.
func parse(args []string, stderr io.Writer) (*options, error) {
	var (
		opt   options
		names string
	)
	f := flag.NewFlagSet("engines", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		var list strings.Builder
		for _, r := range rows {
			fmt.Fprintf(&list, "  %-16s %s\n", r.name, r.what)
		}
		fmt.Fprintf(stderr, help, &list)
		f.PrintDefaults()
	}
	f.StringVar(&names, "rows", "", "rows to measure, separated by commas (default all)")
	f.IntVar(&opt.rounds, "rounds", 9, "slices of each side in a row, 1 to 1000")
	f.DurationVar(&opt.slice, "slice", 100*time.Millisecond, "length of a slice of calls, 1ms to 1m")
	f.DurationVar(&opt.load, "load", 2*time.Second, "length of a slice of requests, 50ms to 1m")
	f.StringVar(&opt.keep, "guests", "", "build the guests in this `directory`, and use those that are there")
	f.StringVar(&opt.jsonFile, "json", "", "write the table as JSON to this `file` as well")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0)))
	}
	if opt.rounds < 1 || opt.rounds > 1000 {
		errs = append(errs, errors.New("-rounds must be 1 to 1000"))
	}
	if opt.slice < time.Millisecond || opt.slice > time.Minute {
		errs = append(errs, errors.New("-slice must be 1ms to 1m"))
	}
	if opt.load < 50*time.Millisecond || opt.load > time.Minute {
		errs = append(errs, errors.New("-load must be 50ms to 1m"))
	}
	for name := range strings.SplitSeq(names, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if rowNamed(name) == nil {
			errs = append(errs, fmt.Errorf("there is no row %q; -help lists them", name))
		}
		opt.rows = append(opt.rows, name)
	}
	if len(opt.rows) == 0 {
		for _, r := range rows {
			opt.rows = append(opt.rows, r.name)
		}
	}
	return &opt, errors.Join(errs...)
}
