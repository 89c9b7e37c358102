package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
)

const settle = time.Second // after its start a server is idle

// slice is what one short run against one side found, or one start.
type slice struct {
	figure.Slice
	ready time.Duration // from its start to its first document
}

// measured is what a row found, with the slices of its sides in the order in which they were taken.
type measured struct {
	row    *row
	slices map[sideName][]slice
	idle   map[sideName]int64
}

func compare(ctx context.Context, opt *options, stderr io.Writer) (*report, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	begun := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(stderr, "%6.1fs  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	progress("building the node")
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return nil, err
	}
	binary, err := node.Build(ctx, bin, "bare")
	if err != nil {
		return nil, err
	}
	all := &sides{dir: dir, documents: opt.documents, progress: progress, binary: binary, prepared: map[sideName]side{}}
	r := newReport(opt, binary.Commit())
	flush, err := figure.Flush(dir)
	if err != nil {
		return nil, err
	}
	r.Flush = figure.Millis(flush)
	for _, name := range opt.rows {
		row := *rowNamed(name)
		if opt.alone {
			row = row.alone()
		}
		m := &measured{row: &row, slices: map[sideName][]slice{}, idle: map[sideName]int64{}}
		if err := m.measure(ctx, all, opt); err != nil {
			return nil, fmt.Errorf("row %s: %w", name, err)
		}
		r.add(m)
	}
	r.finish()
	return r, nil
}

func (m *measured) measure(ctx context.Context, all *sides, opt *options) error {
	for _, name := range m.row.sides {
		if _, err := all.get(ctx, name); err != nil {
			return err
		}
	}
	unlock, err := figure.Lock(opt.lock)
	if err != nil {
		return err
	}
	defer unlock()
	if m.row.kind == kindLoad {
		return m.load(ctx, all, opt)
	}
	return m.starts(ctx, all, opt)
}

// running is a side whose server is up.
type running struct {
	name     sideName
	server   *process.Server
	requests func(int) load.Requests
	status   int
}

// load runs the servers of a row at the same time and loads them one after the other.
func (m *measured) load(ctx context.Context, all *sides, opt *options) error {
	var up []*running
	defer func() {
		for _, r := range up {
			_ = r.server.Kill()
		}
	}()
	for _, name := range m.row.sides {
		dir, remove, err := all.copy(name, m.row.op.writes())
		if err != nil {
			return err
		}
		defer remove()
		s, _ := all.get(ctx, name)
		server, err := s.start(ctx, dir)
		if err != nil {
			return err
		}
		r := &running{name: name, server: server}
		up = append(up, r)
		time.Sleep(min(settle, opt.slice()))
		if m.idle[name], err = server.Anonymous(); err != nil {
			return err
		}
		if r.requests, r.status, err = s.requests(server, m.row.op); err != nil {
			return err
		}
		if err := look(server.Addr, r, m.row.op); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for round := -1; round < opt.rounds; round++ {
		length := opt.slice()
		if round < 0 { // to warm up
			length = min(length, time.Second/2)
		}
		for _, r := range up {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			s, err := figure.Take(r.server, load.Run{Connections: m.row.connections, Duration: length, Requests: r.requests, Status: r.status})
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if round < 0 {
				continue
			}
			m.slices[r.name] = append(m.slices[r.name], slice{Slice: *s})
			all.progress("%-12s round %d of %d  %-19s %10.0f req/s  p99 %v", m.row.name, round+1, opt.rounds, r.name, s.Rate, s.P99.Round(10*time.Microsecond))
		}
	}
	return nil
}

// look sees whether an answer is what is meant to be compared, before any of them is timed.
func look(addr string, r *running, op operation) error {
	body, err := load.One(addr, r.status, r.requests(0)(nil))
	if err != nil {
		return err
	}
	if titles := countTitles(body); (op == opList || op == opListPlain) && titles != 20 || op == opNewest && titles != 20 {
		return fmt.Errorf("20 documents were asked for, not %d: %.300q", titles, body)
	}
	return nil
}

// starts starts the servers of a row one after the other, again and again.
func (m *measured) starts(ctx context.Context, all *sides, opt *options) error {
	dirs := map[sideName]string{}
	for _, name := range m.row.sides {
		dir, remove, err := all.copy(name, true)
		if err != nil {
			return err
		}
		defer remove()
		dirs[name] = dir
	}
	for round := range opt.rounds {
		for _, name := range m.row.sides {
			took, err := m.start(ctx, all, name, dirs[name], opt)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			m.slices[name] = append(m.slices[name], slice{ready: took})
			all.progress("%-12s round %d of %d  %-19s %v", m.row.name, round+1, opt.rounds, name, took.Round(10*time.Microsecond))
		}
	}
	return nil
}

// start ends a server in the way that the row is about, and returns how long the next one took.
func (m *measured) start(ctx context.Context, all *sides, name sideName, dir string, opt *options) (time.Duration, error) {
	s, err := all.get(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := m.end(ctx, s, dir, opt); err != nil {
		return 0, err
	}
	server, err := s.start(ctx, dir)
	if err != nil {
		return 0, err
	}
	time.Sleep(min(settle, opt.slice()))
	if m.idle[name], err = server.Anonymous(); err != nil {
		return 0, errors.Join(err, server.Kill())
	}
	return server.Ready, server.Stop()
}

// end starts a server and ends it in the way that the row is about: cleanly, or by a kill while it is written to.
func (m *measured) end(ctx context.Context, s side, dir string, opt *options) error {
	server, err := s.start(ctx, dir)
	if err != nil {
		return err
	}
	if m.row.kind == kindStart {
		return server.Stop()
	}
	requests, status, err := s.requests(server, m.row.op)
	if err != nil {
		return errors.Join(err, server.Kill())
	}
	failed := make(chan error, 1)
	go func() {
		_, err := load.Run{Addr: server.Addr, Connections: m.row.connections, Duration: time.Minute, Requests: requests, Status: status}.Do()
		failed <- err
	}()
	select {
	case err := <-failed:
		return errors.Join(fmt.Errorf("the load ended before the kill: %w", err), server.Kill())
	case <-time.After(min(time.Second, opt.slice())):
	}
	if err := server.Kill(); err != nil {
		return err
	}
	<-failed // the kill broke its connections
	return nil
}

// copy returns a directory of a side's data that may be written to if that is wanted.
func (s *sides) copy(name sideName, writes bool) (dir string, remove func(), err error) {
	if !writes {
		return s.directory(name), func() {}, nil
	}
	if dir, err = os.MkdirTemp(s.dir, "copy-"); err != nil {
		return "", nil, err
	}
	return dir, func() { _ = os.RemoveAll(dir) }, node.Copy(dir, s.directory(name))
}
