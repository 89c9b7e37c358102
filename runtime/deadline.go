package runtime

import (
	"context"
	"time"
)

// readContext bounds a read by the request's time. It has no Done channel and so no timer, which on a list costs more than
// what it watches over: kv asks Err between documents, and a read waits for nothing else.
type readContext struct {
	context.Context // Background
	end             time.Time
	now             func() time.Time
}

func (c *readContext) Deadline() (time.Time, bool) { return c.end, true }

// Err is context.DeadlineExceeded once the time is up.
func (c *readContext) Err() error {
	if c.now().After(c.end) {
		return context.DeadlineExceeded
	}
	return nil
}

// reading returns the context of the request's reads. It is part of the request and costs nothing.
func (r *request) reading() context.Context {
	r.readCtx = readContext{context.Background(), r.start.Add(r.server.opt.Timeout), r.server.now}
	return &r.readCtx
}
