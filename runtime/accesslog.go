package runtime

import (
	"bufio"
	"io"
	"strconv"
	"sync"
	"time"
)

// flushInterval is how long a line of the access log may wait for others before it is written.
const flushInterval = 250 * time.Millisecond

// accessLog writes one JSON line a request. Lines are gathered and written together: a write system call a request
// would cost more than the request. A nil *accessLog logs nothing.
type accessLog struct {
	mu   sync.Mutex // guards w and line
	w    *bufio.Writer
	line []byte
	stop chan struct{}
	done chan struct{}
}

func newAccessLog(w io.Writer) *accessLog {
	if w == nil {
		return nil
	}
	l := &accessLog{w: bufio.NewWriterSize(w, 64<<10), stop: make(chan struct{}), done: make(chan struct{})}
	go l.flushNowAndThen()
	return l
}

func (l *accessLog) flushNowAndThen() {
	defer close(l.done)
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			_ = l.w.Flush() // a full disk must not stop the node; the line is lost
			l.mu.Unlock()
		case <-l.stop:
			return
		}
	}
}

// accessEntry is what a line says. Path is the route's pattern, never the raw path or query: those may hold keys.
type accessEntry struct {
	Time      time.Time
	RequestID []byte
	Project   string
	Method    string
	Route     string
	Status    int
	Duration  time.Duration
	Bytes     int
	Reason    string
	Fuel      uint64 // that guests spent
	Budget    uint64 // that they could have spent
}

func (l *accessLog) log(e *accessEntry) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := append(l.line[:0], `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","level":"INFO","msg":"request","request_id":"`...)
	b = append(b, e.RequestID...)
	b = append(b, `","project":"`...)
	b = append(b, e.Project...)
	b = append(b, `","method":"`...)
	b = append(b, e.Method...)
	b = append(b, `","route":"`...)
	b = append(b, e.Route...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, `,"dur_ms":`...)
	b = strconv.AppendFloat(b, float64(e.Duration.Microseconds())/1000, 'f', 3, 64)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(e.Bytes), 10)
	if e.Reason != "" {
		b = append(b, `,"reason":"`...)
		b = append(b, e.Reason...)
		b = append(b, '"')
	}
	if e.Fuel != 0 {
		b = append(b, `,"fuel":`...)
		b = strconv.AppendUint(b, e.Fuel, 10)
		b = append(b, `,"budget":`...)
		b = strconv.AppendUint(b, e.Budget, 10)
	}
	b = append(b, '}', '\n')
	l.line = b
	_, _ = l.w.Write(b)
}

// Close writes what is still waiting.
func (l *accessLog) Close() error {
	close(l.stop)
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Flush()
}
