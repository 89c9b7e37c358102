package bundle

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// Language is one in which guests can be written.
type Language struct {
	Name string // as `bundle init --lang` takes it

	markers []string                                                                        // patterns of files of which one is in every folder with sources in this language
	files   []string                                                                        // endings of module files that are sources themselves
	sources []string                                                                        // endings of files that a build looks at
	build   func(ctx context.Context, s *Source, scratch, output string) ([]command, error) // scratch: a folder for what is made on the way
}

// languages are all of them, the first that fits a folder being its language.
var languages = []*Language{
	{Name: "js", files: []string{".js", ".mjs", ".ts", ".mts"}, sources: []string{".js", ".mjs", ".ts", ".mts"}},
	{Name: "go", markers: []string{"go.mod"}, sources: []string{".go", ".mod", ".sum", ".s"}, build: buildGo},
	{Name: "rust", markers: []string{"Cargo.toml", "src/lib.rs"}, sources: []string{".rs", ".toml", ".lock"}, build: buildRust},
	{Name: "assemblyscript", markers: []string{"assembly/index.ts", "asconfig.json"}, sources: []string{".ts", ".json"}, build: buildAssemblyScript},
	{Name: "c", markers: []string{"*.c"}, sources: []string{".c", ".h"}, build: buildC},
}

// Languages lists their names.
func Languages() []string {
	names := make([]string, len(languages))
	for i, l := range languages {
		names[i] = l.Name
	}
	return names
}

// languageOfFile returns the language of a module file that is run from its source, or nil.
func languageOfFile(name string) *Language {
	for _, l := range languages {
		for _, ending := range l.files {
			if strings.HasSuffix(name, ending) {
				return l
			}
		}
	}
	return nil
}

// languageOfDir returns the language of the sources in a folder, or nil if there are none.
func languageOfDir(dir string) (*Language, error) {
	for _, l := range languages {
		for _, pattern := range l.markers {
			found, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
			if err != nil {
				return nil, err
			}
			for _, name := range found {
				if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
					return l, nil
				}
			}
		}
	}
	return nil, nil
}

// escapeGlob makes a pattern that means exactly dir.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
