package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-edge/sluice/hooks/meter"
	"github.com/sluice-edge/sluice/hooks/quickjs"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

// A script is a guest in JavaScript: one module of a bundle whose file is text. What runs is the engine, a guest module of ours
// (package quickjs) that is compiled once for the host and shared by all scripts. Its image, taken when the language runtime
// stands and before any script, is where each script starts from: to load one is to run its text and take an image of what has become
// of the memory. From there on it is a module like others: metered, bounded, put back after every call.

// script is what a module has that is one.
type script struct {
	file   string
	text   []byte   // nil once it has been loaded
	events []string // that it is bound to, and so must export
}

// scriptEvents are the exports of a script, each named as the event that it answers; bit i of what load returns is the i-th.
var scriptEvents = []string{EventPolicy, EventBeforeInsert, EventBeforeUpdate, EventBeforeDelete, EventFilter, EventBeforeSignup, EventClaims, EventBeforeUpload}

// maxScriptBytes bounds a script. The engine's memory must hold its text and what it becomes.
const maxScriptBytes = 1 << 20

// scriptStack is how deep the engine may go by the bounds of package meter: so deep that the engine's own bound always comes
// first, since it ends in an exception that says where.
const scriptStack = 8 << 20

// isScript reports whether a module's file is a script. A script in TypeScript has lost its types before it is deployed.
func isScript(file string) bool {
	return slices.Contains([]string{".js", ".mjs", ".ts", ".mts"}, path.Ext(file))
}

// scripts is the host's engine for scripts, made when the first one is loaded.
type scripts struct {
	mu     sync.Mutex
	engine *module // its state is the image that scripts start from; nil: not made yet
}

// scriptEngine returns the engine. The first call compiles it, which takes half a second where no cache has it.
func (h *Host) scriptEngine(ctx context.Context) (*module, error) {
	h.scripts.mu.Lock()
	defer h.scripts.mu.Unlock()
	if h.scripts.engine != nil {
		return h.scripts.engine, nil
	}
	// The engine belongs to the host. The bundle that a module must have is one that nothing can be asked of.
	nobody := &Bundle{host: h, limits: h.options.defaultLimits(), logger: h.options.Logger}
	engine, err := nobody.compile(ctx, "quickjs", quickjs.Wasm)
	if err != nil {
		return nil, err
	}
	engine.stack = scriptStack
	if err := engine.start(ctx); err != nil {
		engine.close()
		return nil, err
	}
	h.scripts.engine = engine
	return engine, nil
}

// WarmScripts has the engine for scripts compiled into the cache, so that the first script that is loaded need not wait for it: half a
// second of a processor, in a process of its own that stands back behind everybody else. It does nothing if that has been done before, or if there is no Compiler. A
// script that is loaded meanwhile does not wait for it. Errors are for a log: what is not warm is compiled when it is needed.
func (h *Host) WarmScripts(ctx context.Context) error {
	if h.options.Compiler == nil || h.options.Interpreter {
		return nil
	}
	// To rewrite the engine costs some milliseconds and megabytes, so it is not done at every start: only where this very compiler,
	// which is usually this binary, has not compiled it.
	compiler, err := os.Stat(h.options.Compiler(ctx).Path)
	if err != nil {
		return fmt.Errorf("hooks: warm scripts: %w", err)
	}
	warm := filepath.Join(h.options.CacheDir, "compiled", fmt.Sprintf("scripts-%x-%x-%d", compiler.Size(), compiler.ModTime().UnixNano(), h.ceiling.MemoryPages))
	if _, err := os.Stat(warm); err == nil {
		return nil
	}
	parsed, err := wasmbin.Decode(quickjs.Wasm)
	if err != nil {
		return fmt.Errorf("hooks: warm scripts: %w", err)
	}
	code, _, _, err := rewrite(parsed)
	if err != nil {
		return fmt.Errorf("hooks: warm scripts: %w", err)
	}
	done := filepath.Join(h.options.CacheDir, "compiled", compiledName(code))
	if _, err := os.Stat(done); err != nil {
		if err := h.runCompilerProcess(ctx, code, true); err != nil {
			return fmt.Errorf("hooks: warm scripts: %w", err)
		}
		if err := mark(done); err != nil {
			return fmt.Errorf("hooks: warm scripts: %w", err)
		}
	}
	if err := mark(warm); err != nil {
		return fmt.Errorf("hooks: warm scripts: %w", err)
	}
	return nil
}

// start brings the engine up to where scripts begin.
func (m *module) start(ctx context.Context) error {
	image, err := m.host.space.Image(m.memory)
	m.memory = nil
	if err != nil {
		return fmt.Errorf("hooks: module %q: %w", m.name, err)
	}
	raw := &state{image: image}
	defer raw.close()
	in, err := m.instantiate(ctx, raw)
	if err != nil {
		return err
	}
	defer in.close()
	in.begin(m.host.options.InitFuel, m.host.options.InitTime)
	defer in.end()
	if _, err := in.invoke(exportInitialize); err != nil {
		return err
	}
	m.state, err = in.captureScript()
	return err
}

