package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
)

const (
	clients   = 64 // of the good project: half of them read, half of them write
	documents = 1000
)

// soaker is one run.
type soaker struct {
	opt           *options
	binary        *node.Binary
	dir, bundles  string
	server        *process.Server
	good, hostile *node.Project
	token         string
	report        *report
	version       int // of the good project's bundle

	asked atomic.Int64 // of the hostile project
}

func soak(ctx context.Context, opt *options, stderr io.Writer) (_ *report, err error) {
	tmp, err := os.MkdirTemp("", "sluice-soak-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	s := &soaker{opt: opt, dir: filepath.Join(tmp, "data"), bundles: filepath.Join(tmp, "bundles")}
	if s.binary, err = node.Build(ctx, tmp); err != nil {
		return nil, err
	}
	s.report = newReport(opt, s.binary.Commit())
	if s.good, err = s.binary.Create(ctx, s.dir); err != nil {
		return nil, err
	}
	if s.server, err = s.binary.Start(ctx, s.dir, s.good); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.server.Kill())
		}
	}()
	if err = s.good.Fill(s.server.Addr, documents); err != nil {
		return nil, err
	}
	if s.hostile, err = setUp(ctx, s.binary, s.dir, s.bundles, s.good); err != nil {
		return nil, err
	}
	if s.token, err = s.good.Token(s.server.Addr); err != nil {
		return nil, err
	}
	end := time.Now().Add(time.Duration(opt.minutes * float64(time.Minute)))
	for i := -1; i < 2 || time.Now().Before(end); i++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		beside := i >= 0 && i%2 == 1
		p, err := s.phase(ctx, beside)
		if err != nil {
			return nil, err
		}
		if i >= 0 {
			s.report.add(p)
		}
		fmt.Fprintf(stderr, "phase %d %-7s  read p99 %v  write p99 %v  %d asked by the hostile, %d failures so far\n", i+1, p.kind(),
			p.read.Quantile(0.99).Round(10*time.Microsecond), p.write.Quantile(0.99).Round(10*time.Microsecond), p.asked, s.report.Failed)
	}
	s.report.finish()
	return s.report, s.server.Stop() // that it ends cleanly is part of it
}

// phase is what the good project felt for a while.
type phase struct {
	beside      bool
	read, write load.Histogram
	requests    int64
	asked       int64 // by the hostile project's clients, and answered
	deploys     int
	memory      int64
	elapsed     time.Duration
}

func (p *phase) kind() string {
	if p.beside {
		return "beside"
	}
	return "alone"
}

func (s *soaker) phase(ctx context.Context, beside bool) (*phase, error) {
	p := &phase{beside: beside}
	ctx, stop := context.WithTimeout(ctx, s.opt.phase)
	defer stop()
	var others sync.WaitGroup
	s.asked.Store(0)
	if beside {
		others.Go(func() { s.attack(ctx) })
	}
	others.Go(func() { p.deploys = s.deploy(ctx) })
	var wg sync.WaitGroup
	for _, part := range []struct {
		into     *load.Histogram
		requests func(int) load.Requests
	}{{&p.read, s.reads}, {&p.write, s.writes}} {
		wg.Go(func() {
			result, err := load.Run{
				Addr: s.server.Addr, Connections: clients / 2, Duration: s.opt.phase, Status: 200, Requests: part.requests,
				Every: time.Second * clients / time.Duration(s.opt.rate),
			}.Do()
			s.report.fail(err)
			if result != nil {
				part.into.Merge(&result.Latency)
				atomic.AddInt64(&p.requests, result.Requests)
			}
		})
	}
	begun := time.Now()
	wg.Wait()
	p.elapsed = time.Since(begun)
	stop()
	others.Wait()
	p.asked = s.asked.Load()
	var err error
	p.memory, err = s.server.Anonymous()
	return p, err
}

func (s *soaker) reads(connection int) load.Requests {
	random := rand.New(rand.NewPCG(uint64(connection), 1))
	return func(dst []byte) []byte {
		if random.IntN(4) == 0 {
			return s.good.Newest(dst, 20)
		}
		return s.good.Get(dst, random.IntN(documents))
	}
}

// writes changes documents, so that the file does not grow with the time that this takes.
func (s *soaker) writes(connection int) load.Requests {
	random := rand.New(rand.NewPCG(uint64(connection), 2))
	return func(dst []byte) []byte {
		return s.good.Update(dst, random.IntN(documents), random.IntN(node.Prices), s.token)
	}
}

// deploy gives the good project a new version of its bundle every second.
func (s *soaker) deploy(ctx context.Context) (n int) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		s.version++
		err := writeGood(filepath.Join(s.bundles, "good"), s.version)
		if err == nil {
			// One that has begun may end behind the phase.
			err = s.binary.DeployTo(context.WithoutCancel(ctx), s.dir, s.good, filepath.Join(s.bundles, "good"))
		}
		s.report.fail(err)
		n++
		select {
		case <-every.C:
		case <-ctx.Done():
			return n
		}
	}
}

// attack asks the hostile project's guests as fast as they are answered, until ctx ends. What the answers are does not matter: but a
// connection that the node breaks is as good as a failure.
func (s *soaker) attack(ctx context.Context) {
	names := s.opt.crimes
	until, _ := ctx.Deadline()
	_, err := load.Run{
		Addr: s.server.Addr, Connections: s.opt.hostile, Duration: max(time.Until(until), 1), Status: load.AnyStatus,
		Requests: func(connection int) load.Requests {
			i := connection
			return func(dst []byte) []byte {
				i++
				s.asked.Add(1)
				return s.hostile.List(dst, names[i%len(names)])
			}
		},
	}.Do()
	s.report.fail(err)
}
