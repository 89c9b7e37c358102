package hooks

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
)

// Bundle is a loaded manifest: its modules compiled, tested and ready to be called. All its methods may be called at any
// time from any goroutine.
//
// To replace a bundle under load, publish the new one where requests look for it, then Close the old one. A request
// asks through a Session, so that all its questions go to the same bundle; if there is none to be had the bundle was closed
// meanwhile, and the request looks for its successor.
type Bundle struct {
	host    *Host
	modules []*module // in manifest order
	routes  map[string]*route

	logger   *slog.Logger      // takes its guests' lines
	limits   Limits            // of each call
	config   []byte            // what guests get from config
	readable map[string]string // collections that guests may read, each under its own name

	longUntil atomic.Int64 // tick until which its calls begin in the lane, see instance.queue

	// refs counts holders and calls; closing is its top bit. Once closing is set and the count is 0 it stays 0.
	refs    atomic.Uint64
	drained chan struct{} // closed when that moment comes
	freed   chan struct{} // closed when memory and code are gone
}

const closing = 1 << 63

// route holds the modules bound to one collection, by operation, in manifest order.
type route struct {
	policies [opEnd][]*module
	hooks    [opEnd][]*module
}

// Load checks, compiles and tests a manifest's modules; files holds their bytes by Module.File. A bundle that it
// returns has proved that each module can be brought up and speaks the guest contract; a module that cannot is a
// *LoadError that says why. Load keeps neither files nor options.Config. Compiling takes from milliseconds (C) to seconds (Go); ctx is
// looked at between steps.
func (h *Host) Load(ctx context.Context, m Manifest, files map[string][]byte, options LoadOptions) (*Bundle, error) {
	if err := m.Validate(); err != nil {
		return nil, &LoadError{Why: err.Error(), Err: err}
	}
	return h.load(ctx, m, files, options)
}

// load is Load for a manifest that may bind its modules to nothing.
func (h *Host) load(ctx context.Context, m Manifest, files map[string][]byte, options LoadOptions) (*Bundle, error) {
	if err := m.Limits.within(options.Ceiling.or(h.ceiling)); err != nil {
		return nil, &LoadError{Why: err.Error(), Err: err}
	}
	config, err := parseConfig(options.Config)
	if err != nil {
		return nil, &LoadError{Why: err.Error(), Err: err}
	}
	b := &Bundle{
		host:     h,
		logger:   options.Logger,
		limits:   m.Limits.or(h.options.defaultLimits().lower(options.Ceiling)),
		config:   config,
		readable: make(map[string]string, len(m.Grants.Read)),
		routes:   make(map[string]*route),
		drained:  make(chan struct{}),
		freed:    make(chan struct{}),
	}
	if b.logger == nil {
		b.logger = h.options.Logger
	}
	if options.Config == nil {
		b.config = m.Config.text()
	}
	for _, name := range m.Grants.Read {
		b.readable[name] = name
	}
	if err := h.adopt(b); err != nil {
		return nil, err
	}
	if err := b.load(ctx, m, files); err != nil {
		_ = b.Close(context.WithoutCancel(ctx)) // nobody else has seen b: there is nothing to wait for
		return nil, err
	}
	return b, nil
}

func (b *Bundle) load(ctx context.Context, m Manifest, files map[string][]byte) error {
	byName := make(map[string]*module, len(m.Modules))
	for _, decl := range m.Modules {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("hooks: load module %q: %w", decl.Name, err)
		}
		code, ok := files[decl.File]
		if !ok {
			return &LoadError{Module: decl.Name, Why: fmt.Sprintf("the bundle has no file %q", decl.File)}
		}
		var mod *module
		var err error
		if isScript(decl.File) {
			mod, err = b.script(ctx, decl, code)
		} else {
			mod, err = b.compile(ctx, decl.Name, code)
		}
		if err != nil {
			return err
		}
		b.modules = append(b.modules, mod)
		byName[decl.Name] = mod
	}
	for _, binding := range m.Bindings {
		function, ops, err := binding.slots()
		if err != nil {
			return &LoadError{Module: binding.Module, Why: err.Error(), Err: err} // Validate has let none through
		}
		mod := byName[binding.Module]
		if err := mod.requires(function); err != nil {
			return err
		}
		if mod.script != nil {
			mod.script.events = append(mod.script.events, binding.Event)
		}
		b.bind(mod, function, ops, binding.collections())
	}
	for _, mod := range b.modules {
		if err := mod.selfTest(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bundle) bind(mod *module, function string, ops []Op, collections []string) {
	for _, name := range collections {
		r := b.routes[name]
		if r == nil {
			r = new(route)
			b.routes[name] = r
		}
		table := &r.policies
		if function == exportHook {
			table = &r.hooks
		}
		for _, op := range ops {
			table[op] = append(table[op], mod)
		}
	}
}

// HasPolicy reports whether any policy is bound to op on collection; with OpFilter, whether any filter is. It allocates nothing.
func (b *Bundle) HasPolicy(collection string, op Op) bool {
	r := b.routes[collection]
	return r != nil && op < opEnd && len(r.policies[op]) > 0
}

// HasHook reports whether any hook is bound to op on collection; with OpSignup or OpClaims on Users, and OpUpload on Files, whether the event of that name is
// bound. It allocates nothing.
func (b *Bundle) HasHook(collection string, op Op) bool {
	r := b.routes[collection]
	return r != nil && op < opEnd && len(r.hooks[op]) > 0
}

// policies returns the modules that judge an event.
func (b *Bundle) policies(e *Event) []*module {
	if !b.HasPolicy(e.Collection, e.Op) {
		return nil
	}
	return b.routes[e.Collection].policies[e.Op]
}

// hooks returns the modules that stand before an event.
func (b *Bundle) hooks(e *Event) []*module {
	if !b.HasHook(e.Collection, e.Op) {
		return nil
	}
	return b.routes[e.Collection].hooks[e.Op]
}

// Acquire keeps the bundle usable until Release, whoever closes it. It answers false, and takes nothing, if the bundle
// is closed or closing.
func (b *Bundle) Acquire() bool {
	for {
		refs := b.refs.Load()
		if refs&closing != 0 {
			return false
		}
		if b.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// enter takes a reference for one call. Unlike Acquire it succeeds on a closing bundle that somebody still holds:
// requests in flight end on the bundle on which they began.
func (b *Bundle) enter() bool {
	for {
		refs := b.refs.Load()
		if refs == closing {
			return false
		}
		if b.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

// Release gives back what one successful Acquire took.
func (b *Bundle) Release() {
	refs := b.refs.Add(^uint64(0))
	if refs&^closing == closing-1 {
		panic("hooks: Bundle.Release without Acquire")
	}
	if refs == closing {
		close(b.drained)
	}
}

// Close refuses new holders, waits for the present ones and frees the bundle's instances and code. If ctx ends first
// Close returns the context's error and the bundle is freed later, by itself. A second Close waits likewise.
func (b *Bundle) Close(ctx context.Context) error {
	for {
		refs := b.refs.Load()
		if refs&closing != 0 {
			break // another Close has begun
		}
		if b.refs.CompareAndSwap(refs, refs|closing) {
			if refs == 0 {
				close(b.drained)
			}
			go b.free()
			break
		}
	}
	select {
	case <-b.freed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hooks: close bundle: %w", ctx.Err())
	}
}

// free waits for the last reference and returns everything to the engine.
func (b *Bundle) free() {
	<-b.drained
	for _, mod := range b.modules {
		mod.close()
	}
	b.host.forget(b)
	close(b.freed)
}
