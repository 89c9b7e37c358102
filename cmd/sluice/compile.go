package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/hooks"
)

// compileVerb is what a node runs itself as, to compile a guest in a process that the system bounds. Nobody types it.
const compileVerb = "compile-module"

func compileCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:   compileVerb,
		Usage:  "compile one guest module into the cache; started by serve",
		Hidden: true,
		Action: func(context.Context, *cli.Command) error {
			if hooks.RunCompiler(term.in, term.out) != 0 {
				return errors.New("the module was not compiled")
			}
			return nil
		},
	}
}

// compiler returns the command that compiles a guest: this binary. Without one to name, guests are compiled in the node's
// own process.
func compiler() func(context.Context) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, exe, compileVerb) }
}

// moduleCache is where modules stay compiled that are loaded without a node of one's own: compiling is most of the time that it takes.
// "" if the system names no such place: they are then compiled each time.
func moduleCache() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "sluice", "wasm")
}
