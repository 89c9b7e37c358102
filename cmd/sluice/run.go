package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends the program with a code and without another message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, term *terminal) int {
	err := newCommand(term).Run(ctx, args)
	var (
		usage usageError
		exit  exitError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &usage):
		fmt.Fprintf(term.err, "%s %v\n", term.bold(term.err, "sluice:"), err)
		return exitUsage
	}
	fmt.Fprintf(term.err, "%s %v\n", term.bold(term.err, "sluice:"), err)
	return exitFailed
}

func newCommand(term *terminal) *cli.Command {
	root := &cli.Command{
		Name:  "sluice",
		Usage: "a self-hosted backend: accounts, documents and WASM policies in one binary",
		Description: `Start with a demo that explains itself:

  sluice serve --demo

Or with a directory of your own, and a project described by one file:

  sluice serve --dir ./data
  sluice project apply sluice.yaml        (in another terminal)

Every flag can also be set by the environment variable named beside it; the flag wins.`,
		Commands: []*cli.Command{serveCommand(term), projectCommand(term), bundleCommand(term), checkCommand(term), compactCommand(term), versionCommand(term), compileCommand(term)},
	}
	prepare(root, term)
	return root
}

// prepare gives a command and all below it the same manners: where they write, how they fail, and what a command that
// only groups others does when none of them is named.
func prepare(cmd *cli.Command, term *terminal) {
	cmd.Reader, cmd.Writer, cmd.ErrWriter = term.in, term.out, term.err
	cmd.ExitErrHandler = func(context.Context, *cli.Command, error) {} // run decides on the exit code
	cmd.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error {
		return usagef("%w; see: %s --help", err, c.FullName())
	}
	if len(cmd.Commands) > 0 {
		cmd.Action = func(_ context.Context, c *cli.Command) error {
			if name := c.Args().First(); name != "" {
				return usagef("there is no command %q; see: %s --help", name, c.FullName())
			}
			return cli.ShowSubcommandHelp(c)
		}
	}
	for _, sub := range cmd.Commands {
		prepare(sub, term)
	}
}

// oneArgument returns the only argument, or says how the command is called.
func oneArgument(c *cli.Command) (string, error) {
	if c.Args().Len() != 1 {
		return "", usagef("%s takes exactly one %s, got %d; see: %s --help", c.FullName(), c.ArgsUsage, c.Args().Len(), c.FullName())
	}
	return c.Args().First(), nil
}

// noArguments refuses what would otherwise be ignored silently.
func noArguments(c *cli.Command) error {
	if c.Args().Len() > 0 {
		return usagef("%s takes no arguments, got %q; see: %s --help", c.FullName(), c.Args().First(), c.FullName())
	}
	return nil
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

// isTerminal reports whether w shows to a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// bold sets text off where w is a terminal that wants it (https://no-color.org).
func (t *terminal) bold(w io.Writer, text string) string {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !isTerminal(w) {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// working says on a terminal what is being waited for; done takes the line away again.
func (t *terminal) working(text string) (done func()) {
	if !isTerminal(t.err) || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	fmt.Fprintf(t.err, "%s …", text)
	return func() { fmt.Fprintf(t.err, "\r%s\r", strings.Repeat(" ", len(text)+2)) }
}
