package hooks

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Session is what one request asks a bundle's guests through. It keeps the bundle usable, whoever closes it, and puts off
// what the caller of the API need not wait for: the instances that answered are restored by End, which belongs behind the
// last byte of the answer. A request that is faster at its next event than End finds a restored instance in the pool, or restores
// one itself: every event finds its guest as the snapshot has it, whatever came before.
//
// A Session belongs to one goroutine. Sessions are pooled: after End nothing of it may be used, the slice that
// Trace returned included.
type Session struct {
	bundle  *Bundle
	reader  Reader
	touched []*module // those with instances that End restores
	event   Event     // of a hook, as the one before it left the document

	tracing bool
	trace   []Asked
}

// Session begins a request's questions. reader answers what guests read; nil: a guest that reads fails. It returns
// false, and takes nothing, if the bundle is closed or closing; the request then looks for its successor. The caller must
// End the session.
func (b *Bundle) Session(reader Reader) (*Session, bool) {
	if !b.Acquire() {
		return nil, false
	}
	return b.session(reader), true
}

// session wraps a reference that the caller has taken.
func (b *Bundle) session(reader Reader) *Session {
	s := b.host.sessions.Get().(*Session)
	s.bundle, s.reader = b, reader
	return s
}

// Trace has the session remember each guest that it asks from now on; Asked returns them. It costs two looks at the clock
// for each guest; without it nothing is kept and no clock is read.
func (s *Session) Trace() { s.tracing = true }

// Asked returns the guests asked since Trace, in order. The slice is the session's.
func (s *Session) Asked() []Asked { return s.trace }

// End restores what the session's guests have changed and gives the bundle back. It is quick, but it need not be waited
// for: call it when the answer has been written. Where writing may take long, as a long answer to a slow reader does,
// call it before: a bundle that is replaced meanwhile waits for it.
func (s *Session) End() {
	for i, mod := range s.touched {
		mod.tidy()
		s.touched[i] = nil
	}
	b := s.bundle
	clear(s.trace)
	*s = Session{touched: s.touched[:0], trace: s.trace[:0]}
	b.host.sessions.Put(s)
	b.Release()
}

// Policy asks every policy bound to the event's operation and collection, in manifest order, and stops at the first no.
// With none bound the answer is yes. On OpRead it judges a page of documents, see Decision.Allowed.
//
// An error means that a guest broke, was too slow or could not be asked; it must be treated as a denial, and its text is
// not for the caller of the API. Errors: *TrapError, *ABIError, one that wraps ErrFuel, ErrStack, ErrTimeout, ErrBusy,
// ErrEventTooLarge, ErrNotGranted, ErrNoReader, ErrHostCalls, ErrReadTooLarge, ctx's own error or an error of the Reader.
func (s *Session) Policy(ctx context.Context, e *Event) (Decision, error) {
	total := Decision{Allow: true}
	for _, mod := range s.bundle.policies(e) {
		d, err := s.ask(ctx, mod, &policyQuestions[e.Op], e)
		total.Fuel, total.Budget = total.Fuel+d.Fuel, total.Budget+d.Budget
		if err != nil || !d.Allow {
			d.Fuel, d.Budget = total.Fuel, total.Budget
			return d, err
		}
		total.Allowed = bothAllowed(total.Allowed, d.Allowed)
		if d.Filters != nil {
			total.Filters = append(total.Filters, d.Filters...)
		}
	}
	return total, nil
}

// Filter asks every filter bound to the event's collection, once for a whole list. A no means that the caller may read
// nothing there. With a yes, every predicate in Decision.Filters must hold for a document to be found. Errors are those of Policy.
// The event's operation is set to OpFilter.
func (s *Session) Filter(ctx context.Context, e *Event) (Decision, error) {
	e.Op = OpFilter
	return s.Policy(ctx, e)
}

