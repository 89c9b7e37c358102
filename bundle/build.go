package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Built says what became of one module.
type Built struct {
	Module   string        `json:"module"`
	Language string        `json:"language"`
	File     string        `json:"file"`
	Bytes    int64         `json:"bytes"`
	Took     time.Duration `json:"-"`
}

// command is one run of a compiler.
type command struct {
	dir  string
	env  []string // on top of the environment
	args []string
}

// BuildError is a compiler's no.
type BuildError struct {
	Module  string
	Command string
	Output  string // what the compiler said
	Err     error
}

func (e *BuildError) Error() string {
	text := fmt.Sprintf("module %s was not built: %s: %v", e.Module, e.Command, e.Err)
	if e.Output != "" {
		text += "\n" + e.Output
	}
	return text
}

func (e *BuildError) Unwrap() error { return e.Err }

// ToolError says which tool is missing and how to get it.
type ToolError struct{ Tool, Get string }

func (e *ToolError) Error() string {
	return fmt.Sprintf("%s is not installed: %s", e.Tool, e.Get)
}

// Build makes a module from its sources. The module's file is replaced when the build has succeeded, and left as it was
// otherwise. A source that needs no build is only looked at. Errors: *ToolError, *BuildError.
func (d *Dir) Build(ctx context.Context, s *Source) (*Built, error) {
	if s.Language == nil {
		return nil, fmt.Errorf("module %s: there are no sources for %s, neither in %s nor beside the manifest", s.Module.Name, s.Module.File, filepath.Join(d.Path, s.Module.Name))
	}
	file, err := d.output(s.Module)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if s.Builds() {
		if err := s.compile(ctx, file); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	return &Built{Module: s.Module.Name, Language: s.Language.Name, File: s.Module.File, Bytes: info.Size(), Took: time.Since(begun)}, nil
}

// compile runs the language's compiler into a file beside the module and puts it in the module's place.
func (s *Source) compile(ctx context.Context, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	// Some compilers choose what they write by the ending.
	fresh := filepath.Join(filepath.Dir(absolute), ".build-"+filepath.Base(absolute))
	defer os.Remove(fresh) // fails, as it should, once the file has its name
	c, err := s.Language.build(s, fresh)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.env...)
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &BuildError{Module: s.Module.Name, Command: strings.Join(c.args, " "), Output: strings.TrimSpace(said.String()), Err: err}
	}
	return os.Rename(fresh, absolute)
}

// need finds a tool, or says how to get it.
func need(tool, get string) error {
	if _, err := exec.LookPath(tool); err != nil && !errors.Is(err, exec.ErrDot) {
		return &ToolError{Tool: tool, Get: get}
	}
	return nil
}

// buildGo compiles with the Go toolchain alone. The same source gives the same bytes: nothing of the surroundings gets into
// the module.
func buildGo(s *Source, output string) (*command, error) {
	if err := need("go", "guests in Go need Go 1.24 or newer, from https://go.dev/dl"); err != nil {
		return nil, err
	}
	return &command{
		dir:  s.Dir,
		env:  []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=", "GOWORK=off", "CGO_ENABLED=0"},
		args: []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", output, "."},
	}, nil
}

func buildC(s *Source, output string) (*command, error) {
	if err := need("clang", "guests in C need clang and its linker for WebAssembly; on Debian: apt install clang lld"); err != nil {
		return nil, err
	}
	if err := need("wasm-ld", "clang links WebAssembly with it; on Debian: apt install lld"); err != nil {
		return nil, err
	}
	sources, err := filepath.Glob(filepath.Join(escapeGlob(s.Dir), "*.c"))
	if err != nil {
		return nil, err
	}
	args := []string{"clang", "--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all", "-o", output}
	for _, name := range sources {
		args = append(args, filepath.Base(name))
	}
	return &command{dir: s.Dir, args: args}, nil
}

func buildRust(s *Source, output string) (*command, error) {
	if err := need("rustc", "guests in Rust need rustc with its library for wasm32-unknown-unknown; on Debian: apt install rustc libstd-rust-dev-wasm32"); err != nil {
		return nil, err
	}
	return &command{
		dir:  s.Dir,
		args: []string{"rustc", "--edition=2021", "--crate-type=cdylib", "--target=wasm32-unknown-unknown", "-O", "-Cpanic=abort", "-Cstrip=symbols", "-o", output, "src/lib.rs"},
	}, nil
}

func buildAssemblyScript(s *Source, output string) (*command, error) {
	if err := need("npx", "guests in AssemblyScript need Node.js with npm, from https://nodejs.org"); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "node_modules", ".bin", "asc")); err != nil {
		return nil, &ToolError{Tool: "asc", Get: "in " + s.Dir + ", run: npm install"}
	}
	return &command{
		dir:  s.Dir,
		args: []string{"npx", "--no-install", "asc", "assembly/index.ts", "-o", output, "-O", "--runtime", "stub"},
	}, nil
}
