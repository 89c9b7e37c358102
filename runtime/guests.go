package runtime

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/kv/jsondoc"
	"github.com/sluice-edge/sluice/runtime/auth"
)

// event describes the change to a guest. Slices are borrowed for the call.
func (r *request) event(ch *change, after []byte) hooks.Event {
	return hooks.Event{
		Op: ch.op, Collection: r.collection.Name, Role: r.role.String(), UserID: r.user.UserID,
		Before: ch.before, After: after, Now: r.start.UnixMilli(), RequestID: string(r.id[:]),
	}
}

// runHooks lets the project's write hooks accept, rewrite or reject the proposed document; on a delete there is none.
// They run for every key: they are the project's integrity.
func (r *request) runHooks(ch *change, doc []byte) error {
	b := r.state.Bundle
	if b == nil || !b.HasHook(r.collection.Name, ch.op) {
		return nil
	}
	ev := r.event(ch, doc)
	d, err := b.Hook(r.context(), &ev)
	r.fuel += d.Fuel
	switch {
	case err != nil:
		err = r.guestFailed(errHookFailed, err)
	case !d.Allow:
		err = refusal(errHookRejected, &d)
	}
	if r.explain != nil {
		r.guestTold("hook", ch.op, &d, err)
	}
	if err != nil {
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

// needPolicy refuses what policies alone decide and none is bound to.
func (r *request) needPolicy(op hooks.Op) error {
	switch b := r.state.Bundle; {
	case r.state.BundleErr != nil:
		return errBundleDown.because(r.state.BundleErr)
	case b == nil || !b.HasPolicy(r.collection.Name, op):
		return errNoPolicy
	}
	return nil
}

// askPolicy lets the project's policies judge the exact bytes that would be stored. They bind publishable keys; a
// secret key is trusted.
func askPolicy(r *request, ch *change) error {
	if r.role == auth.RoleSecret || !r.asksPolicy(ch.op) {
		return nil
	}
	ev := r.event(ch, ch.after)
	d, err := r.state.Bundle.Policy(r.context(), &ev)
	r.fuel += d.Fuel
	switch {
	case err != nil:
		err = r.guestFailed(errPolicyFailed, err)
	case !d.Allow:
		err = refusal(errPolicyDenied, &d)
	}
	if r.explain != nil {
		r.guestTold("policy", ch.op, &d, err)
	}
	return err
}

// guestTold tells an explanation what guests said.
func (r *request) guestTold(kind string, op hooks.Op, d *hooks.Decision, err error) {
	c := check{Check: kind + " " + op.String(), Outcome: outcomePassed, Fuel: d.Fuel, Document: d.Document}
	if d.Document != nil {
		c.Outcome = outcomeRewrote
	}
	if err != nil {
		c.refuse(errorFrom(err))
	}
	r.explain.add(c)
}

// asksPolicy reports whether a policy is bound to what is done to the request's collection.
func (r *request) asksPolicy(op hooks.Op) bool {
	return r.state.Bundle != nil && r.state.Bundle.HasPolicy(r.collection.Name, op)
}

// guestFailed refuses because a guest broke. The caller learns that, the log of decisions learns why, and once a second the
// server's log. What says something about the
// moment or the document, and nothing about the guest, is answered as such.
func (r *request) guestFailed(e *Error, cause error) error {
	switch {
	case errors.Is(cause, hooks.ErrEventTooLarge):
		return errGuestTooLarge.because(cause)
	case errors.Is(cause, hooks.ErrBusy), errors.Is(cause, hooks.ErrTimeout):
		e = errGuestBusy
	}
	if held, due := r.server.guestFails.due(r.start); due {
		r.server.log.LogAttrs(r.context(), slog.LevelWarn, "guest failed", slog.String("request_id", string(r.id[:])),
			slog.String("project", r.project.ID), slog.String("collection", r.collection.Name), slog.Any("error", cause), slog.Uint64("held_back", held))
	}
	failed := e.because(cause)
	failed.guest = guestCause(cause)
	return failed
}

// refusal is a guest's no, with the guest's own code, message and status where it gave them.
func refusal(e *Error, d *hooks.Decision) error {
	c := *e
	c.guest = &guestNo{module: d.Module, code: d.Code, fuel: d.Fuel}
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