// close frees the engine. No script may be loaded.
func (s *scripts) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.engine != nil {
		s.engine.close()
		s.engine = nil
	}
}

// script makes a module of a script's text, which is run by prepare.
func (b *Bundle) script(ctx context.Context, decl Module, text []byte) (*module, error) {
	h := b.host
	if len(text) > min(maxScriptBytes, int(h.options.ModuleBytes)) {
		return nil, &LoadError{Module: decl.Name, Why: fmt.Sprintf("has %d bytes, at most %d are allowed for a script", len(text), maxScriptBytes)}
	}
	engine, err := h.scriptEngine(ctx)
	if err != nil {
		return nil, err
	}
	return &module{
		host: h, bundle: b, name: decl.Name, code: engine.code, globals: engine.globals, maxPages: engine.maxPages, base: engine.base, stack: engine.stack,
		report:  ModuleReport{Name: decl.Name, Bytes: len(text), Imports: []string{}, Exports: []string{}}, // there is nothing to import
		permits: make(chan struct{}, h.options.Instances), script: &script{file: decl.File, text: text},
	}, nil
}

// prepareScript runs the script and keeps what has become of the engine.
func (m *module) prepareScript(ctx context.Context) error {
	engine, err := m.host.scriptEngine(ctx)
	if err != nil {
		return err
	}
	in, err := m.instantiate(ctx, engine.state)
	if err != nil {
		return err
	}
	defer in.close()
	in.begin(m.host.options.InitFuel, m.host.options.InitTime)
	defer in.end()
	exports, err := in.loadScript(m.script.file, m.script.text)
	m.script.text = nil
	if err != nil {
		return err
	}
	for i, event := range scriptEvents {
		if exports&(1<<i) != 0 {
			m.report.Exports = append(m.report.Exports, event)
		}
	}
	m.report.MemoryBytes, m.report.InitFuel = int64(in.memory.Size()), uint64(min(in.budget-in.left(), in.budget))
	for _, event := range m.script.events {
		if !slices.Contains(m.report.Exports, event) {
			return &LoadError{Module: m.name, Why: fmt.Sprintf("%s exports no function %s, which is bound to it", m.script.file, event)}
		}
	}
	m.state, err = in.captureScript()
	return err
}

// captureScript is capture of an instance of the engine, which knows where its memory ends being zeros. Most of it is: to read that
// would take longer than all the rest of loading.
func (in *instance) captureScript() (*state, error) {
	used, err := in.invoke("used")
	if err != nil {
		return nil, err
	}
	memory, ok := in.memory.Read(0, uint32(used))
	if !ok {
		return nil, &ABIError{Module: in.module.name, Why: "it uses more memory than it has"}
	}
	return in.captureOf(memory)
}

// loadScript gives the engine a script and returns the set of what it exports.
func (in *instance) loadScript(file string, text []byte) (exports uint64, err error) {
	if err := in.makeBuffer(); err != nil {
		return 0, err
	}
	source, err := in.invoke("source", uint64(len(file)+1+len(text)))
	if err != nil {
		return 0, err
	}
	if !in.memory.Write(uint32(source), slices.Concat([]byte(file), []byte{0}, text)) || source == 0 {
		return 0, fmt.Errorf("hooks: module %q: the script does not fit into its memory", in.module.name)
	}
	result, err := in.invoke("load", source, uint64(len(file)), uint64(len(text)))
	if err != nil {
		return 0, err
	}
	if no, ptr, size := splitResult(result); no {
		why, _ := in.memory.Read(ptr, size)
		return 0, &LoadError{Module: in.module.name, Why: strings.TrimSpace(string(why))}
	}
	return result, nil
}

// exception returns the exception that the last call ended with as a *ScriptError, nil if it did not end so.
func (in *instance) exception() error {
	in.stack[0] = 0
	in.fuel.Set(meter.Slice) // the call may have spent its own to the last unit
	if err := in.failed.CallWithStack(in.ctx, in.stack[:1]); err != nil {
		return err
	}
	_, ptr, size := splitResult(in.stack[0])
	if size == 0 {
		return nil
	}
	text, ok := in.memory.Read(ptr, min(size, maxException))
	if !ok {
		return fmt.Errorf("its text is outside of its memory")
	}
	return &ScriptError{Module: in.module.name, Text: strings.ToValidUTF8(strings.TrimSpace(string(text)), "\ufffd")}
}

// isException reports whether an error is a script's own exception, which leaves the engine sound.
func isException(err error) bool {
	var threw *ScriptError
	return errors.As(err, &threw)
}

// maxException bounds how much of an exception's text is kept.
const maxException = 4 << 10
