package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	scratch, err := os.MkdirTemp(filepath.Dir(absolute), ".build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	// Some compilers choose what they write by the ending.
	fresh := filepath.Join(scratch, filepath.Base(absolute))
	commands, err := s.Language.build(ctx, s, scratch, fresh)
	if err != nil {
		return err
	}
	for _, c := range commands {
		if err := s.run(ctx, c); err != nil {
			return err
		}
	}
	return os.Rename(fresh, absolute)
}

func (s *Source) run(ctx context.Context, c command) error {
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
	return nil
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
func buildGo(_ context.Context, s *Source, _, output string) ([]command, error) {
	if err := need("go", "guests in Go need Go 1.24 or newer, from https://go.dev/dl"); err != nil {
		return nil, err
	}
	return []command{{
		dir:  s.Dir,
		env:  []string{"GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=", "GOWASM=", "GOEXPERIMENT=", "GOWORK=off", "CGO_ENABLED=0"},
		args: []string{"go", "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", output, "."},
	}}, nil
}

// buildC compiles every file and links them. In two steps: clang as the linker's driver would run wasm-opt where it is
// installed, and Debian's refuses what the first step makes.
func buildC(_ context.Context, s *Source, scratch, output string) ([]command, error) {
	if err := need("clang", "guests in C need clang and its linker for WebAssembly; on Debian: apt install clang lld"); err != nil {
		return nil, err
	}
	if err := need("wasm-ld", "clang's modules are linked with it; on Debian: apt install lld"); err != nil {
		return nil, err
	}
	sources, err := filepath.Glob(filepath.Join(escapeGlob(s.Dir), "*.c"))
	if err != nil {
		return nil, err
	}
	var list []command
	link := []string{"wasm-ld", "--no-entry", "--gc-sections", "--stack-first", "--strip-all", "--compress-relocations", "-o", output}
	for _, name := range sources {
		object := filepath.Join(scratch, filepath.Base(name)+".o")
		list = append(list, command{dir: s.Dir, args: []string{"clang", "--target=wasm32", "-Os", "-ffreestanding", "-mbulk-memory", "-Wall", "-c", filepath.Base(name), "-o", object}})
		link = append(link, object)
	}
	return append(list, command{dir: s.Dir, args: link}), nil
}

// buildRust compiles src/lib.rs with rustc alone, and before it the SDK, if the folder sdk holds it.
func buildRust(ctx context.Context, s *Source, scratch, output string) ([]command, error) {
	rustc, err := findRustc(ctx)
	if err != nil {
		return nil, err
	}
	common := []string{rustc, "--edition=2021", "--target=wasm32-unknown-unknown", "-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1", "-Ctarget-feature=+bulk-memory"}
	module := append(slices.Clone(common), "--crate-type=cdylib", "-Clto", "-Cstrip=symbols", "-o", output, "src/lib.rs")
	if _, err := os.Stat(filepath.Join(s.Dir, "sdk", "src", "lib.rs")); err != nil {
		return []command{{dir: s.Dir, args: module}}, nil
	}
	library := filepath.Join(scratch, "libsluice.rlib")
	return []command{
		{dir: s.Dir, args: append(common, "--crate-type=rlib", "--crate-name=sluice", "-o", library, "sdk/src/lib.rs")},
		{dir: s.Dir, args: append(module, "--extern=sluice="+library)},
	}, nil
}

// findRustc looks for a compiler that has the library for WebAssembly. There may be one with and one without.
func findRustc(ctx context.Context) (string, error) {
	const target = "wasm32-unknown-unknown"
	const get = "guests in Rust need rustc with its library for " + target + ": rustup target add " + target + "; on Debian: apt install rustc libstd-rust-dev-wasm32"
	if err := need("rustc", get); err != nil && os.Getenv("RUSTC") == "" {
		return "", err
	}
	for _, name := range []string{os.Getenv("RUSTC"), "rustc", "/usr/bin/rustc"} {
		if name == "" {
			continue
		}
		root, err := exec.CommandContext(ctx, name, "--print", "sysroot").Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(strings.TrimSpace(string(root)), "lib", "rustlib", target, "lib")); err == nil {
			return name, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", &ToolError{Tool: "rustc for " + target, Get: get}
}

// buildAssemblyScript runs the compiler that the package has installed, else the one on the path.
func buildAssemblyScript(_ context.Context, s *Source, _, output string) ([]command, error) {
	asc := filepath.Join(s.Dir, "node_modules", ".bin", "asc")
	if _, err := os.Stat(asc); err != nil {
		if asc, err = exec.LookPath("asc"); err != nil {
			return nil, &ToolError{Tool: "asc", Get: "it comes with Node.js from https://nodejs.org; in " + s.Dir + ", run: npm install"}
		}
	}
	asc, err := filepath.Abs(asc)
	if err != nil {
		return nil, err
	}
	args := []string{asc, "assembly/index.ts", "-o", output, "-O3s", "--noAssert", "--runtime", "stub"}
	if _, err := os.Stat(filepath.Join(s.Dir, "sdk", "assembly", "index.ts")); err == nil {
		args = append(args, "--use", "abort=sdk/assembly/index/abort")
	}
	return []command{{dir: s.Dir, args: args}}, nil
}
