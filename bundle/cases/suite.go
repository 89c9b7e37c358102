package cases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	projectFile = "sluice.yaml"
	filePattern = "*.test.yaml"
)

// Suite is a bundle and all its cases.
type Suite struct {
	Bundle   *bundle.Dir
	DataDir  string         // empty; each file gets a node in a directory of its own below it
	CacheDir string         // for compiled modules
	Host     hooks.Options  // how guests run
	Run      *regexp.Regexp // cases whose names do not match are left out; nil: none

	modules map[string][]byte
}

// Report is what became of one file.
type Report struct {
	File    *File
	Path    string
	DataDir string
	Results []*Result
	Skipped int
}

// ErrNoCases is returned for a bundle without a file of cases.
var ErrNoCases = errors.New("the bundle has no cases")

// Files finds the bundle's files of cases: *.test.yaml beside the manifest, by name.
func (s *Suite) Files() ([]string, error) {
	entries, err := os.ReadDir(s.Bundle.Path)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if ok, _ := filepath.Match(filePattern, e.Name()); ok && e.Type().IsRegular() {
			paths = append(paths, filepath.Join(s.Bundle.Path, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w: describe some in sluice.test.yaml", s.Bundle.Path, ErrNoCases)
	}
	return paths, nil
}

// File runs the cases of one file. Its error says why they could not be run; cases that do not hold are in the report.
func (s *Suite) File(ctx context.Context, path string) (*Report, error) {
	src, err := readFile(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	f, err := Parse(path, src)
	if err != nil {
		return nil, err
	}
	rep := &Report{File: f, Path: path, DataDir: filepath.Join(s.DataDir, strings.TrimSuffix(filepath.Base(path), ".test.yaml"))}
	cfg, err := s.project(f)
	if err != nil {
		return nil, err
	}
	if s.modules == nil {
		if s.modules, err = s.Bundle.Modules(); err != nil {
			return nil, err
		}
	}
	n, err := Open(ctx, Setup{Dir: rep.DataDir, CacheDir: s.CacheDir, Config: cfg, Manifest: s.Bundle.Manifest, Modules: s.modules, Host: s.Host})
	if err != nil {
		return nil, err
	}
	for _, c := range f.Cases {
		if s.Run != nil && !s.Run.MatchString(c.Name) {
			rep.Skipped++
			continue
		}
		res, err := n.Run(ctx, f, c)
		if err != nil {
			return nil, errors.Join(err, n.Close())
		}
		rep.Results = append(rep.Results, res)
	}
	if err := n.Close(); err != nil {
		return nil, err
	}
	for _, res := range rep.Results {
		res.spent(n.journal.spent(res.requestID))
	}
	return rep, nil
}

// project reads the project that a file's cases are about: the one that it names, else sluice.yaml beside it, else the one
// above.
func (s *Suite) project(f *File) (*project.Config, error) {
	dir := filepath.Dir(f.Name)
	candidates := []string{filepath.Join(dir, projectFile), filepath.Join(dir, "..", projectFile)}
	if f.Project != "" {
		candidates = []string{filepath.Join(dir, filepath.FromSlash(f.Project))}
	}
	for _, path := range candidates {
		src, err := readFile(path, 1<<20)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		cfg, err := project.ParseFile(path, src)
		if err != nil {
			return nil, err
		}
		return cfg, cfg.ReadTemplates(path, os.DirFS(filepath.Dir(path)))
	}
	return nil, fmt.Errorf("%s: there is no project file %s; name it with a line such as project: ../sluice.yaml", f.Name, strings.Join(candidates, " or "))
}

func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

// Update writes a report's mismatches into its file as what is expected from now on, and returns how many cases changed. The file
// is replaced whole or not at all.
func (rep *Report) Update() (updated int, err error) {
	src, updated, err := rep.File.Update(rep.Results)
	if err != nil || updated == 0 {
		return 0, err
	}
	info, err := os.Stat(rep.Path)
	if err != nil {
		return 0, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(rep.Path), ".sluice-test-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp.Name()) // fails, as it should, once the file has its name
	_, err = tmp.Write(src)
	if err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Close()); err != nil {
		return 0, err
	}
	return updated, os.Rename(tmp.Name(), rep.Path)
}
