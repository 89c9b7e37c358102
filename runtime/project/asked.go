package project

import (
	"fmt"

	"github.com/sluice-edge/sluice/hooks"
)

// asked says which guests a deployed manifest binds: the operations on each collection, as bits. It is known also of a bundle
// that could not be loaded, so that what its guests would have judged can be refused.
type asked struct {
	everything bool // the manifest itself cannot be read
	policies   map[string]uint16
	hooks      map[string]uint16
}

func newAsked(m *hooks.Manifest) asked {
	a := asked{policies: map[string]uint16{}, hooks: map[string]uint16{}}
	add := func(to map[string]uint16, collections []string, ops ...hooks.Op) {
		for _, name := range collections {
			for _, op := range ops {
				to[name] |= 1 << op
			}
		}
	}
	for _, b := range m.Bindings {
		switch b.Event {
		case hooks.EventPolicy:
			for _, op := range []hooks.Op{hooks.OpInsert, hooks.OpUpdate, hooks.OpDelete, hooks.OpRead} {
				for _, name := range b.Operations {
					if name == op.String() {
						add(a.policies, b.Collections, op)
					}
				}
			}
			if len(b.Operations) == 0 {
				add(a.policies, b.Collections, hooks.OpInsert, hooks.OpUpdate, hooks.OpDelete)
			}
		case hooks.EventFilter:
			add(a.policies, b.Collections, hooks.OpFilter)
		case hooks.EventBeforeInsert:
			add(a.hooks, b.Collections, hooks.OpInsert)
		case hooks.EventBeforeUpdate:
			add(a.hooks, b.Collections, hooks.OpUpdate)
		case hooks.EventBeforeDelete:
			add(a.hooks, b.Collections, hooks.OpDelete)
		case hooks.EventBeforeSignup:
			add(a.hooks, []string{Users}, hooks.OpSignup)
		case hooks.EventClaims:
			add(a.hooks, []string{Users}, hooks.OpClaims)
		case hooks.EventBeforeUpload:
			add(a.hooks, []string{hooks.Files}, hooks.OpUpload)
		}
	}
	return a
}

// AsksPolicy reports whether the deployed bundle binds a policy to op on a collection; with OpFilter, a filter. It does not
// allocate.
func (s *State) AsksPolicy(collection string, op hooks.Op) bool {
	return s.asked.everything || s.asked.policies[collection]&(1<<op) != 0
}

// AsksHook reports whether the deployed bundle binds a hook to op on a collection; of accounts, which are Users, with OpSignup
// and OpClaims, and of files, which are hooks.Files, with OpUpload. It does not allocate.
func (s *State) AsksHook(collection string, op hooks.Op) bool {
	return s.asked.everything || s.asked.hooks[collection]&(1<<op) != 0
}

// refuseUnasked refuses a binding that the server would never ask: a policy that is silently not asked lets happen what it
// was deployed to prevent. It refuses grants likewise of what is not there.
func refuseUnasked(m *hooks.Manifest, cfg *Config) error {
	for _, b := range m.Bindings {
		if b.Event == hooks.EventBeforeUpload {
			continue // a secret key may always upload, and the hook is asked for it too
		}
		if b.Event == hooks.EventBeforeSignup || b.Event == hooks.EventClaims {
			if !cfg.Auth.Enabled {
				return fmt.Errorf("module %q is bound to the event %q, which never happens: the project has no accounts (auth.enabled)", b.Module, b.Event)
			}
			continue
		}
		for _, name := range b.Collections {
			switch {
			case name == Users && !askedOfUsers(&b):
				return fmt.Errorf("module %q is bound to %q, for which %s is never asked: of accounts %s, %s, %s, %s and policies on update and delete are asked",
					b.Module, name, b.Event, hooks.EventBeforeSignup, hooks.EventClaims, hooks.EventBeforeUpdate, hooks.EventBeforeDelete)
			case cfg.Collection(name) == nil:
				return fmt.Errorf("module %q is bound to the collection %q, which the project does not declare", b.Module, name)
			}
		}
	}
	for _, name := range m.Grants.Read {
		if cfg.Collection(name) == nil {
			return fmt.Errorf("grants.read names the collection %q, which the project does not declare", name)
		}
	}
	return nil
}

// askedOfUsers reports whether accounts have what the binding waits for: users change and delete their own, and nothing else is done to them as
// to documents.
func askedOfUsers(b *hooks.Binding) bool {
	switch b.Event {
	case hooks.EventBeforeUpdate, hooks.EventBeforeDelete:
		return true
	case hooks.EventPolicy:
		for _, op := range b.Operations {
			if op != hooks.OpUpdate.String() && op != hooks.OpDelete.String() {
				return false
			}
		}
		return len(b.Operations) > 0
	}
	return false
}
