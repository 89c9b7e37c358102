package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/bundle/cases"
	"github.com/sluice-edge/sluice/hooks"
)

func casesCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "test",
		Usage:     "run the cases of a bundle on a real node of their own",
		ArgsUsage: "[DIR]",
		Description: `Cases are tables in *.test.yaml beside the manifest: users, documents that are there, and who asks for what with which outcome.
They run on a temporary node with the project of sluice.yaml (beside the bundle, one directory above it, or named in the file),
through everything that a request passes through. Modules that are older than their sources are built first.

  cases:
    - name: a price above 100 is refused
      as: ada                              (a user, anonymous or secret)
      insert: posts                        (or update, delete, get: posts/LABEL; list: posts; request: {method, path})
      body: {title: Gold, price: 500}
      expect:
        verdict: deny                      (allow, deny or error)
        code: policy.posts.price_too_high

Exit code 0 says that all cases hold, 1 that one does not, 2 that they could not be run.

  sluice bundle test posts
  sluice bundle test posts --run price
  sluice bundle test posts --update        (writes what came into the file)`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "run", Usage: "only the cases whose name matches this regular expression", Sources: cli.EnvVars("SLUICE_RUN")},
			&cli.BoolFlag{Name: "update", Usage: "write what came into the file, in the place of what was expected", Sources: cli.EnvVars("SLUICE_UPDATE")},
			&cli.BoolFlag{Name: "keep", Usage: "keep the nodes' data directories and say where they are", Sources: cli.EnvVars("SLUICE_KEEP")},
			noBuildFlag(),
			jsonFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			return testBundle(ctx, c, term)
		},
	}
}

// testReport is the outcome of all files, as --json prints it.
type testReport struct {
	Passed  int        `json:"passed"`
	Failed  int        `json:"failed"`
	Skipped int        `json:"skipped"`
	Updated int        `json:"updated"`
	Fuel    uint64     `json:"fuel"`
	Files   []testFile `json:"files"`
}

type testFile struct {
	File  string     `json:"file"`
	Data  string     `json:"data,omitempty"` // with --keep
	Cases []testCase `json:"cases"`
}

type testCase struct {
	Name     string           `json:"name"`
	Line     int              `json:"line"`
	OK       bool             `json:"ok"`
	Fuel     uint64           `json:"fuel"`
	Millis   float64          `json:"durationMs"`
	Problems []cases.Mismatch `json:"problems,omitempty"`
	Log      []string         `json:"log,omitempty"`
}

func testBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	suite, err := newSuite(ctx, c, term)
	if err != nil {
		return usageError{err} // the cases were not run, which is not that they fail
	}
	if !c.Bool("keep") {
		defer func() { _ = os.RemoveAll(suite.DataDir) }()
	}
	files, err := suite.Files()
	if err != nil {
		return usageError{err}
	}
	begun, total := time.Now(), testReport{Files: []testFile{}}
	for _, path := range files {
		done := term.working("testing " + path)
		rep, err := suite.File(ctx, path)
		done()
		if err != nil {
			return usageError{err}
		}
		file := total.add(rep)
		if c.Bool("keep") {
			file.Data = rep.DataDir
		}
		if c.Bool("update") {
			updated, err := rep.Update()
			if err != nil {
				return usageError{err}
			}
			total.Updated += updated
		}
		if !c.Bool("json") {
			printTested(term, file, c.Bool("update"))
		}
	}
	if c.Bool("json") {
		err = json.NewEncoder(term.out).Encode(total)
	} else {
		err = printTotal(term, &total, time.Since(begun))
	}
	if err == nil && total.Passed+total.Failed == 0 {
		return usagef("no case has a name that matches --run %q", c.String("run"))
	}
	if err == nil && total.Failed > total.Updated {
		return exitError(exitFailed)
	}
	return err
}

// newSuite reads the bundle, builds what is older than its sources and makes a directory for the nodes.
func newSuite(ctx context.Context, c *cli.Command, term *terminal) (*cases.Suite, error) {
	dir, err := directory(c)
	if err != nil {
		return nil, err
	}
	s := &cases.Suite{}
	if c.String("run") != "" {
		if s.Run, err = regexp.Compile(c.String("run")); err != nil {
			return nil, fmt.Errorf("--run: %w", err)
		}
	}
	if s.Bundle, err = bundle.Open(dir); err != nil {
		return nil, err
	}
	if err := buildStale(ctx, c, term, s.Bundle); err != nil {
		return nil, err
	}
	s.CacheDir = moduleCache()
	s.Host = hooks.Options{Compiler: compiler()}
	s.DataDir, err = os.MkdirTemp("", "sluice-test-")
	return s, err
}

// add counts a file's cases and returns them as they are printed.
func (t *testReport) add(rep *cases.Report) *testFile {
	f := testFile{File: rep.Path, Cases: []testCase{}}
	for _, res := range rep.Results {
		ok := len(res.Mismatches) == 0
		if ok {
			t.Passed++
		} else {
			t.Failed++
		}
		t.Fuel += res.Fuel
		f.Cases = append(f.Cases, testCase{Name: res.Case.Name, Line: res.Case.Line, OK: ok, Fuel: res.Fuel,
			Millis: float64(res.Took.Microseconds()) / 1000, Problems: res.Mismatches, Log: res.Log})
	}
	t.Skipped += rep.Skipped
	t.Files = append(t.Files, f)
	return &t.Files[len(t.Files)-1]
}

func printTested(term *terminal, f *testFile, updated bool) {
	out := term.out
	width := 0
	for _, c := range f.Cases {
		width = max(width, min(len([]rune(c.Name)), 72))
	}
	fmt.Fprintln(out, term.bold(out, f.File))
	for _, c := range f.Cases {
		mark, fuel := "ok  ", "no guest asked"
		switch {
		case !c.OK && updated:
			mark = term.bold(out, "new ")
		case !c.OK:
			mark = term.red(out, "FAIL")
		}
		if c.Fuel > 0 {
			fuel = thousands(c.Fuel) + " fuel"
		}
		fmt.Fprintf(out, "  %s  %-*s  %14s\n", mark, width, c.Name, fuel)
		for _, p := range c.Problems {
			fmt.Fprintf(out, "        %s:%d: %s\n", f.File, p.Line, p.Path)
			fmt.Fprintf(out, "          %s\n          %s\n", term.red(out, "- "+p.Want), term.green(out, "+ "+p.Got))
		}
		if !c.OK {
			for _, line := range c.Log {
				fmt.Fprintf(out, "        | %s\n", strings.ReplaceAll(line, "\n", "\n        | "))
			}
		}
	}
	if f.Data != "" {
		fmt.Fprintf(out, "  data: %s\n", f.Data)
	}
}

func printTotal(term *terminal, t *testReport, took time.Duration) error {
	parts := []string{fmt.Sprintf("%d passed", t.Passed)}
	if failed := t.Failed - t.Updated; failed > 0 {
		parts = append(parts, term.red(term.out, fmt.Sprintf("%d failed", failed)))
	}
	if t.Updated > 0 {
		parts = append(parts, fmt.Sprintf("%d rewritten", t.Updated))
	}
	if t.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d left out", t.Skipped))
	}
	_, err := fmt.Fprintf(term.out, "\n%s; %s fuel in all; %s\n", strings.Join(parts, ", "), thousands(t.Fuel), shortDuration(took))
	return err
}
