// Package script makes the one file of JavaScript that a node runs out of a guest's sources: it strips the types of TypeScript and
// joins what is imported. It is the only room that knows esbuild, and runs it in this process; nothing needs to be installed.
package script

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/evanw/esbuild/pkg/api"
)

// library is the module that the node itself provides.
const library = "sluice"

// Is reports whether a module's file is a script.
func Is(file string) bool {
	return slices.Contains([]string{".js", ".mjs", ".ts", ".mts"}, filepath.Ext(file))
}

// Error lists what is wrong with a script's sources, each problem with its place.
type Error struct{ Problems []string }

func (e *Error) Error() string { return strings.Join(e.Problems, "\n") }

// Join returns what is deployed of the script in a file below dir, whose text is given. JavaScript that imports only "sluice" is
// returned as it is, so that the lines in an exception are those of the file. Anything else becomes one module with all that it
// imports, from files below dir and from packages in its node_modules, without types. The same sources give the same text.
// Errors: *Error.
func Join(dir, file string, text []byte) ([]byte, error) {
	root, err := filepath.Abs(dir)
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		return nil, err
	}
	var joined atomic.Bool // esbuild asks from several goroutines
	result := api.Build(api.BuildOptions{
		EntryPoints:   []string{filepath.Join(root, filepath.FromSlash(file))},
		AbsWorkingDir: root,
		Bundle:        true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformNeutral,
		MainFields:    []string{"module", "main"},
		Target:        api.ES2023,
		Charset:       api.CharsetUTF8,
		External:      []string{library},
		TsconfigRaw:   `{"compilerOptions":{"target":"es2023"}}`, // one that lies about might say something else on another machine
		LogLevel:      api.LogLevelSilent,
		Plugins: []api.Plugin{{Name: "below", Setup: func(b api.PluginBuild) {
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "file"}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
				real, err := filepath.EvalSymlinks(args.Path)
				if err != nil {
					return api.OnLoadResult{}, err
				}
				// A script from elsewhere must not be able to send the rest of the disk.
				if inside, err := filepath.Rel(root, real); err != nil || !filepath.IsLocal(inside) {
					return api.OnLoadResult{}, errors.New("is not below the bundle's directory")
				}
				return api.OnLoadResult{}, nil // as usual
			})
			b.OnResolve(api.OnResolveOptions{Filter: ".*"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
				if args.Kind != api.ResolveEntryPoint && args.Path != library {
					joined.Store(true)
				}
				return api.OnResolveResult{}, nil // as usual
			})
		}}},
	})
	if len(result.Errors) > 0 {
		e := new(Error)
		for _, m := range result.Errors {
			e.Problems = append(e.Problems, problem(m))
		}
		return nil, e
	}
	if len(result.OutputFiles) != 1 {
		return nil, fmt.Errorf("%s became %d files instead of one", file, len(result.OutputFiles))
	}
	if ext := filepath.Ext(file); !joined.Load() && (ext == ".js" || ext == ".mjs") {
		return text, nil
	}
	return result.OutputFiles[0].Contents, nil
}

// problem puts a message behind its place.
func problem(m api.Message) string {
	if m.Location == nil {
		return m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", filepath.ToSlash(m.Location.File), m.Location.Line, m.Location.Column+1, m.Text)
}
