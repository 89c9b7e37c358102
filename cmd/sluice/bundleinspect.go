package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/runtime/project"
)

// maxInspected bounds a module file that is read to be inspected.
const maxInspected = 64 << 20

func inspectCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show what modules are made of, and how a bundle differs from the live one",
		ArgsUsage: "[FILE | DIR]",
		Description: `Loads a module, or a bundle with all its modules, as a node would, and shows size, memory, imports, exports, and the fuel that bringing
it up takes. With --project it also shows in what guests may do or are asked more or less than in the live bundle of the project.
Without FILE or DIR it shows the project's own bundle, or an earlier version of it.

  sluice bundle inspect posts.wasm
  sluice bundle inspect ./hooks --project blog
  sluice bundle inspect --project blog --version 3`,
		Flags: clientFlags(
			&cli.StringFlag{Name: "project", Usage: "name or id of the project to compare with, or to look at", Sources: cli.EnvVars("SLUICE_PROJECT")},
			&cli.StringFlag{Name: "version", Usage: "version of the project's bundle (default: the live one)", Sources: cli.EnvVars("SLUICE_VERSION")},
		),
		Action: func(ctx context.Context, c *cli.Command) error { return inspectBundle(ctx, c, term) },
	}
}

// inspected is what inspect prints.
type inspected struct {
	Version  int                  `json:"version,omitempty"` // of a project's bundle
	Live     bool                 `json:"live,omitempty"`
	Manifest *hooks.Manifest      `json:"manifest,omitempty"` // unless it is a module alone
	Modules  []hooks.ModuleReport `json:"modules"`
	Against  int                  `json:"against,omitempty"` // the live version that it was compared with; 0: none is live
	Changes  []project.Change     `json:"changes,omitempty"` // from that version to this
}

func inspectBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	if c.Args().Len() > 1 {
		return usagef("%s takes one %s, got %d; see: %s --help", c.FullName(), c.ArgsUsage, c.Args().Len(), c.FullName())
	}
	path, name := c.Args().First(), c.String("project")
	switch {
	case path == "" && name == "":
		return usagef("name a FILE or a DIR, or a project with --project; see: %s --help", c.FullName())
	case path != "" && c.String("version") != "":
		return usagef("--version is one of the project's: leave %s out", path)
	case path == "":
		return inspectVersion(ctx, c, term)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	done := term.working("compiling " + path)
	defer done()
	host, err := localHost(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = host.Close(ctx) }()
	var out *inspected
	if info.IsDir() {
		out, err = inspectDir(ctx, host, path)
	} else {
		out, err = inspectFile(ctx, host, path)
	}
	done()
	if err != nil {
		return err
	}
	if name != "" {
		if out.Manifest == nil {
			return usagef("--project compares bundles; name the directory of %s", path)
		}
		node, err := newClient(c, term)
		if err != nil {
			return err
		}
		if err := out.compare(ctx, node, name); err != nil {
			return err
		}
	}
	return out.print(c, term)
}

// inspectVersion shows a version that a node keeps.
func inspectVersion(ctx context.Context, c *cli.Command, term *terminal) error {
	version := "live"
	if given := c.String("version"); given != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(given, "v"))
		if err != nil || n < 1 {
			return usagef("--version %q is not a version; see: sluice bundle versions", given)
		}
		version = strconv.Itoa(n)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	done := term.working("loading " + version)
	d, err := node.inspect(ctx, c.String("project"), version)
	done()
	if err != nil {
		return err
	}
	out := &inspected{Version: d.Version, Live: d.Live, Manifest: &d.Manifest, Modules: d.Reports}
	if !d.Live {
		if err := out.compare(ctx, node, c.String("project")); err != nil {
			return err
		}
	}
	return out.print(c, term)
}

// localHost loads modules in this process, with the cache that tests use.
func localHost(ctx context.Context) (*hooks.Host, error) {
	return hooks.NewHost(ctx, hooks.Options{CacheDir: moduleCache(), Compiler: compiler()})
}

