package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// call runs one command line without a terminal.
func call(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(context.Background(), append([]string{"sluice"}, args...), &terminal{in: strings.NewReader(""), out: &out, err: &err})
	return out.String(), err.String(), code
}

func TestEveryFlagHasAnEnvironmentVariableAndHelp(t *testing.T) {
	flags := 0
	var walk func(cmd *cli.Command)
	walk = func(cmd *cli.Command) {
		if cmd.Usage == "" {
			t.Errorf("%s has no help", cmd.Name)
		}
		for _, f := range cmd.Flags {
			name := f.Names()[0]
			doc, ok := f.(cli.DocGenerationFlag)
			if !ok {
				t.Fatalf("%s --%s cannot be documented", cmd.Name, name)
			}
			flags++
			want := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if env := doc.GetEnvVars(); len(env) != 1 || env[0] != want {
				t.Errorf("%s --%s reads %v, want %s", cmd.Name, name, env, want)
			}
			if doc.GetUsage() == "" {
				t.Errorf("%s --%s has no help", cmd.Name, name)
			}
		}
		for _, sub := range cmd.Commands {
			walk(sub)
		}
	}
	walk(newCommand(&terminal{out: &bytes.Buffer{}, err: &bytes.Buffer{}}))
	if flags < 15 {
		t.Fatalf("only %d flags were looked at", flags)
	}
}

func TestEnvironmentAndFlag(t *testing.T) {
	t.Setenv("SLUICE_LOG_LEVEL", "loud")
	t.Run("the environment sets a flag", func(t *testing.T) {
		if _, stderr, code := call("serve"); code != exitUsage || !strings.Contains(stderr, `"loud"`) {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
	t.Run("the flag wins", func(t *testing.T) {
		if _, stderr, code := call("serve", "--log-level", "shrill"); code != exitUsage || !strings.Contains(stderr, `"shrill"`) || strings.Contains(stderr, "loud") {
			t.Fatalf("exit %d: %s", code, stderr)
		}
	})
}
