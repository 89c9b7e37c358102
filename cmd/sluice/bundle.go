package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"
	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/hooks"
)

const (
	manifestFile   = "sluice.hooks.yaml"
	maxManifest    = 1 << 20
	maxModuleBytes = 64 << 20 // the node has its own, lower limit; this one only keeps a wrong path from filling memory
)

func bundleCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "bundle",
		Usage: "deploy policies and hooks to a running node",
		Commands: []*cli.Command{{
			Name:      "deploy",
			Usage:     "check a bundle and make it the live one of a project",
			ArgsUsage: "DIR",
			Description: `DIR holds sluice.hooks.yaml, which names the WebAssembly modules and says when each of them is asked, and the modules.
The node compiles and tries the bundle first; one that does not load changes nothing.

  sluice bundle deploy ./hooks --project blog`,
			Flags: clientFlags(
				&cli.StringFlag{Name: "project", Required: true, Usage: "name or id of the project", Sources: cli.EnvVars("SLUICE_PROJECT")},
			),
			Action: func(ctx context.Context, c *cli.Command) error { return deployBundle(ctx, c, term) },
		}, {
			Name:        "versions",
			Usage:       "list the versions that a rollback can bring back",
			Description: `The last 20 versions of a project's bundle are kept, the live one among them.`,
			Flags: clientFlags(
				&cli.StringFlag{Name: "project", Required: true, Usage: "name or id of the project", Sources: cli.EnvVars("SLUICE_PROJECT")},
			),
			Action: func(ctx context.Context, c *cli.Command) error { return listVersions(ctx, c, term) },
		}, {
			Name:      "rollback",
			Usage:     "make an earlier version the live one again, as a new version",
			ArgsUsage: "VERSION",
			Description: `Requests in flight end on the bundle on which they began; none fails.

  sluice bundle rollback 3 --project blog`,
			Flags: clientFlags(
				&cli.StringFlag{Name: "project", Required: true, Usage: "name or id of the project", Sources: cli.EnvVars("SLUICE_PROJECT")},
			),
			Action: func(ctx context.Context, c *cli.Command) error { return rollbackBundle(ctx, c, term) },
		}},
	}
}

func listVersions(ctx context.Context, c *cli.Command, term *terminal) error {
	if err := noArguments(c); err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	list, err := node.versions(ctx, c.String("project"))
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(map[string]any{"versions": list})
	}
	if len(list) == 0 {
		fmt.Fprintf(term.out, "Project %s has no bundle.\n", c.String("project"))
		return nil
	}
	w := tabwriter.NewWriter(term.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VERSION\tDEPLOYED\tMODULES\t")
	for _, v := range list {
		note := ""
		if v.Live {
			note = "live"
		}
		if v.RollbackOf != 0 {
			note = strings.TrimSpace(fmt.Sprintf("%s (as v%d)", note, v.RollbackOf))
		}
		fmt.Fprintf(w, "v%d\t%s\t%s\t%s\n", v.Version, v.DeployedAt, strings.Join(v.Modules, ","), note)
	}
	return w.Flush()
}

func rollbackBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	arg, err := oneArgument(c)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(strings.TrimPrefix(arg, "v"))
	if err != nil || version < 1 {
		return usagef("%q is not a version; see: sluice bundle versions", arg)
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	result, err := node.rollback(ctx, c.String("project"), version)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	fmt.Fprintf(term.out, "Project %s runs bundle v%d, which is v%d again.\n", c.String("project"), result.Version, version)
	return nil
}

func deployBundle(ctx context.Context, c *cli.Command, term *terminal) error {
	dir, err := oneArgument(c)
	if err != nil {
		return err
	}
	manifest, modules, err := readBundle(dir)
	if err != nil {
		return err
	}
	node, err := newClient(c, term)
	if err != nil {
		return err
	}
	done := term.working("deploying " + dir)
	result, err := node.deploy(ctx, c.String("project"), manifest, modules)
	done()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(term.out).Encode(result)
	}
	fmt.Fprintf(term.out, "Project %s runs bundle v%d.\n", c.String("project"), result.Version)
	for _, m := range result.Modules {
		fmt.Fprintf(term.out, "  %s  %d bytes  sha256:%s\n", m.Name, m.Bytes, m.SHA256)
	}
	return nil
}

// readBundle reads a manifest and the modules that it names. A module's file lies in dir or below it: a manifest from
// elsewhere must not be able to send the rest of the disk.
func readBundle(dir string) (*hooks.Manifest, map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = root.Close() }()
	src, err := readBounded(root, manifestFile, maxManifest)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", dir, err)
	}
	manifest, err := parseManifest(src)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	modules := make(map[string][]byte, len(manifest.Modules))
	for _, m := range manifest.Modules {
		if modules[m.File], err = readBounded(root, m.File, maxModuleBytes); err != nil {
			return nil, nil, fmt.Errorf("module %s: %w", m.Name, err)
		}
	}
	return manifest, modules, nil
}

// parseManifest is strict: a misspelt key would otherwise be a policy that is silently not asked.
func parseManifest(src []byte) (*hooks.Manifest, error) {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	var m hooks.Manifest
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(any)); err != io.EOF {
		return nil, fmt.Errorf("holds more than one document")
	}
	return &m, m.Validate()
}

func readBounded(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return raw, err
}
