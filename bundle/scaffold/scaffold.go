// Package scaffold holds the projects that `sluice bundle init` begins with: for each language a small bundle that builds
// without a network, does something real and has cases that hold. All languages come with the same project and the same cases.
//
// What a project needs of an SDK is in it as a copy. A test keeps the copies equal to the SDKs, and another builds every
// project and runs its cases.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed all:_files
var files embed.FS

// renamed is the ending of files that could not be embedded under their own names: a go.mod would make a module of its folder.
const renamed = ".txt"

// Languages lists those that there is a project for.
func Languages() []string {
	entries, err := files.ReadDir("_files")
	if err != nil {
		panic(err) // what is embedded is there
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "common" {
			names = append(names, e.Name())
		}
	}
	return names
}

// project returns the files of a language's project, by their names in it.
func project(language string) (map[string][]byte, error) {
	if !slices.Contains(Languages(), language) {
		return nil, fmt.Errorf("there is no language %q; it is one of %s", language, strings.Join(Languages(), ", "))
	}
	list := map[string][]byte{}
	for _, root := range []string{"_files/common", "_files/" + language} { // the language's own files win
		err := fs.WalkDir(files, root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := files.ReadFile(path)
			list[strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), renamed)] = content
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// ExistsError says that Write would have replaced files.
type ExistsError struct {
	Dir   string
	Files []string
}

func (e *ExistsError) Error() string {
	return fmt.Sprintf("nothing was written: %s has %s already", e.Dir, strings.Join(e.Files, ", "))
}

// Write puts a language's project into a directory, which it makes, and returns the names of the files in order. It replaces
// none: if one of them is there already it writes nothing and returns an *ExistsError.
func Write(dir, language string) ([]string, error) {
	list, err := project(language)
	if err != nil {
		return nil, err
	}
	var names, there []string
	for name := range list {
		names = append(names, name)
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, name)
		}
	}
	slices.Sort(names)
	if len(there) > 0 {
		slices.Sort(there)
		return nil, &ExistsError{Dir: dir, Files: there}
	}
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return nil, err
		}
		_, err = f.Write(list[name])
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return names, nil
}
