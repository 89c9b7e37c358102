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
	if err != nil {
		return r.guestFailed(errHookFailed, err)
	}
	if !d.Allow {
		return refusal(errHookRejected, &d)
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

// askPolicy lets the project's policies judge the exact bytes that would be stored. They bind publishable keys; a
// secret key is trusted.
func askPolicy(r *request, ch *change) error {
	b := r.state.Bundle
	if b == nil || r.role == auth.RoleSecret || !b.HasPolicy(r.collection.Name, ch.op) {
		return nil
	}
	ev := r.event(ch, ch.after)
	d, err := b.Policy(r.context(), &ev)
	r.fuel += d.Fuel
	if err != nil {
		return r.guestFailed(errPolicyFailed, err)
	}
	if !d.Allow {
		return refusal(errPolicyDenied, &d)
	}
	return nil
}

// guestFailed refuses because a guest broke. The caller learns that, the log learns why. What says something about the
// moment or the document, and nothing about the guest, is answered as such.
func (r *request) guestFailed(e *Error, cause error) error {
	switch {
	case errors.Is(cause, hooks.ErrEventTooLarge):
		return errGuestTooLarge.because(cause)
	case errors.Is(cause, hooks.ErrBusy), errors.Is(cause, hooks.ErrTimeout):
		e = errGuestBusy
	}
	r.server.log.LogAttrs(r.context(), slog.LevelWarn, "guest failed", slog.String("request_id", string(r.id[:])),
		slog.String("project", r.project.ID), slog.String("collection", r.collection.Name), slog.Any("error", cause))
	return e.because(cause)
}

// refusal is a guest's no, with the guest's own code, message and status where it gave them.
func refusal(e *Error, d *hooks.Decision) error {
	c := *e
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
