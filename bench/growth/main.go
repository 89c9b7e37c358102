// Command growth measures how the cost of a request grows with the number of documents that a project has.
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
	"strconv"
	"strings"
	"syscall"
	"time"
)

const help = `growth runs a node for each of several numbers of documents, all at once, and loads one after the other for a short
slice, again and again. What it prints of each size is the server's CPU a request, and the ratio to the smallest
size next to it: of the CPU and of the requests a second, medians of the rounds.

  cd bench && go run ./growth                                   a thousand, a hundred thousand, a million
  cd bench && go run ./growth -more 10000000                    and ten million, for GET alone: 8 GB of disk, ten minutes
  cd bench && go run ./growth -sizes 1000,20000 -rounds 3       a quick look
  cd bench && go run ./growth -dir /big/growth                  keeps what it filled, and uses it the next time

Rows:
  get        GET by id
  newest     the 20 newest documents
  few        the 20 newest of the 50 documents that have a value, by an index
  share      the 20 newest of a hundredth of all documents, by an index; the total, which every list has, counts them all
  insert     insert as a user; a fixed number into a fresh copy each round, so the smallest size ends at three times its size

All with 32 connections, over HTTP, on the same cores as the load. Documents have 500 bytes and are put into the file
before a node runs on it, and every page of the file is touched once before anything is timed: the first touch of a page
costs a fault, and what is not in memory a read of the disk, at any size. Needs Linux. Progress goes to standard error, the table to standard output; what it makes is
in a temporary directory ($TMPDIR) and removed, but for -dir.

Flags:
`

type options struct {
	sizes, more []int
	rounds      int
	seconds     float64
	dir         string // "" for a temporary one
	json, lock  string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "growth:", err)
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
	r, err := grow(ctx, opt, stderr)
	if err != nil {
		return err
	}
	if opt.json != "" {
		if err := r.writeJSON(opt.json); err != nil {
			return err
		}
	}
	return r.writeText(stdout)
}

// parse reads the flags and reports every bad one at once.
func parse(args []string, stderr io.Writer) (*options, error) {
	var (
		opt         options
		sizes, more string
	)
	f := flag.NewFlagSet("growth", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, help)
		f.PrintDefaults()
	}
	f.StringVar(&sizes, "sizes", "1000,100000,1000000", "numbers of documents, the first of which the others are compared with")
	f.StringVar(&more, "more", "", "further numbers, for GET alone")
	f.IntVar(&opt.rounds, "rounds", 5, "slices of each size in a row, 1 to 100")
	f.Float64Var(&opt.seconds, "seconds", 2, "length of a slice, 0.1 to 60")
	f.StringVar(&opt.dir, "dir", "", "`directory` to keep what was filled, for the next time")
	f.StringVar(&opt.json, "json", "", "write the table as JSON to this `file` as well")
	f.StringVar(&opt.lock, "lock", "", "hold a lock on this `file` while a row is measured, so that other measurements wait")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var errs []error
	if f.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q; see -help", f.Arg(0)))
	}
	if opt.rounds < 1 || opt.rounds > 100 {
		errs = append(errs, errors.New("-rounds must be 1 to 100"))
	}
	if !(opt.seconds >= 0.1 && opt.seconds <= 60) {
		errs = append(errs, errors.New("-seconds must be 0.1 to 60"))
	}
	read := func(flag, list string) (out []int) {
		for text := range strings.SplitSeq(list, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1000 || n > 100_000_000 {
				errs = append(errs, fmt.Errorf("-%s: %q is not a number of documents from 1000 to 100000000", flag, text))
			}
			out = append(out, n)
		}
		return out
	}
	opt.sizes, opt.more = read("sizes", sizes), read("more", more)
	if len(opt.sizes) == 0 {
		errs = append(errs, errors.New("-sizes must name one at least"))
	}
	if all := slices.Concat(opt.sizes, opt.more); len(slices.Compact(slices.Sorted(slices.Values(all)))) < len(all) {
		errs = append(errs, errors.New("-sizes and -more must not name a number twice"))
	}
	return &opt, errors.Join(errs...)
}

func (o *options) slice() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }
