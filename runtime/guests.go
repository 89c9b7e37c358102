package runtime

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// holdState takes the project's present rules for one attempt, which may be newer than those of the last one, and a session
// with their bundle, which lasts until the request has been answered.
func (r *request) holdState() error {
	for {
		r.state = r.project.State()
		b := r.state.Bundle
		if b == nil || b == r.bundle {
			return nil
		}
		r.endSession()
		if s, ok := b.Session(&r.reader); ok {
			r.session, r.bundle = s, b
			s.Trace() // two looks at the clock, and whoever asks why is told
			return nil
		}
		// It was replaced between the two lines, so there is a newer state, unless the node is closing.
		if err := r.context().Err(); err != nil || r.server.draining.Load() && r.project.State() == r.state {
			return errShuttingDown
		}
	}
}

// holdGuests is holdState for what is refused where a guest cannot be asked.
func (r *request) holdGuests() error {
	if err := r.holdState(); err != nil {
		return err
	}
	if r.state.BundleErr != nil {
		return errBundleDown.because(r.state.BundleErr)
	}
	return nil
}

// endSession gives the bundle back. What guests have changed is put back by somebody who does not keep the caller waiting, unless
// that one is busy.
func (r *request) endSession() {
	if r.session == nil {
		return
	}
	select {
	case r.server.ended <- r.session:
	default:
		r.session.End()
	}
	r.session, r.bundle, r.toldAsked = nil, nil, 0
}

// endSessions ends the sessions of requests that have been answered, until the server stops.
func (s *Server) endSessions() {
	defer close(s.allEnded)
	for {
		select {
		case session := <-s.ended:
			session.End()
		case <-s.stopping.Done():
			return
		}
	}
}

// caller begins an event with what every guest is told.
func (r *request) caller(op hooks.Op, collection string) hooks.Event {
	ev := hooks.Event{Op: op, Collection: collection, Role: r.role.String(), UserID: r.user.UserID, Now: r.start.UnixMilli(), RequestID: string(r.id[:])}
	if r.user.Custom != "" {
		ev.Claims = []byte(r.user.Custom)
	}
	return ev
}

// event describes the change to a guest. Slices are borrowed for the call.
func (r *request) event(ch *change, after []byte) hooks.Event {
	ev := r.caller(ch.op, r.collection.Name)
	ev.Before, ev.After = ch.before, after
	return ev
}

// judged is the end of every question: what the guests spent is counted, what they said told, and a no, or a guest that broke,
// becomes an error. name is what an explanation calls the question.
func (r *request) judged(name string, denied, failed *Error, d *hooks.Decision, err error) error {
	r.fuel += d.Fuel
	r.budget += d.Budget
	switch {
	case err != nil:
		err = r.guestFailed(failed, err)
	case !d.Allow:
		err = r.refusal(denied, d)
	}
	if r.explain != nil {
		r.guestsTold(name, d, err)
	}
	return err
}

// guestsTold tells an explanation what each guest said since the last time.
func (r *request) guestsTold(name string, d *hooks.Decision, err error) {
	asked := r.session.Asked()
	for i := r.toldAsked; i < len(asked); i++ {
		a := &asked[i]
		c := check{Check: name, Module: a.Module, Outcome: outcomePassed, Fuel: a.Fuel, Budget: a.Budget, HostCalls: a.HostCalls, Millis: max(millis(a.Duration), 0.001)}
		last := i == len(asked)-1
		switch {
		case last && err != nil:
			c.refuse(errorFrom(err))
		case a.Err != nil: // a page that was too large was asked about in halves
			c.Outcome, c.Cause = outcomeFailed, a.Err.Error()
		case a.Outcome == hooks.OutcomeChange && d.Document != nil:
			c.Outcome = outcomeRewrote
		}
		if last && err == nil {
			c.Document = d.Document
			for _, f := range d.Filters {
				c.Filters = append(c.Filters, f)
			}
			if d.Allowed != nil {
				c.Note = fmt.Sprintf("%d of %d documents may be seen", count(d.Allowed), len(d.Allowed))
			}
		}
		r.explain.add(c)
	}
	r.toldAsked = len(asked)
}

// count is how many of a page's documents may be seen.
func count(allowed []bool) (n int) {
	for _, ok := range allowed {
		if ok {
			n++
		}
	}
	return n
}

