package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/blobs"
	"github.com/sluice-edge/sluice/kv"
)

func moveFilesCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "move-files",
		Usage: "copy the bytes of apps' files from the disk to an S3 service, or back",
		Description: `The node must not be running. Every file is read, compared with its hash and copied; what is there already is left
alone, so that an interrupted move can be repeated. When all are there the directory notes it, and the node has to be
started with --blobs for the new place. Nothing is removed from the old one: do so when you are content.

Files that are damaged are named, and not copied: exit code 1, and the directory notes nothing.

  sluice move-files --dir ./data --to s3 --s3-endpoint https://s3.example.com --s3-bucket files
  sluice move-files --dir ./data --to disk --s3-endpoint … (where they are now)`,
		Flags: append([]cli.Flag{
			dirFlag("data directory of the node, which must not be running"),
			&cli.StringFlag{Name: "to", Required: true, Usage: "where the bytes are to be: disk or s3", Sources: cli.EnvVars("SLUICE_TO")},
			jsonFlag(),
		}, s3Flags()...),
		Action: func(ctx context.Context, c *cli.Command) error { return moveFiles(ctx, c, term) },
	}
}

// moved is the outcome for one project.
type moved struct {
	storedProject
	Objects int            `json:"objects"` // copied
	Bytes   int64          `json:"bytes"`
	Present int            `json:"present"` // there already
	Bad     []checkProblem `json:"problems"`
}

func moveFiles(ctx context.Context, c *cli.Command, term *terminal) (err error) {
	from := map[string]string{onS3: onDisk, onDisk: onS3}[c.String("to")]
	if from == "" {
		return usagef("--to %q is neither %s nor %s", c.String("to"), onDisk, onS3)
	}
	target, err := openBlobs(c, c.String("to"))
	if err != nil {
		return usageError{err}
	}
	defer target.close()
	source, err := openBlobs(c, from)
	if err != nil {
		return usageError{err}
	}
	defer source.close()
	projects, err := storedProjects(c)
	if err != nil {
		return err
	}
	for _, p := range []*blobPlace{source, target} {
		if p.service != nil {
			if err := p.service.Ping(ctx); err != nil {
				return err
			}
		}
	}
	for _, p := range projects { // all of them locked to the end, so that no node runs
		db, err := openStored(p.path)
		if errors.Is(err, kv.ErrLocked) {
			return inUse(p.path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.title(), err)
		}
		defer db.Close()
	}
	sound, results := true, []moved{}
	for _, p := range projects {
		done := term.working("copying files of " + p.title())
		result, err := moveProject(ctx, p, source, target)
		done()
		if err != nil {
			return err
		}
		sound = sound && len(result.Bad) == 0
		results = append(results, result)
		if !c.Bool("json") {
			fmt.Fprintf(term.out, "%s: %d files copied (%d bytes), %d were there already\n", p.title(), result.Objects, result.Bytes, result.Present)
			for _, bad := range result.Bad {
				fmt.Fprintf(term.out, "  %s: %s\n", bad.Where, bad.What)
			}
		}
	}
	if c.Bool("json") {
		if err := json.NewEncoder(term.out).Encode(results); err != nil {
			return err
		}
	}
	if !sound {
		return exitError(exitFailed)
	}
	return target.note()
}

// moveProject copies the objects of one project.
func moveProject(ctx context.Context, p storedProject, source, target *blobPlace) (moved, error) {
	out := moved{storedProject: p, Bad: []checkProblem{}}
	from, err := source.reader(p.ID)
	if err != nil {
		return out, err
	}
	defer from.Close()
	to, err := target.backend(p.ID)
	if err != nil {
		return out, err
	}
	defer to.Close()
	done, err := blobs.Transfer(ctx, from, to, func(info blobs.Info, err error) {
		out.Bad = append(out.Bad, checkProblem{Where: "file " + info.Hash.String(), What: err.Error()})
	})
	out.Objects, out.Bytes, out.Present = done.Objects, done.Bytes, done.Present
	return out, err
}
