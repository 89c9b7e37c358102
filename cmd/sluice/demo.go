package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-edge/sluice/bundle"
	"github.com/sluice-edge/sluice/demo"
	"github.com/sluice-edge/sluice/runtime/project"
)

const (
	demoProject  = "demo"
	demoKeysFile = "demo-keys.json"
)

// demoKeys are the keys of the demo project. A node keeps only hashes; the demo alone writes its keys down as well
// (DIR/demo-keys.json, mode 0600), so that a second start on a kept directory can print the same page again.
type demoKeys struct {
	PublishableKey string `json:"publishableKey"`
	SecretKey      string `json:"secretKey"`
}

// setUpDemo makes the demo project over the admin API, as anyone would make theirs. On a directory that has one already
// it only brings the schema up to date.
func setUpDemo(ctx context.Context, node *client, dir string) (*demoKeys, error) {
	cfg, err := project.ParseFile("sluice.yaml", demo.ProjectFile)
	if err != nil {
		return nil, err
	}
	result, err := node.apply(ctx, cfg, false, false)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, demoKeysFile)
	keys := &demoKeys{PublishableKey: result.PublishableKey, SecretKey: result.SecretKey}
	if result.Created {
		raw, err := json.Marshal(keys)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
			return nil, err
		}
	} else {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s holds a project %q that --demo did not make, and its keys cannot be shown again; use another --dir", dir, demoProject)
		}
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, keys); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return keys, deployDemo(ctx, node, result.ID)
}

// deployDemo deploys the demo's bundle unless the project has one: a restart is not a new version.
func deployDemo(ctx context.Context, node *client, id string) error {
	projects, err := node.projects(ctx)
	if err != nil {
		return err
	}
	for _, p := range projects {
		if p.ID == id && p.Bundle > 0 {
			return nil
		}
	}
	manifest, err := bundle.ParseManifest(demo.Manifest)
	if err != nil {
		return err
	}
	modules := make(map[string][]byte, len(manifest.Modules))
	for _, m := range manifest.Modules {
		modules[m.File] = demo.Module
	}
	_, err = node.deploy(ctx, id, manifest, modules, false)
	return err
}

// printDemo prints the page that a newcomer sees first. Each command is one line, so that it survives being pasted.
func printDemo(term *terminal, r *ready, kept bool) error {
	bold := func(s string) string { return term.bold(term.out, s) }
	auth := fmt.Sprintf("-H 'x-api-key: %s' -H 'content-type: application/json'", r.PublishableKey)
	bearer := auth + ` -H "authorization: Bearer $TOKEN"`
	const account = `'{"email":"ada@example.com","password":"correct horse"}'`
	where := "in a temporary directory, removed at the end (keep it with --dir)"
	if kept {
		where = "in " + r.Dir + "; the keys are in " + demoKeysFile + " there"
	}
	_, err := fmt.Fprintf(term.out, `%s is running, with a project "%s" %s.

  %s             %s
  %s            %s
  %s  %s
  %s       %s

Paste these into another terminal, one after the other.

%s Sign up, then log in. The answer holds the access token; the second command keeps it in $TOKEN.

  curl -s %s/api/userAuth/signup %s -d %s -w '\n'; TOKEN=$(curl -s %s/api/userAuth/login %s -d %s | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')

%s Insert a post. You send no userId: the owner rule fills yours in, and the demo's hook makes the slug.

  curl -s %s/api/data/posts %s -d '{"title":"Hello, Sluice","price":20}' -w '\n'

%s Insert one that costs too much. The project's WASM policy says no, and why.

  curl -s %s/api/data/posts %s -d '{"title":"Gold plated","price":500}' -w '\n'

%s List the posts below 100. Reading is public: the key is enough.

  curl -s '%s/api/data/posts?price_lt=100&sort=-price' -H 'x-api-key: %s' -w '\n'

Ctrl-C ends it.
`,
		bold("Sluice"), r.Project, where,
		bold("apps"), r.URL, bold("admin"), r.AdminURL, bold("publishable key"), r.PublishableKey, bold("secret key"), r.SecretKey,
		bold("1."), r.URL, auth, account, r.URL, auth, account,
		bold("2."), r.URL, bearer,
		bold("3."), r.URL, bearer,
		bold("4."), r.URL, r.PublishableKey)
	return err
}