// runHooks lets the project's write hooks accept, rewrite or reject the proposed document; on a delete there is none.
// They run for every key: they are the project's integrity.
func (r *request) runHooks(ch *change, doc []byte) error {
	if !r.state.AsksHook(r.collection.Name, ch.op) {
		return nil
	}
	ev := r.event(ch, doc)
	d, err := r.session.Hook(r.context(), &ev)
	if err := r.judged("hook "+ch.op.String(), errHookRejected, errHookFailed, &d, err); err != nil {
		return err
	}
	if d.Document != nil && ch.op != hooks.OpDelete {
		return r.takeRewritten(ch, d.Document)
	}
	return nil
}

// takeRewritten accepts the document that a hook made, as strictly as it would a client's.
func (r *request) takeRewritten(ch *change, doc []byte) error {
	value, err := r.docParser.Parse(doc, jsondoc.Limits{})
	if err != nil {
		return r.guestFailed(errHookFailed, err)
	}
	if value.Kind() != jsondoc.Object {
		return r.guestFailed(errHookFailed, errors.New("the hook's document is not an object"))
	}
	if id := value.Get("_id"); id.Exists() && string(id.Text()) != ch.stamp.ID {
		return r.guestFailed(errHookFailed, errors.New("the hook changed the document's _id"))
	}
	ch.after = doc
	return nil
}

// needPolicy refuses what policies alone decide and none of these is bound to.
func (r *request) needPolicy(ops ...hooks.Op) error {
	if r.state.BundleErr != nil {
		return errBundleDown.because(r.state.BundleErr)
	}
	for _, op := range ops {
		if r.state.AsksPolicy(r.collection.Name, op) {
			return nil
		}
	}
	return errNoPolicy
}

// askPolicy lets the project's policies judge the exact bytes that would be stored. They bind publishable keys; a
// secret key is trusted.
func askPolicy(r *request, ch *change) error {
	if r.role == auth.RoleSecret || !r.state.AsksPolicy(r.collection.Name, ch.op) {
		return nil
	}
	ev := r.event(ch, ch.after)
	d, err := r.session.Policy(r.context(), &ev)
	return r.judged("policy "+ch.op.String(), errPolicyDenied, errPolicyFailed, &d, err)
}

// guestFailed refuses because a guest broke. The caller learns that, the log of decisions learns why, and once a second the
// server's log. What says something about the moment or the document, and nothing about the guest, is answered as such.
func (r *request) guestFailed(e *Error, cause error) error {
	switch {
	case errors.Is(cause, hooks.ErrEventTooLarge):
		e = errGuestTooLarge
	case errors.Is(cause, hooks.ErrBusy), errors.Is(cause, hooks.ErrTimeout):
		e = errGuestBusy
	}
	about := hooks.Files
	if r.collection != nil {
		about = r.collection.Name
	}
	if held, due := r.server.guestFails.due(r.start); due {
		r.server.log.LogAttrs(r.context(), slog.LevelWarn, "guest failed", slog.String("request_id", string(r.id[:])),
			slog.String("project", r.project.ID), slog.String("collection", about), slog.Any("error", cause), slog.Uint64("held_back", held))
	}
	failed := e.because(cause)
	failed.guest = r.lastAsked()
	failed.guest.cause = cause
	return failed
}

// lastAsked is what is known of the guest that was asked last.
func (r *request) lastAsked() *guestNo {
	g := new(guestNo)
	if r.session == nil {
		return g
	}
	if asked := r.session.Asked(); len(asked) > 0 {
		last := &asked[len(asked)-1]
		g.module, g.code, g.fuel, g.budget = last.Module, last.Code, last.Fuel, last.Budget
	}
	return g
}

// refusal is a guest's no, with the guest's own code, message and status where it gave them.
func (r *request) refusal(e *Error, d *hooks.Decision) error {
	c := *e
	c.guest = r.lastAsked()
	if d.Code != "" {
		room, _, _ := strings.Cut(e.Reason, ".")
		c.Reason = room + "." + d.Code // prefixed, so that a guest cannot speak in the server's name
	}
	if d.Message != "" {
		c.Message = d.Message
	}
	if d.Status >= 400 && d.Status <= 499 {
		c.Status = d.Status
	}
	return &c
}
