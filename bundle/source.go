package bundle

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-edge/sluice/hooks"
)

// Source is what one module is made from.
type Source struct {
	Module   hooks.Module
	Language *Language // nil: the module came as it is, and nothing here can build it
	Dir      string    // the folder of its sources; empty without a language
}

// Builds reports whether the module is made by a compiler; a module that is run from its source is not.
func (s *Source) Builds() bool { return s.Language != nil && s.Language.build != nil }

// Sources finds the sources of every module, in the manifest's order: those of the module `posts` lie in the folder `posts`
// if there is one, else beside the manifest. Which language it is tells a file that each language has.
func (d *Dir) Sources() ([]Source, error) {
	var list []Source
	owner := map[string]string{}
	for _, m := range d.Manifest.Modules {
		s := Source{Module: m}
		if lang := languageOfFile(m.File); lang != nil {
			s.Language, s.Dir = lang, d.Path
			list = append(list, s)
			continue
		}
		dir := filepath.Join(d.Path, m.Name)
		if info, err := os.Stat(dir); !filepath.IsLocal(m.Name) || err != nil || !info.IsDir() {
			dir = d.Path
		}
		lang, err := languageOfDir(dir)
		if err != nil {
			return nil, err
		}
		if lang != nil {
			if other := owner[dir]; other != "" {
				return nil, fmt.Errorf("the modules %s and %s would both be built from %s; give each a folder of its own name", other, m.Name, dir)
			}
			owner[dir] = m.Name
			s.Language, s.Dir = lang, dir
		}
		list = append(list, s)
	}
	return list, nil
}

// output is where the module's file lies. Whatever the manifest says, nothing outside of the bundle is written.
func (d *Dir) output(m hooks.Module) (string, error) {
	name := filepath.FromSlash(m.File)
	if !filepath.IsLocal(name) {
		return "", fmt.Errorf("module %s: its file %s is outside of the bundle", m.Name, m.File)
	}
	return filepath.Join(d.Path, name), nil
}

// Stale returns the modules that are missing or older than one of their sources.
func (d *Dir) Stale() ([]Source, error) {
	sources, err := d.Sources()
	if err != nil {
		return nil, err
	}
	var stale []Source
	for _, s := range sources {
		if !s.Builds() {
			continue
		}
		file, err := d.output(s.Module)
		if err != nil {
			return nil, err
		}
		newest, err := s.newest()
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(file); err != nil || info.ModTime().Before(newest) {
			stale = append(stale, s)
		}
	}
	return stale, nil
}

// unwatched are folders that hold no sources of the author's.
var unwatched = []string{"node_modules", "target", "testdata", "vendor"}

// newest is when the youngest source was changed.
func (s *Source) newest() (t time.Time, err error) {
	err = filepath.WalkDir(s.Dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != s.Dir && (strings.HasPrefix(e.Name(), ".") || slices.Contains(unwatched, e.Name())):
			return fs.SkipDir
		case !e.Type().IsRegular() || !slices.Contains(s.Language.sources, filepath.Ext(path)):
			return nil
		}
		info, err := e.Info()
		if err == nil && info.ModTime().After(t) {
			t = info.ModTime()
		}
		return err
	})
	return t, err
}
