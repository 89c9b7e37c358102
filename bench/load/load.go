package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a run.
const (
	MaxConnections = 1024
	MaxDuration    = 5 * time.Minute

	patience  = 30 * time.Second // for answers that are still out when the time is over
	maxAnswer = 64 << 20
)

// AnyStatus takes every answer for a good one.
const AnyStatus = -1

// Requests makes the requests of one connection: each call appends the next one to dst. It is called by one goroutine.
type Requests func(dst []byte) []byte

// Run describes a run. The zero values of Requests and Status do not work.
type Run struct {
	Addr        string // IP:PORT on loopback
	Connections int    // 1
	Duration    time.Duration
	Count       int64         // stop after that many requests, 0: never
	Every       time.Duration // a connection asks that often and not as fast as it can; an answer that is late delays its next request
	Requests    func(connection int) Requests
	Status      int // what every answer must have, or AnyStatus
}

// Result is what a run found. Time is measured from before the write of a request to after the read of its answer.
type Result struct {
	Requests int64 // answered with the status that was wanted
	Elapsed  time.Duration
	Latency  Histogram
}

// Rate is in requests a second.
func (r *Result) Rate() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

// Do carries a run out. An answer with another status, or a connection that breaks, ends it with an error that shows the
// answer: a rate of errors is not worth having.
func (r Run) Do() (*Result, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	workers := make([]*worker, max(r.Connections, 1))
	for i := range workers {
		w, err := dial(r.Addr, r.Status)
		if err != nil {
			return nil, err
		}
		defer func() { _ = w.conn.Close() }()
		workers[i] = w
	}
	var (
		left    atomic.Int64
		failed  atomic.Bool
		wg      sync.WaitGroup
		begun   = time.Now()
		end     = begun.Add(r.Duration)
		bounded = r.Count > 0
	)
	left.Store(r.Count)
	for i, w := range workers {
		next := r.Requests(i)
		if err := w.conn.SetDeadline(end.Add(patience)); err != nil {
			return nil, err
		}
		wg.Go(func() {
			now, due := begun, begun.Add(r.Every*time.Duration(i)/time.Duration(len(workers))) // not all at once
			for now.Before(end) && !failed.Load() {
				if r.Every > 0 {
					time.Sleep(time.Until(due))
					now, due = time.Now(), latest(due, now).Add(r.Every)
				}
				if bounded && left.Add(-1) < 0 {
					return
				}
				if now, w.err = w.exchange(next, now); w.err != nil {
					failed.Store(true)
					return
				}
			}
		})
	}
	wg.Wait()
	result := &Result{Elapsed: time.Since(begun)}
	var err error
	for _, w := range workers {
		result.Requests += w.answers
		result.Latency.Merge(&w.latency)
		if err == nil { // the others' say the same
			err = w.err
		}
	}
	return result, err
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (r *Run) check() error {
	addr, err := netip.ParseAddrPort(r.Addr)
	switch {
	case err != nil:
		return fmt.Errorf("load: %w", err)
	case !addr.Addr().IsLoopback():
		return fmt.Errorf("load: %s is not on this machine", r.Addr)
	case r.Connections > MaxConnections:
		return fmt.Errorf("load: more than %d connections", MaxConnections)
	case r.Duration <= 0 || r.Duration > MaxDuration:
		return fmt.Errorf("load: a run takes more than nothing and at most %v", MaxDuration)
	}
	return nil
}

// One makes one request and returns its answer's body, for a look at what will be measured.
func One(addr string, status int, request []byte) ([]byte, error) {
	if err := (&Run{Addr: addr, Duration: 1}).check(); err != nil {
		return nil, err
	}
	w, err := dial(addr, status)
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.conn.Close() }()
	if err := w.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := w.exchange(func(dst []byte) []byte { return append(dst, request...) }, time.Now()); err != nil {
		return nil, err
	}
	return w.head.body(w.in)
}

// worker is one connection.
type worker struct {
	conn    net.Conn
	status  int
	out, in []byte
	head    head // of the last answer
	answers int64
	latency Histogram
	err     error
}

func dial(addr string, status int) (*worker, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &worker{conn: conn, status: status, in: make([]byte, 0, 32<<10)}, nil
}

// exchange sends a request and reads its answer into w.in. It returns the time after.
func (w *worker) exchange(next Requests, before time.Time) (time.Time, error) {
	w.out = next(w.out[:0])
	if _, err := w.conn.Write(w.out); err != nil {
		return before, err
	}
	w.in = w.in[:0]
	for {
		if len(w.in) == cap(w.in) {
			if len(w.in) >= maxAnswer {
				return before, errors.New("load: the answer is too long")
			}
			w.in = append(make([]byte, 0, 2*cap(w.in)), w.in...)
		}
		n, err := w.conn.Read(w.in[len(w.in):cap(w.in)])
		w.in = w.in[:len(w.in)+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return before, fmt.Errorf("load: after %d bytes of an answer: %w", len(w.in), err)
		}
		whole, err := w.head.parse(w.in)
		if err != nil {
			return before, err
		}
		if whole {
			break
		}
	}
	if w.head.status != w.status && w.status != AnyStatus {
		return before, fmt.Errorf("load: the answer to %.200q is %.400q", w.out, w.in)
	}
	after := time.Now()
	w.latency.Add(after.Sub(before))
	w.answers++
	return after, nil
}
