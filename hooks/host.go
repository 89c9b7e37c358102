package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sluice-edge/sluice/hooks/snapshot"
)

// features are those of WebAssembly 2.0 without vectors: no guest language needs them for a verdict, and vector code is
// where compilers err most. Nothing newer is on.
const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// Host owns the engine that compiles and runs guests. Make one for a process. All its methods may be called at any time
// from any goroutine. It has one goroutine of its own, which stops guests that are overdue.
type Host struct {
	options   Options
	ceiling   Limits // how far a bundle may raise its limits
	engine    wazero.Runtime
	cache     wazero.CompilationCache // nil without CacheDir
	watch     *watchdog
	space     *snapshot.Space
	pools     pools
	sessions  sync.Pool     // of *Session
	scripts   scripts       // the engine of guests in JavaScript
	lane      lane          // for calls that run for long
	compiling chan struct{} // holds a token for each compiler process

	mu      sync.Mutex
	closed  bool
	bundles map[*Bundle]struct{} // loaded and not yet freed
}

// NewHost starts an engine. It fails if an option is out of range or the cache directory cannot be used.
func NewHost(ctx context.Context, options Options) (*Host, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	h := &Host{options: options.withDefaults(), bundles: make(map[*Bundle]struct{})}
	defaults := h.options.defaultLimits()
	h.ceiling = h.options.Ceiling.or(defaultCeiling.atLeast(defaults)).atLeast(defaults)
	h.sessions.New = func() any { return new(Session) }
	h.lane.places = max(1, goruntime.GOMAXPROCS(0)/2)
	h.lane.free = h.lane.places
	h.compiling = make(chan struct{}, max(1, goruntime.GOMAXPROCS(0)/2))
	h.pools.limit, h.pools.modules = h.options.PoolBytes, make(map[*module]struct{})
	kind := wazero.NewRuntimeConfigCompiler()
	if h.options.Interpreter {
		kind = wazero.NewRuntimeConfigInterpreter()
	}
	config := engineConfig(kind, uint32(h.ceiling.MemoryPages))
	if dir := h.options.CacheDir; dir != "" && !h.options.Interpreter {
		cache, err := openCache(dir)
		if err != nil {
			return nil, err
		}
		h.cache = cache
		if err := sweepCache(dir); err != nil {
			return nil, errors.Join(err, cache.Close(ctx))
		}
		config = config.WithCompilationCache(cache)
	}
	var err error
	if h.space, err = snapshot.Open(h.options.isolation); err != nil {
		if h.cache != nil {
			err = errors.Join(err, h.cache.Close(ctx))
		}
		return nil, fmt.Errorf("hooks: start engine: %w", err)
	}
	h.engine = wazero.NewRuntimeWithConfig(ctx, config)
	h.watch = newWatchdog()
	if err := h.provideImports(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("hooks: start engine: %w", err), h.Close(ctx))
	}
	return h, nil
}

// openCache opens dir as a store of compiled code. The code in it is run as it is, so nobody else may write there.
func openCache(dir string) (wazero.CompilationCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("hooks: make cache directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, fmt.Errorf("hooks: make cache directory private: %w", err)
	}
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, fmt.Errorf("hooks: open cache directory: %w", err)
	}
	return cache, nil
}

// halfFileAge is how old a file must be that nobody will finish: compilers live for seconds.
const halfFileAge = time.Hour

// sweepCache removes what compilers that were killed had begun to write. Others may use the directory as well.
func sweepCache(dir string) error {
	half, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*.tmp"))
	for _, name := range half {
		if info, e := os.Stat(name); e == nil && time.Since(info.ModTime()) > halfFileAge {
			err = errors.Join(err, os.Remove(name))
		}
	}
	if err != nil {
		return fmt.Errorf("hooks: clean the cache directory: %w", err)
	}
	return nil
}

// Close closes every bundle, waiting for their calls in flight, and frees the engine. If ctx ends first it returns the
// context's error and frees nothing: native code must not go while it runs. A second Close does nothing.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	open := make([]*Bundle, 0, len(h.bundles))
	for b := range h.bundles {
		open = append(open, b)
	}
	h.mu.Unlock()
	for _, b := range open {
		if err := b.Close(ctx); err != nil {
			return err
		}
	}
	h.scripts.close()
	h.watch.close()
	err := h.engine.Close(ctx)
	if h.cache != nil {
		err = errors.Join(err, h.cache.Close(ctx))
	}
	h.space.Close()
	return err
}

// Isolation names the way in which guests are made to forget, for a server's log: it depends on the operating system.
func (h *Host) Isolation() string { return h.space.Method().String() }

// adopt registers a bundle with the host that must close it, unless the host is closed already.
func (h *Host) adopt(b *Bundle) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("hooks: load bundle: %w", ErrClosed)
	}
	h.bundles[b] = struct{}{}
	return nil
}

func (h *Host) forget(b *Bundle) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.bundles, b)
}
