package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/kv"
	"github.com/sluice-edge/sluice/runtime/project"
)

// offlineFlags are those of the verbs that work on the files of a node that is not running.
func offlineFlags() []cli.Flag {
	return []cli.Flag{
		dirFlag("data directory of the node, which must not be running"),
		&cli.StringFlag{Name: "project", Usage: "name or id of one project (default: all of them)", Sources: cli.EnvVars("SLUICE_PROJECT")},
		jsonFlag(),
	}
}

// storedProject is a project as its files show it.
type storedProject struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"` // unknown if the file does not say
	path string
}

func (p *storedProject) title() string {
	if p.Name == "" || p.Name == p.ID {
		return p.ID
	}
	return p.Name + " (" + p.ID + ")"
}

// storedProjects lists what --dir and --project name.
func storedProjects(c *cli.Command) ([]storedProject, error) {
	if err := noArguments(c); err != nil {
		return nil, err
	}
	root, want := filepath.Join(c.String("dir"), "projects"), c.String("project")
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("%s is not the data directory of a node; name it with --dir", c.String("dir"))
	}
	if err != nil {
		return nil, err
	}
	var out []storedProject
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		p := storedProject{ID: e.Name(), path: filepath.Join(root, e.Name())}
		if p.Name, err = storedName(p.path); err != nil {
			return nil, err
		}
		if want == "" || want == p.ID || want == p.Name {
			out = append(out, p)
		}
	}
	if len(out) == 0 && want != "" {
		return nil, usagef("%s has no project %q", c.String("dir"), want)
	}
	return out, nil
}

// storedName asks a project's file for its name. A file that cannot say is no error here, unless somebody uses it.
func storedName(path string) (string, error) {
	db, err := openStored(path)
	if errors.Is(err, kv.ErrLocked) {
		return "", inUse(path)
	}
	if err != nil {
		return "", nil
	}
	defer db.Close()
	s, err := db.Snapshot()
	if err != nil {
		return "", nil
	}
	defer s.Close()
	var cfg struct {
		Name string `json:"name"`
	}
	if value, _, ok := s.Setting(project.SettingConfig); ok {
		_ = json.Unmarshal(value, &cfg)
	}
	return cfg.Name, nil
}

func openStored(path string) (*kv.DB, error) {
	return kv.Open(path, kv.Options{ReadOnly: true, LockTimeout: 100 * time.Millisecond})
}

func inUse(path string) error {
	return fmt.Errorf("%s is in use: stop the node first", path)
}

// bytesText shows a size to a person.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
