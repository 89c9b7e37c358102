package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	goruntime "runtime"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/process"
)

// slice is what one short run found.
type slice struct {
	wall, cpu time.Duration // of a call, or of a request on the server
	allocs    float64       // of a call
	rate      float64       // requests a second
	foreign   float64       // part of the machine that others used
}

// pair is a side beside the one that it is compared with, one after the other.
type pair struct{ first, other slice }

// measured is what a row found, by side.
type measured struct {
	row   *row
	pairs map[string][]pair
}

func compare(ctx context.Context, opt *options, stderr io.Writer) (*report, error) {
	dir := opt.keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "sluice-engines-"); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	g, err := newGuests(ctx, dir)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(stderr, "%6.1fs  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	r := newReport(opt)
	for _, name := range opt.rows {
		progress("row %s", name)
		m := &measured{row: rowNamed(name), pairs: map[string][]pair{}}
		measure := m.calls
		if m.row.guest == "" {
			measure = m.requests
		}
		if err := measure(ctx, g, opt); err != nil {
			return nil, fmt.Errorf("row %s: %w", name, err)
		}
		r.add(m)
	}
	return r, nil
}

// calls measures a guest beside the engines of its row.
func (m *measured) calls(ctx context.Context, g *guests, opt *options) (err error) {
	type side struct {
		name  string
		asker asker
		batch int
	}
	var sides []*side
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.asker.Close())
		}
	}()
	open := func(name string, f func(context.Context, *guests, language) (asker, error)) error {
		a, err := f(ctx, g, m.row.guest)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s := &side{name: name, asker: a}
		sides = append(sides, s)
		if err := prove(a); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.batch, err = warm(a, opt.slice)
		return err
	}
	if err := open("sluice", openSluice); err != nil {
		return err
	}
	for _, t := range m.row.others {
		if err := open(t.to, engineNamed(t.to).open); err != nil {
			return err
		}
	}
	for range opt.rounds {
		for _, other := range sides[1:] {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			first, err := take(sides[0].asker, sides[0].batch, opt.slice)
			if err != nil {
				return err
			}
			second, err := take(other.asker, other.batch, opt.slice)
			if err != nil {
				return fmt.Errorf("%s: %w", other.name, err)
			}
			m.pairs[other.name] = append(m.pairs[other.name], pair{*first, *second})
		}
	}
	return nil
}

// warm asks for a while, and returns how many calls are a small part of a slice.
func warm(a asker, length time.Duration) (batch int, err error) {
	e, calls, begun := subjectOf(document), 0, time.Now()
	for ; time.Since(begun) < length/2; calls++ {
		if _, err := a.Ask(e); err != nil {
			return 0, err
		}
	}
	return max(1, calls/25), nil
}

// take asks for the length of a slice. It begins with an empty heap, so that nobody pays for another's garbage.
func take(a asker, batch int, length time.Duration) (*slice, error) {
	e := subjectOf(document)
	var before, after goruntime.MemStats
	goruntime.GC()
	u, err := readUsage(nil)
	if err != nil {
		return nil, err
	}
	goruntime.ReadMemStats(&before)
	calls := 0
	for calls == 0 || time.Since(u.at) < length {
		for range batch {
			if _, err := a.Ask(e); err != nil {
				return nil, err
			}
		}
		calls += batch
	}
	goruntime.ReadMemStats(&after)
	s := u.slice(calls)
	s.allocs = float64(after.Mallocs-before.Mallocs) / float64(calls)
	return s, nil
}

// usage is what was used of the processors until now.
type usage struct {
	at        time.Time
	own, busy time.Duration
	server    *process.Server
	served    time.Duration
}

func readUsage(server *process.Server) (*usage, error) {
	u := &usage{at: time.Now(), server: server}
	var errs [3]error
	u.own, errs[0] = process.Own()
	u.busy, errs[1] = process.Busy()
	if server != nil {
		u.served, errs[2] = server.CPU()
	}
	return u, errors.Join(errs[:]...)
}

// slice ends what began with u. What cannot be read is 0.
func (u *usage) slice(calls int) *slice {
	now, _ := readUsage(u.server)
	n, took := time.Duration(max(calls, 1)), now.at.Sub(u.at)
	s := &slice{wall: took / n, cpu: (now.own - u.own) / n, rate: float64(calls) / took.Seconds()}
	foreign := now.busy - u.busy - (now.own - u.own)
	if u.server != nil {
		s.cpu = (now.served - u.served) / n
		foreign -= now.served - u.served
	}
	s.foreign = min(1, max(0, foreign.Seconds()/took.Seconds()/float64(goruntime.NumCPU())))
	return s
}

// connections is how many ask at a time over HTTP.
const connections = 32

// requests measures the bare server beside the same with a guest.
func (m *measured) requests(ctx context.Context, g *guests, opt *options) (err error) {
	paths := map[string]string{}
	for _, t := range m.row.http {
		if paths[t.to], err = g.path(ctx, t.to); err != nil {
			return err
		}
	}
	server, err := startHello(ctx, paths, g.cache())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	ask := func(path string, length time.Duration) (*slice, error) {
		u, err := readUsage(server)
		if err != nil {
			return nil, err
		}
		result, err := load.Run{Addr: server.Addr, Connections: connections, Duration: length, Status: 200, Requests: func(int) load.Requests {
			return func(dst []byte) []byte {
				return append(append(append(dst, "GET /"...), path...), " HTTP/1.1\r\nHost: bench\r\n\r\n"...)
			}
		}}.Do()
		if err != nil {
			return nil, err
		}
		return u.slice(int(result.Requests)), nil
	}
	for round := -1; round < opt.rounds; round++ {
		length := opt.load
		if round < 0 { // to warm up
			length = min(length, time.Second/4)
		}
		for _, t := range m.row.http {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			hello, err := ask("", length)
			if err != nil {
				return err
			}
			guest, err := ask(t.to, length)
			if err != nil {
				return err
			}
			if round >= 0 {
				m.pairs[t.to] = append(m.pairs[t.to], pair{*hello, *guest})
			}
		}
	}
	return nil
}