func inspectDir(ctx context.Context, host *hooks.Host, path string) (*inspected, error) {
	d, err := bundle.Open(path)
	if err != nil {
		return nil, err
	}
	modules, err := d.Modules()
	if err != nil {
		return nil, err
	}
	b, err := host.Load(ctx, *d.Manifest, modules, hooks.LoadOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close(ctx) }()
	return &inspected{Manifest: d.Manifest, Modules: b.Modules()}, nil
}

func inspectFile(ctx context.Context, host *hooks.Host, path string) (*inspected, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	code, err := io.ReadAll(io.LimitReader(f, maxInspected+1))
	if err != nil {
		return nil, err
	}
	if len(code) > maxInspected {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxInspected)
	}
	report, err := host.Inspect(ctx, filepath.Base(path), code)
	if err != nil {
		return nil, err
	}
	return &inspected{Modules: []hooks.ModuleReport{report}}, nil
}

// compare adds how this bundle differs from the live one of a project.
func (i *inspected) compare(ctx context.Context, node *client, projectName string) error {
	var live project.BundleDetails
	d, err := node.inspect(ctx, projectName, "live")
	var refused *problem
	switch {
	case err == nil:
		live = *d
	case errors.As(err, &refused) && refused.Reason == "bundle.no_version": // none is live
	default:
		return err
	}
	var manifest *hooks.Manifest
	if live.Version > 0 {
		manifest = &live.Manifest
	}
	i.Against, i.Changes = live.Version, project.DiffBundles(manifest, live.Reports, i.Manifest, i.Modules)
	if i.Changes == nil {
		i.Changes = []project.Change{}
	}
	return nil
}

func (i *inspected) print(c *cli.Command, term *terminal) error {
	out := term.out
	if c.Bool("json") {
		return json.NewEncoder(out).Encode(i)
	}
	if i.Version > 0 {
		note := ""
		if i.Live {
			note = ", live"
		}
		fmt.Fprintf(out, "Bundle v%d of project %s%s\n\n", i.Version, c.String("project"), note)
	}
	for _, m := range i.Modules {
		fmt.Fprintf(out, "%s  %s, memory %s, self-test %s fuel\n", term.bold(out, m.Name), bytesText(int64(m.Bytes)), bytesText(m.MemoryBytes), thousands(m.InitFuel))
		fmt.Fprintf(out, "  imports  %s\n", importLines(m.Imports))
		fmt.Fprintf(out, "  exports  %s\n", strings.Join(m.Exports, ", "))
	}
	if i.Manifest != nil {
		fmt.Fprintln(out, "\nWhat guests may do and are asked:")
		for _, change := range project.DiffBundles(nil, nil, i.Manifest, i.Modules) {
			fmt.Fprintf(out, "  %s\n", strings.TrimPrefix(change.String(), "+ "))
		}
	}
	switch {
	case i.Changes == nil:
	case i.Against == 0:
		fmt.Fprintf(out, "\nProject %s has no bundle yet.\n", c.String("project"))
	case len(i.Changes) == 0:
		fmt.Fprintf(out, "\nThe live bundle, v%d, may do and is asked the same.\n", i.Against)
	default:
		fmt.Fprintf(out, "\nOther than in the live bundle, v%d:\n", i.Against)
		for _, change := range i.Changes {
			fmt.Fprintf(out, "  %s\n", change)
		}
	}
	return nil
}

// importLines lists imports for a person, those of one module in one line.
func importLines(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	var b strings.Builder
	last := ""
	for i, name := range names {
		module, function, _ := strings.Cut(name, ".")
		switch {
		case module == last:
			b.WriteString(", " + function)
		case i > 0:
			b.WriteString("\n           " + module + ": " + function)
		default:
			b.WriteString(module + ": " + function)
		}
		last = module
	}
	return b.String()
}
