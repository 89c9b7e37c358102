package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestColoursAreForTerminalsThatWantThem uses the null device, which looks like a terminal to a program.
func TestColoursAreForTerminalsThatWantThem(t *testing.T) {
	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = device.Close() }()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for _, c := range []struct {
		name, noColor, term string
		w                   io.Writer
		want                string
	}{
		{"a terminal", "", "xterm", device, "\x1b[31mno\x1b[0m"},
		{"a terminal of somebody who does not want them", "1", "xterm", device, "no"},
		{"a terminal that cannot show them", "", "dumb", device, "no"},
		{"a file", "", "xterm", file, "no"},
		{"a buffer", "", "xterm", new(bytes.Buffer), "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("NO_COLOR", c.noColor)
			t.Setenv("TERM", c.term)
			if got := new(terminal).red(c.w, "no"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatAPersonReads(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{thousands(0), "0"}, {thousands(999), "999"}, {thousands(1000), "1,000"}, {thousands(1234567), "1,234,567"},
		{shortDuration(120 * time.Microsecond), "0.12 ms"}, {shortDuration(178 * time.Millisecond), "178 ms"}, {shortDuration(2100 * time.Millisecond), "2.1 s"},
		{fuelText(10, 0), "10"}, {fuelText(1000, 2000), "1,000 of 2,000"},
		{shellWord("posts/a-b_c.wasm"), "posts/a-b_c.wasm"}, {shellWord("my posts"), "'my posts'"}, {shellWord("it's"), `'it'\''s'`}, {shellWord(""), "''"},
		{printable("a\tb\nc"), "a\tb\nc"}, {printable("\x1b[31mred\x9b\u202e\x00"), "\ufffd[31mred\ufffd\ufffd\ufffd"},
		{importLines(nil), "nothing"}, {importLines([]string{"sluice.get", "sluice.log", "wasi.x"}), "sluice: get, log\n           wasi: x"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestBodyOfARequestToExplain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(file, []byte(`{"a":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, arg, stdin, want string }{
		{"itself", `{"a":1}`, "", `{"a":1}`},
		{"a file", "@" + file, "", `{"a":1}`},
		{"standard input", "-", `[1]`, `[1]`},
		{"no file", "@" + file + ".no", "", ""},
		{"no JSON", `{a:1}`, "", ""},
		{"too much", "-", `"` + strings.Repeat("a", maxExplainBody) + `"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := bodyArgument(c.arg, strings.NewReader(c.stdin))
			if string(got) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}
