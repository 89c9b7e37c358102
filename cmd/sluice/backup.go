package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/runtime/archive"
)

// toStdout is the file name that means standard output.
const toStdout = "-"

func backupCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "backup",
		Usage: "copy a running node, or one of its projects, into one file",
		Description: `The node goes on serving. Of each project the file has one state: every write that was acknowledged before its turn
came, and nothing later; with its accounts, bundles, files and the hashes of its keys. It is a tar archive, compressed
with zstd, and checked while it arrives: what this command leaves is whole. Keep it as safe as the node: it holds
everything but passwords and keys in the clear. A node makes backups on schedule with: sluice serve --backup-dir DIR

  sluice backup --dir ./data                              (everything, into sluice-node-….tar.zst)
  sluice backup --project blog --out blog.tar.zst
  sluice backup --out - | ssh vault 'cat > node.tar.zst'`,
		Flags: clientFlags(
			&cli.StringFlag{Name: "project", Usage: "name or id of one project (default: the whole node)", Sources: cli.EnvVars("SLUICE_PROJECT")},
			&cli.StringFlag{Name: "out", Usage: `file to write, which must not be there yet, or "-" for standard output (default: a name with the time, here)`, Sources: cli.EnvVars("SLUICE_OUT")},
		),
		Action: func(ctx context.Context, c *cli.Command) error { return makeBackup(ctx, c, term) },
	}
}

// madeBackup is what backup --json prints.
type madeBackup struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

func makeBackup(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	path, name := "/admin/v1/backup", "node"
	if name = c.String("project"); name != "" {
		path = "/admin/v1/projects/" + url.PathEscape(name) + "/backup"
	} else {
		name = "node"
	}
	out := c.String("out")
	if out == toStdout && isTerminal(term.out) {
		return usagef("a backup is no text for a terminal: name a file with --out, or pipe it somewhere")
	}
	if out == "" {
		out = filepath.Join(".", "sluice-"+filepath.Base(name)+"-"+time.Now().UTC().Format("20060102T150405Z")+".tar.zst")
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	body, err := node.stream(ctx, path)
	if err != nil {
		return err
	}
	defer body.Close()
	progress, done := term.progress("backing up " + name)
	defer done()
	made := madeBackup{File: out}
	if out == toStdout {
		_, err := receiveBackup(body, term.out, progress)
		return err
	}
	if made.Bytes, err = saveBackup(body, out, progress); err != nil {
		return err
	}
	done()
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(made)
	}
	fmt.Fprintf(term.out, "%s: %s\n", made.File, bytesText(made.Bytes))
	return nil
}

// saveBackup writes a backup to a file that appears under its name only when it is whole and on the disk.
func saveBackup(body io.Reader, out string, progress func(done, total int64)) (int64, error) {
	if _, err := os.Lstat(out); err == nil {
		return 0, usagef("%s is there already", out)
	}
	f, err := os.CreateTemp(filepath.Dir(out), filepath.Base(out)+".part-*")
	if err != nil {
		return 0, err
	}
	bytes, err := receiveBackup(body, f, progress)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A link, unlike a rename, takes no place that somebody else took meanwhile.
		err = os.Link(f.Name(), out)
	}
	return bytes, errors.Join(err, os.Remove(f.Name()))
}

// receiveBackup copies a backup and makes sure that it is whole. It returns its bytes.
func receiveBackup(body io.Reader, to io.Writer, progress func(done, total int64)) (int64, error) {
	var head struct{ Bytes int64 }
	var got, read int64
	counted := io.TeeReader(body, io.MultiWriter(to, counter(func(n int) { got += int64(n) })))
	err := archive.Read(counted, func(name string, size int64, r io.Reader) error {
		if name == "sluice-backup.json" {
			if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&head); err != nil {
				return err
			}
		}
		_, err := io.Copy(counter(func(n int) {
			if read += int64(n); progress != nil {
				progress(min(read, head.Bytes), head.Bytes)
			}
		}), r)
		return err
	})
	if errors.Is(err, archive.ErrDamaged) {
		return got, fmt.Errorf("the node did not send a whole backup; its log says why (%w)", err)
	}
	return got, err
}

// counter is a writer that counts.
type counter func(n int)

func (c counter) Write(p []byte) (int, error) {
	c(len(p))
	return len(p), nil
}
