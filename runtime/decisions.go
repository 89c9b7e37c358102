package runtime

import (
	"sync/atomic"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/journal"
)

// guestNo is what is told about the guest that said no, or broke.
type guestNo struct {
	module string
	code   string // its own word
	fuel   uint64 // that it spent
	budget uint64 // that it had
	cause  error  // of its failure
}

// subject is the document that a request is about, for whoever reads why it was refused.
type subject struct {
	op    hooks.Op // 0: not known yet, or an account
	id    kv.DocID
	known bool // whether id says something
}

// about notes which document is judged.
func (r *request) about(ch *change) {
	r.subject = subject{op: ch.op, id: ch.id, known: ch.op != hooks.OpInsert || ch.chosen}
}

// refusalEntry is what the log of decisions and an explanation tell of a refusal.
func (r *request) refusalEntry(e *Error) journal.Refusal {
	entry := journal.Refusal{
		Time: r.server.now(), RequestID: string(r.id[:]), Route: r.route.method + " " + r.route.pattern,
		Role: r.role.String(), UserID: r.user.UserID, Status: e.Status, Reason: e.Reason, Message: e.Message,
	}
	entry.Millis = millis(entry.Time.Sub(r.start))
	if r.collection != nil {
		entry.Collection = r.collection.Name
	}
	if r.subject.op != 0 {
		entry.Operation = r.subject.op.String()
	}
	if r.subject.known {
		entry.DocumentID = r.subject.id.String()
	}
	told := e
	if e.hides != nil {
		told = e.hides
		entry.Hides = told.Reason
	}
	if g := told.guest; g != nil {
		entry.Module, entry.Code, entry.Fuel, entry.Budget = g.module, g.code, g.fuel, g.budget
		if g.cause != nil {
			entry.Cause = g.cause.Error()
		}
	} else if told.denial && told.cause != nil {
		entry.Cause = told.cause.Error()
	}
	return entry
}

// isDecision reports whether an error is a rule's or a guest's no, rather than a mistake of the caller's.
func (e *Error) isDecision() bool { return e.denial || e.guest != nil || e.hides != nil }

// recordRefusal enters a refusal into the project's log of decisions.
func (r *request) recordRefusal(e *Error) {
	if r.project != nil && e.isDecision() {
		r.project.Journal.Refuse(r.refusalEntry(e))
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// seldom lets one in a second through, so that a caller who makes a guest fail over and over cannot fill the server's log.
// Each failure is in the project's log of decisions.
type seldom struct {
	last atomic.Int64
	held atomic.Uint64 // kept back since the last one that went through
}

// due reports whether it is time again, and how many were held back meanwhile.
func (s *seldom) due(now time.Time) (held uint64, ok bool) {
	last := s.last.Load()
	if now.UnixNano()-last < int64(time.Second) || !s.last.CompareAndSwap(last, now.UnixNano()) {
		s.held.Add(1)
		return 0, false
	}
	return s.held.Swap(0), true
}
