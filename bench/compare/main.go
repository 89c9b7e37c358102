// Command compare measures a node beside PocketBase and beside the least that could do the same work, over HTTP, on one
// machine and in one run.
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

const help = `compare measures Sluice beside PocketBase and beside bare servers, and prints one table.

  cd bench && go run ./compare                            everything: about a quarter of an hour
  cd bench && go run ./compare -rows get,insert           some rows
  cd bench && go run ./compare -seconds 1 -documents 10000 -rounds 3      a quick look

It builds the node from this repository and PocketBase %s from the Go module proxy (the first time that takes
minutes), fills each with the same documents, accounts and rules, and then, row by row, loads one after the other for a
short slice, again and again. A ratio is made from two slices that lie next to each other, and the one printed is the
median of the rounds: on a machine that others use too, absolute figures wander, ratios far less.

Rows:
%s
Sides:
  sluice               the real binary, access log on, every write on disk before it is answered
  sluice-js            the same with a hook in JavaScript: a check of the price, a rewrite of the title
  sluice-c             the same hook in C (needs clang and lld: make toolchains)
  sluice-go            the demo's bundle: a policy and a hook, two calls, in Go
  bare                 fasthttp with one bbolt View and Get; for login, fasthttp with one argon2id hash
  pocketbase           as it comes: WAL, synchronous=NORMAL, which does not wait for the disk at every commit
  pocketbase-durable   the same with synchronous=FULL, which does
  pocketbase-tuned     with an index for each filter with its order, and asked for no totals (skipTotal)
  pocketbase-hook      as it comes, with a JavaScript hook that does what the node's does
  pocketbase-hook-durable   the same with synchronous=FULL

A list from a node always says how many documents match; there is no way to ask it for less.

The load is made by this process over keep-alive connections on loopback, on the same cores as the servers. FOREIGN is
how much of the machine others used meanwhile: above 25 %%, run it again. The figures of processes come from /proc, so
this needs Linux. Progress goes to standard error, the table to standard output. Everything is made in a temporary
directory ($TMPDIR) of some hundred megabytes, and removed.

Flags:
`

type options struct {
	rows      []string
	documents int
	rounds    int
	seconds   float64
	alone     bool // without PocketBase
	json      string
	lock      string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "compare:", err)
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
	if opt.json != "" {
		if err := report.writeJSON(opt.json); err != nil {
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
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		var list strings.Builder
		for _, r := range rows {
			fmt.Fprintf(&list, "  %-12s %s\n", r.name, r.what)
		}
		fmt.Fprintf(stderr, help, pocketbaseVersion, &list)
		f.PrintDefaults()
	}
	f.StringVar(&names, "rows", "", "rows to measure, separated by commas (default all)")
	f.IntVar(&opt.documents, "documents", 100_000, "documents of about 500 bytes on each side, 1000 to 10 million")
	f.IntVar(&opt.rounds, "rounds", 3, "slices of each side in a row, 1 to 100")
	f.Float64Var(&opt.seconds, "seconds", 4, "length of a slice, 0.1 to 60")
	f.BoolVar(&opt.alone, "no-pocketbase", false, "leave PocketBase out; then nothing is fetched")
	f.StringVar(&opt.json, "json", "", "write the table as JSON to this `file` as well")
	f.StringVar(&opt.lock, "lock", "", "hold a lock on this `file` while a row is measured, so that other measurements wait")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0)))
	}
	if opt.documents < 1000 || opt.documents > 10_000_000 {
		errs = append(errs, errors.New("-documents must be 1000 to 10000000"))
	}
	if opt.rounds < 1 || opt.rounds > 100 {
		errs = append(errs, errors.New("-rounds must be 1 to 100"))
	}
	if !(opt.seconds >= 0.1 && opt.seconds <= 60) {
		errs = append(errs, errors.New("-seconds must be 0.1 to 60"))
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

func (o *options) slice() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }
