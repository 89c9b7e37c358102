package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

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
		Commands: []*cli.Command{
			serveCommand(term),
			projectCommand(term),
			bundleCommand(term),
			explainCommand(term),
			decisionsCommand(term),
			auditCommand(term),
			mailCommand(term),
			keyCommand(term),
			userCommand(term),
			fileCommand(term),
			checkCommand(term),
			compactCommand(term), moveFilesCommand(term),
			backupCommand(term),
			restoreCommand(term),
			versionCommand(term),
			compileCommand(term),
		},
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
	if len(cmd.Commands) > 0 && cmd.Action == nil {
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

// directory returns the only argument, which is a directory, or the present one.
func directory(c *cli.Command) (string, error) {
	dir := "."
	switch c.Args().Len() {
	case 0:
	case 1:
		dir = c.Args().First()
	default:
		return "", usagef("%s takes one %s, got %d; see: %s --help", c.FullName(), c.ArgsUsage, c.Args().Len(), c.FullName())
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return "", usagef("%s is not a directory", dir)
	}
	return dir, nil
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

// Colours of a terminal.
const (
	styleBold  = "1"
	styleRed   = "31"
	styleGreen = "32"
)

// bold, red and green set text off where w is a terminal that wants it (https://no-color.org).
func (t *terminal) bold(w io.Writer, text string) string  { return styled(w, styleBold, text) }
func (t *terminal) red(w io.Writer, text string) string   { return styled(w, styleRed, text) }
func (t *terminal) green(w io.Writer, text string) string { return styled(w, styleGreen, text) }

func styled(w io.Writer, style, text string) string {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !isTerminal(w) {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// workingAfter is how long something may take before a person is told what is waited for.
const workingAfter = time.Second

// working says on a terminal what is being waited for, and for how long, once it has taken a while; done takes the line away
// again, and may be called twice.
func (t *terminal) working(text string) (done func()) {
	if !isTerminal(t.err) || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		begun, tick := time.Now(), time.NewTicker(workingAfter)
		defer tick.Stop()
		shown := 0
		for {
			select {
			case <-tick.C:
				line := fmt.Sprintf("%s … %d s", text, int(time.Since(begun).Seconds()))
				shown = max(shown, len(line))
				fmt.Fprintf(t.err, "\r%s", line)
			case <-stop:
				if shown > 0 {
					fmt.Fprintf(t.err, "\r%s\r", strings.Repeat(" ", shown))
				}
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
	})
}

// shortDuration shows how long something took to a person.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// thousands shows a large number to a person: 46,120.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
