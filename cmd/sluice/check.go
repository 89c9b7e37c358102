package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

func checkCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "look for damage in the files of a node that is not running",
		Description: `Reads every page, checksum, index entry and total of each project's file, and the bytes of every file that apps
stored, and changes nothing. Exit code 0 says that
nothing is wrong, 1 that something is, 2 that the command was called wrongly.

  sluice check --dir ./data`,
		Flags:  append(offlineFlags(), blobFlags()...),
		Action: func(ctx context.Context, c *cli.Command) error { return checkProjects(ctx, c, term) },
	}
}

// checked is the outcome for one project.
type checked struct {
	storedProject
	OK        bool           `json:"ok"`
	Documents int64          `json:"documents"`
	Entries   int64          `json:"indexEntries"`
	Files     int64          `json:"files"`
	Orphans   int64          `json:"orphans"` // bytes without a record, which a crash may leave and the node sweeps
	Problems  []checkProblem `json:"problems"`
	More      int            `json:"moreProblems,omitempty"`
}

type checkProblem struct {
	Where string `json:"where"`
	What  string `json:"what"`
}

func checkProjects(ctx context.Context, c *cli.Command, term *terminal) error {
	projects, err := storedProjects(c)
	if err != nil {
		return err
	}
	place, err := openBlobs(c, c.String("blobs"))
	if err != nil {
		return usageError{fmt.Errorf("--blobs: %w", err)}
	}
	defer place.close()
	if err := place.agrees(); err != nil {
		return err
	}
	ok, results := true, make([]checked, len(projects))
	for i, p := range projects {
		done := term.working("checking " + p.title())
		results[i], err = checkProject(ctx, p, place)
		done()
		if err != nil {
			return err
		}
		ok = ok && results[i].OK
		if !c.Bool("json") {
			printChecked(term, &results[i])
		}
	}
	if c.Bool("json") {
		if err := json.NewEncoder(term.out).Encode(map[string]any{"ok": ok, "projects": results}); err != nil {
			return err
		}
	}
	if !ok {
		return exitError(exitFailed)
	}
	return nil
}

// checkProject reports what is wrong with a project. An error means that this could not be found out.
func checkProject(ctx context.Context, p storedProject, place *blobPlace) (checked, error) {
	out := checked{storedProject: p, Problems: []checkProblem{}}
	db, err := openStored(p.path)
	if errors.Is(err, kv.ErrLocked) {
		return out, inUse(p.path)
	}
	if err != nil {
		out.Problems = append(out.Problems, checkProblem{Where: p.path, What: err.Error()})
		return out, nil
	}
	defer db.Close()
	report, err := db.Check(ctx)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	if err != nil {
		out.Problems = append(out.Problems, checkProblem{Where: p.path, What: err.Error()})
		return out, nil
	}
	out.OK, out.Documents, out.Entries, out.More = report.OK(), report.Documents, report.Entries, report.More
	for _, problem := range report.Problems {
		out.Problems = append(out.Problems, checkProblem(problem))
	}
	return out, checkFiles(ctx, db, place, &out)
}

// checkFiles adds what is wrong with a project's files.
func checkFiles(ctx context.Context, db *kv.DB, place *blobPlace, out *checked) error {
	backend, err := place.reader(out.ID)
	if err != nil {
		return err
	}
	store := blobs.New(backend, blobs.Options{})
	defer store.Close()
	report, err := project.CheckFiles(ctx, db, store)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		out.OK = false
		out.Problems = append(out.Problems, checkProblem{Where: "files", What: err.Error()})
		return nil
	}
	out.Files, out.Orphans, out.More = report.Files, report.Orphans, out.More+report.More
	out.OK = out.OK && len(report.Problems) == 0
	for _, problem := range report.Problems {
		out.Problems = append(out.Problems, checkProblem(problem))
	}
	return nil
}

func printChecked(term *terminal, r *checked) {
	if r.OK {
		fmt.Fprintf(term.out, "%s: sound, %d documents, %d index entries, %d files\n", r.title(), r.Documents, r.Entries, r.Files)
		return
	}
	fmt.Fprintf(term.out, "%s: %s\n", r.title(), term.bold(term.out, fmt.Sprintf("%d problems", len(r.Problems)+r.More)))
	for _, p := range r.Problems {
		fmt.Fprintf(term.out, "  %s: %s\n", p.Where, p.What)
	}
	if r.More > 0 {
		fmt.Fprintf(term.out, "  and %d more\n", r.More)
	}
}