// Hook asks every hook bound to the event's operation and collection, in manifest order; each sees in After the document
// that the one before it made. It stops at the first no. With none bound the answer is yes, with no new document.
//
// Errors are those of Policy and mean that the write must be refused.
func (s *Session) Hook(ctx context.Context, e *Event) (Decision, error) {
	total := Decision{Allow: true}
	mods := s.bundle.hooks(e)
	if len(mods) == 0 {
		return total, nil
	}
	s.event = *e
	for _, mod := range mods {
		d, err := s.ask(ctx, mod, &hookQuestions[e.Op], &s.event)
		total.Fuel, total.Budget = total.Fuel+d.Fuel, total.Budget+d.Budget
		if err != nil || !d.Allow {
			d.Fuel, d.Budget = total.Fuel, total.Budget
			return d, err
		}
		if d.Document != nil {
			total.Document = d.Document
			s.event.After = d.Document
		}
		if d.Claims != nil {
			total.Claims = d.Claims
		}
	}
	return total, nil
}

// Signup asks every hook that stands before a new account, in manifest order, likewise. After is the profile that would be stored,
// without the password; a rewritten one is in Decision.Document. Operation and collection of the event are set.
func (s *Session) Signup(ctx context.Context, e *Event) (Decision, error) {
	e.Op, e.Collection = OpSignup, Users
	return s.Hook(ctx, e)
}

// Claims asks the guest bound to claims what goes into a user's access token: Decision.Claims. Before is the user's profile,
// without the password. A no means that the user gets no token. Operation and collection of the event are set.
func (s *Session) Claims(ctx context.Context, e *Event) (Decision, error) {
	e.Op, e.Collection = OpClaims, Users
	return s.Hook(ctx, e)
}

// Upload asks every hook that stands before an upload, in manifest order. After is what is known of the file before its bytes are:
// name, contentType, size, visibility. It can be refused and not rewritten. Operation and collection of the event are set.
func (s *Session) Upload(ctx context.Context, e *Event) (Decision, error) {
	e.Op, e.Collection = OpUpload, Files
	return s.Hook(ctx, e)
}

// ask asks one guest.
func (s *Session) ask(ctx context.Context, mod *module, q *question, e *Event) (Decision, error) {
	var begun time.Time
	if s.tracing {
		begun = time.Now()
	}
	d, calls, err := mod.ask(ctx, s.reader, q, e)
	if !slices.Contains(s.touched, mod) {
		s.touched = append(s.touched, mod)
	}
	if s.tracing {
		s.trace = append(s.trace, Asked{
			Module: mod.name, Event: q.event, Op: e.Op, Collection: e.Collection, Outcome: outcome(&d, err), Code: d.Code, Err: err,
			Fuel: d.Fuel, Budget: d.Budget, HostCalls: calls, Duration: time.Since(begun),
		})
	}
	return d, err
}

// Policy is Session.Policy of a session of its own, without a Reader.
func (b *Bundle) Policy(ctx context.Context, e *Event) (Decision, error) {
	return b.once(ctx, e, (*Session).Policy)
}

// Hook is Session.Hook of a session of its own, without a Reader.
func (b *Bundle) Hook(ctx context.Context, e *Event) (Decision, error) {
	return b.once(ctx, e, (*Session).Hook)
}

// once asks one question. Unlike Session it succeeds on a closing bundle that somebody still holds.
func (b *Bundle) once(ctx context.Context, e *Event, ask func(*Session, context.Context, *Event) (Decision, error)) (Decision, error) {
	if !b.enter() {
		return Decision{}, fmt.Errorf("hooks: ask: %w", ErrClosed)
	}
	s := b.session(nil)
	defer s.End()
	return ask(s, ctx, e)
}

// bothAllowed joins two policies' answers about one page; nil stands for all of it. It may reuse a.
func bothAllowed(a, b []bool) []bool {
	if a == nil {
		return b
	}
	for i := range b {
		a[i] = a[i] && b[i]
	}
	return a
}
