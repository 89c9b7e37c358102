// Package figure takes the figures of a server under load, and holds what is needed to tell of them.
package figure

import (
	"errors"
	goruntime "runtime"
	"time"

	"github.com/sluice-edge/sluice/bench/load"
	"github.com/sluice-edge/sluice/bench/process"
)

const sampleEvery = 100 * time.Millisecond // of memory

// Slice is what one short run against one server found.
type Slice struct {
	Rate     float64 // requests a second
	P50, P99 time.Duration
	CPU      time.Duration // of the server, for a request
	Peak     int64         // anonymous memory, bytes
	Foreign  float64       // part of the machine that neither the server nor the load used
}

// Take loads the server with the run, whose address it fills in.
func Take(server *process.Server, run load.Run) (*Slice, error) {
	run.Addr = server.Addr
	before, err := readUsage(server)
	if err != nil {
		return nil, err
	}
	stop, peak := make(chan struct{}), make(chan int64)
	go func() { peak <- sample(server, stop) }()
	result, err := run.Do()
	close(stop)
	s := &Slice{Peak: <-peak}
	if err != nil {
		return nil, err
	}
	after, err := readUsage(server)
	if err != nil {
		return nil, err
	}
	s.Rate = result.Rate()
	s.P50, s.P99 = result.Latency.Quantile(0.5), result.Latency.Quantile(0.99)
	s.CPU = (after.server - before.server) / time.Duration(max(result.Requests, 1))
	foreign := (after.busy - before.busy) - (after.server - before.server) - (after.own - before.own)
	s.Foreign = max(0, foreign.Seconds()/after.at.Sub(before.at).Seconds()/float64(goruntime.NumCPU()))
	return s, nil
}

// sample returns the most anonymous memory that was seen until stop.
func sample(server *process.Server, stop <-chan struct{}) (most int64) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		if now, err := server.Anonymous(); err == nil {
			most = max(most, now)
		}
		select {
		case <-tick.C:
		case <-stop:
			return most
		}
	}
}

type usage struct {
	server, own, busy time.Duration
	at                time.Time
}

func readUsage(s *process.Server) (u usage, err error) {
	var errs [3]error
	u.server, errs[0] = s.CPU()
	u.own, errs[1] = process.Own()
	u.busy, errs[2] = process.Busy()
	u.at = time.Now()
	return u, errors.Join(errs[:]...)
}
