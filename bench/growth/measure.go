package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/bench/figure"
	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/bench/process"
)

const (
	connections = 32
	inserts     = 2000 // of each slice
	goal        = 2.0  // times the cost of the smallest size
)

// row is one kind of request.
type row struct {
	name    string
	request func(s *sized, r *rand.Rand, dst []byte) []byte
}

var reads = []row{
	{"get", func(s *sized, r *rand.Rand, dst []byte) []byte { return s.project.Get(dst, r.IntN(s.documents)) }},
	{"newest", func(s *sized, _ *rand.Rand, dst []byte) []byte { return s.project.Newest(dst, 20) }},
	{"few", func(s *sized, r *rand.Rand, dst []byte) []byte {
		return s.project.Where(dst, "shelf="+strconv.Itoa(r.IntN(s.shelves())))
	}},
	{"share", func(s *sized, r *rand.Rand, dst []byte) []byte {
		return s.project.Where(dst, "price="+strconv.Itoa(r.IntN(share)))
	}},
}

// key is a row and a size.
type key struct {
	row       string
	documents int
}

func grow(ctx context.Context, opt *options, stderr io.Writer) (*report, error) {
	dir, err := os.MkdirTemp("", "sluice-growth-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	g := &growth{opt: opt, slices: map[key][]figure.Slice{}, begun: time.Now(), stderr: stderr}
	g.progress("building the node")
	if g.binary, err = node.Build(ctx, dir); err != nil {
		return nil, err
	}
	for i, n := range append(opt.sizes[:len(opt.sizes):len(opt.sizes)], opt.more...) {
		s := &sized{documents: n, dir: filepath.Join(dir, fmt.Sprint(n))}
		if opt.dir != "" {
			s.dir = filepath.Join(opt.dir, fmt.Sprint(n))
		}
		if found, err := s.find(); err != nil {
			return nil, err
		} else if !found {
			g.progress("filling a project with %d documents", n)
			if err := s.make(ctx, g.binary); err != nil {
				return nil, err
			}
		}
		if g.all = append(g.all, s); i < len(opt.sizes) {
			g.sizes = g.all
		}
	}
	if err := g.read(ctx); err != nil {
		return nil, err
	}
	if err := g.insert(ctx); err != nil {
		return nil, err
	}
	return g.report(), nil
}

type growth struct {
	opt        *options
	binary     *node.Binary
	all, sizes []*sized // sizes: without those for GET alone
	slices     map[key][]figure.Slice
	begun      time.Time
	stderr     io.Writer
}

func (g *growth) progress(format string, args ...any) {
	fmt.Fprintf(g.stderr, "%6.1fs  %s\n", time.Since(g.begun).Seconds(), fmt.Sprintf(format, args...))
}

// read measures what changes nothing, on nodes that run at the same time.
func (g *growth) read(ctx context.Context) error {
	servers := map[*sized]*process.Server{}
	defer func() {
		for _, s := range servers {
			_ = s.Kill()
		}
	}()
	for _, s := range g.all {
		server, err := g.binary.Start(ctx, s.dir, s.project)
		if err != nil {
			return err
		}
		servers[s] = server
		g.progress("touching %d documents", s.documents)
		if err := s.touch(server); err != nil {
			return err
		}
		if err := s.project.Wait(server.Addr); err != nil { // for an index that is still being built
			return err
		}
	}
	for _, r := range reads {
		sizes := g.sizes
		if r.name == "get" {
			sizes = g.all
		}
		if err := g.turns(ctx, r, sizes, servers); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// turns lets the sizes take turns in one row. The first turn is not counted.
func (g *growth) turns(ctx context.Context, r row, sizes []*sized, servers map[*sized]*process.Server) error {
	unlock, err := figure.Lock(g.opt.lock)
	if err != nil {
		return err
	}
	defer unlock()
	for round := -1; round < g.opt.rounds; round++ {
		for _, s := range sizes {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			run := load.Run{Connections: connections, Duration: g.opt.slice(), Status: 200, Requests: func(c int) load.Requests {
				random := rand.New(rand.NewPCG(uint64(c), uint64(round)))
				return func(dst []byte) []byte { return r.request(s, random, dst) }
			}}
			slice, err := figure.Take(servers[s], run)
			if err != nil {
				return err
			}
			if round >= 0 {
				g.took(r.name, s, slice)
			}
		}
	}
	return nil
}

func (g *growth) took(row string, s *sized, slice *figure.Slice) {
	k := key{row, s.documents}
	g.slices[k] = append(g.slices[k], *slice)
	g.progress("%-7s round %d of %d  %9d documents  %8.0f req/s  %v CPU a request", row, len(g.slices[k]), g.opt.rounds, s.documents, slice.Rate, slice.CPU)
}

// insert inserts into a fresh copy each time, since the size is what it is about.
func (g *growth) insert(ctx context.Context) error {
	for range g.opt.rounds {
		for _, s := range g.sizes {
			if err := g.insertOnce(ctx, s); err != nil {
				return fmt.Errorf("insert: %w", err)
			}
		}
	}
	return nil
}

func (g *growth) insertOnce(ctx context.Context, s *sized) error {
	c, err := s.copy()
	defer c.remove()
	if err != nil {
		return err
	}
	unlock, err := figure.Lock(g.opt.lock)
	if err != nil {
		return err
	}
	defer unlock()
	server, err := g.binary.Start(ctx, c.dir, c.project)
	if err != nil {
		return err
	}
	defer func() { _ = server.Kill() }()
	token, err := c.project.Token(server.Addr)
	if err != nil {
		return err
	}
	run := load.Run{Connections: connections, Duration: load.MaxDuration, Count: inserts, Status: 201, Requests: func(conn int) load.Requests {
		random := rand.New(rand.NewPCG(uint64(conn), 1))
		var body []byte
		return func(dst []byte) []byte {
			body = node.AppendMembers(append(body[:0], '{'), random.IntN(1e9), random.IntN(share), c.project.UserID)
			body = strconv.AppendInt(append(body, `,"shelf":`...), int64(random.IntN(c.shelves())), 10)
			return c.project.Insert(dst, append(body, '}'), token)
		}
	}}
	slice, err := figure.Take(server, run)
	if err != nil {
		return err
	}
	g.took("insert", s, slice)
	return nil
}
