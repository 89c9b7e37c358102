package hooks

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

// Compilers take more than linear time and memory for some modules, and this one cannot be stopped from outside. The caps of package
// meter keep out what is known; for the rest, a module is compiled once in a process of its own that the system bounds, into the
// cache directory, from where the host loads the code.

// order is what a compiler process reads first, as one line of JSON; the module's bytes follow.
type order struct {
	CacheDir    string
	MemoryPages uint32
	Bytes       int64 // of memory, beyond what the process has when it begins
	Seconds     int64 // of processor time
	Idle        bool  // it takes one processor, and that only when nobody else wants it
}

// RunCompiler is the other side of Options.Compiler: what that command does. It reads one module from in, compiles it into the
// cache under the limits that it was told, and returns the process's exit code. Why a module does not compile it
// writes to out.
func RunCompiler(in io.Reader, out io.Writer) int {
	if err := runCompiler(in); err != nil {
		_, _ = fmt.Fprint(out, err) // there is nobody else to tell
		return 1
	}
	return 0
}

func runCompiler(in io.Reader) error {
	r := bufio.NewReader(in)
	line, err := r.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	var o order
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	if err := limitProcess(o.Bytes, o.Seconds); err != nil {
		return fmt.Errorf("limit the compiler: %w", err)
	}
	code, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the module: %w", err)
	}
	ctx := context.Background()
	cache, err := openCache(o.CacheDir)
	if err != nil {
		return err
	}
	workers := 2
	if o.Idle {
		workers = 1
		goruntime.GOMAXPROCS(1)
		if err := idleProcess(); err != nil {
			return fmt.Errorf("let the compiler stand back: %w", err)
		}
	}
	engine := wazero.NewRuntimeWithConfig(ctx, engineConfig(wazero.NewRuntimeConfigCompiler(), o.MemoryPages).WithCompilationCache(cache))
	_, err = engine.CompileModule(experimental.WithCompilationWorkers(ctx, workers), code)
	return errors.Join(err, engine.Close(ctx), cache.Close(ctx))
}

// engineConfig is how every engine is set up. Code of one can be used by another.
func engineConfig(kind wazero.RuntimeConfig, memoryPages uint32) wazero.RuntimeConfig {
	return kind.
		WithCoreFeatures(features).
		WithMemoryLimitPages(min(memoryPages+1, maxMemoryPages)). // one that is never given: see turn
		WithDebugInfoEnabled(false)
}

// compileApart has a rewritten module compiled into the cache by another process, unless it has been before. Its errors are whole
// clauses about the module, or ctx's own.
func (h *Host) compileApart(ctx context.Context, code []byte) error {
	done := filepath.Join(h.options.CacheDir, "compiled", compiledName(code))
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	select {
	case h.compiling <- struct{}{}:
		defer func() { <-h.compiling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := h.runCompilerProcess(ctx, code, false); err != nil {
		return err
	}
	return mark(done)
}

// mark notes that something is in the cache.
func mark(done string) error {
	if err := os.MkdirAll(filepath.Dir(done), 0o700); err != nil {
		return fmt.Errorf("cannot be marked as compiled: %w", err)
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		return fmt.Errorf("cannot be marked as compiled: %w", err)
	}
	return nil
}

func (h *Host) runCompilerProcess(ctx context.Context, code []byte, idle bool) error {
	limit := h.options.CompileTime
	// Processor time is what counts; a machine that is busy with other things gets three times as long, and who stands back far more.
	patience := 3 * limit
	if idle {
		patience *= 20
	}
	timed, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	line, err := json.Marshal(order{
		CacheDir:    h.options.CacheDir,
		MemoryPages: uint32(h.ceiling.MemoryPages),
		Bytes:       h.options.CompileBytes,
		Seconds:     int64((limit + time.Second - 1) / time.Second),
		Idle:        idle,
	})
	if err != nil {
		return err
	}
	var out, log bytes.Buffer
	cmd := h.options.Compiler(timed)
	cmd.Stdin = io.MultiReader(bytes.NewReader(append(line, '\n')), bytes.NewReader(code))
	cmd.Stdout, cmd.Stderr = &capped{&out, 4 << 10}, &capped{&log, 4 << 10}
	cmd.Env = []string{"SystemRoot=" + os.Getenv("SystemRoot")} // nothing of the server's: it may hold secrets
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &exit):
		return fmt.Errorf("cannot be compiled: %w", err)
	case exit.ExitCode() == 1 && out.Len() > 0:
		return fmt.Errorf("does not compile: %s", out.String())
	}
	// Whether it was time or memory cannot be told for sure: a program that is refused memory may die of anything.
	h.options.Logger.WarnContext(ctx, "compiler process died", "error", err, "stderr", log.String())
	return fmt.Errorf("cannot be compiled within %v of processor time and %d MiB of memory: %w", limit, h.options.CompileBytes>>20, err)
}

// compiledName names a module by its code and by what compiles it.
func compiledName(code []byte) string {
	hash := sha256.New()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				_, _ = io.WriteString(hash, dep.Version+"\n") // a hash takes everything
			}
		}
	}
	_, _ = hash.Write(code)
	return hex.EncodeToString(hash.Sum(nil))
}

// capped keeps the first bytes of what is written to it.
type capped struct {
	to   *bytes.Buffer
	room int
}

func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(len(p), c.room)]
	c.room -= len(keep)
	_, err := c.to.Write(keep)
	return len(p), err
}
