package hooks

import (
	"context"
	"fmt"
)

// Policy asks every policy bound to the event's operation and collection, in manifest order, and stops at the first no.
// With none bound the answer is yes.
//
// An error means that a guest broke, was too slow or could not be asked; it must be treated as a denial, and its text is
// not for the caller of the API. Errors: *TrapError, *ABIError, or one that wraps ErrTimeout, ErrBusy, ErrEventTooLarge,
// ErrClosed or ctx's own error.
func (b *Bundle) Policy(ctx context.Context, e *Event) (Decision, error) {
	if !b.enter() {
		return Decision{}, fmt.Errorf("hooks: policy: %w", ErrClosed)
	}
	defer b.Release()
	total := Decision{Allow: true}
	if !b.HasPolicy(e.Collection, e.Op) {
		return total, nil
	}
	for _, mod := range b.routes[e.Collection].policies[e.Op] {
		d, err := mod.call(ctx, exportPolicy, e)
		total.Fuel += d.Fuel
		if err != nil {
			return Decision{Fuel: total.Fuel}, err
		}
		if !d.Allow {
			d.Fuel = total.Fuel
			return d, nil
		}
		total.Allowed = bothAllowed(total.Allowed, d.Allowed)
	}
	return total, nil
}

// Hook asks every hook bound to the event's operation and collection, in manifest order; each sees in After the document
// that the one before it made. It stops at the first no. With none bound the answer is yes, with no new document.
//
// Errors are those of Policy and mean that the write must be refused.
func (b *Bundle) Hook(ctx context.Context, e *Event) (Decision, error) {
	if !b.enter() {
		return Decision{}, fmt.Errorf("hooks: hook: %w", ErrClosed)
	}
	defer b.Release()
	total := Decision{Allow: true}
	if !b.HasHook(e.Collection, e.Op) {
		return total, nil
	}
	event := *e
	for _, mod := range b.routes[e.Collection].hooks[e.Op] {
		d, err := mod.call(ctx, exportHook, &event)
		total.Fuel += d.Fuel
		if err != nil {
			return Decision{Fuel: total.Fuel}, err
		}
		if !d.Allow {
			d.Fuel = total.Fuel
			return d, nil
		}
		if d.Document != nil {
			total.Document = d.Document
			event.After = d.Document
		}
	}
	return total, nil
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
