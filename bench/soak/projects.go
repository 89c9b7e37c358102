package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-edge/sluice/bench/node"
	"github.com/sluice-edge/sluice/hooks/wat"
)

// crimes are guests of the corpus in hooks/testdata. Each is asked for every list of a collection of its name.
var crimes = []string{
	"loop", "call_tree", "divisions", "fill", "copy", "pointer_chase", "recursion", "recursion_indirect",
	"memory_grow", "memory_grow_trap", "log_bomb", "print_bomb", "random_bomb", "answer_giant", "answer_bomb", "answer_garbage", "unreachable",
	"get_storm", "count_storm",
}

// scripts are crimes in JavaScript.
var scripts = map[string]string{
	"script_loop":  "export function filter() { for (;;); }\n",
	"script_grow":  "export function filter() { const all = []; for (;;) all.push(new Array(1000).fill(all.length)); }\n",
	"script_throw": "export function filter() { throw new Error(\"no\".repeat(1000)); }\n",
	"script_deep":  "export function filter() { const f = (n) => f(n + 1) + 1; return f(0); }\n",
}

// collections returns the names of all crimes.
func collections() []string {
	return slices.Concat(crimes, slices.Sorted(maps.Keys(scripts)))
}

func hostileProject() string {
	var b strings.Builder
	b.WriteString("name: hostile\nauth: {enabled: true}\ncollections:\n  - name: users\n    fields:\n      - {key: email, type: String, required: true, unique: true}\n" +
		"      - {key: password, type: String, required: true}\n")
	for _, name := range append(collections(), "members") {
		fmt.Fprintf(&b, "  - name: %s\n    fields:\n      - {key: title, type: String}\n    rls: {enabled: true, mode: public-read}\n", name)
	}
	return b.String()
}

// writeHostile writes the bundle with all crimes. testdata is the corpus.
func writeHostile(dir, testdata string) error {
	var modules, bindings strings.Builder
	add := func(name, file string, content []byte) error {
		fmt.Fprintf(&modules, "  - {name: %s, file: %s}\n", name, file)
		fmt.Fprintf(&bindings, "  - {module: %s, event: filter, collections: [%s]}\n", name, name)
		return os.WriteFile(filepath.Join(dir, file), content, 0o600)
	}
	for _, name := range crimes {
		text, err := os.ReadFile(filepath.Join(testdata, name+".wat"))
		if err != nil {
			return err
		}
		code, err := wat.Assemble(string(text))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := add(name, name+".wasm", code); err != nil {
			return err
		}
	}
	for name, text := range scripts {
		if err := add(name, name+".js", []byte(text)); err != nil {
			return err
		}
	}
	manifest := "modules:\n" + modules.String() + "bindings:\n" + bindings.String() +
		"limits: {policyFuel: 100000000, policyMillis: 1000, logLines: 256}\ngrants: {read: [members]}\n"
	return os.WriteFile(filepath.Join(dir, "sluice.hooks.yaml"), []byte(manifest), 0o600)
}

// writeGood writes the good project's bundle. Each version is another one.
func writeGood(dir string, version int) error {
	manifest := "modules:\n  - {name: posts, file: posts.js}\nbindings:\n  - {module: posts, event: policy, operations: [insert, update, read], collections: [posts]}\n"
	script := fmt.Sprintf(`// Version %d.
export function policy({ op, after, documents }) {
  if (op === "read") return documents.map((doc) => doc.price <= 100);
  return after.price <= 100;
}
`, version)
	if err := os.WriteFile(filepath.Join(dir, "sluice.hooks.yaml"), []byte(manifest), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "posts.js"), []byte(script), 0o600)
}

// setUp makes both projects on the node that runs on dir. good is the one that the directory has.
func setUp(ctx context.Context, b *node.Binary, dir, bundles string, good *node.Project) (hostile *node.Project, err error) {
	for _, name := range []string{"good", "hostile"} {
		if err := os.MkdirAll(filepath.Join(bundles, name), 0o700); err != nil {
			return nil, err
		}
	}
	if err := writeGood(filepath.Join(bundles, "good"), 0); err != nil {
		return nil, err
	}
	if err := b.DeployTo(ctx, dir, good, filepath.Join(bundles, "good")); err != nil {
		return nil, err
	}
	if hostile, err = b.Apply(ctx, dir, hostileProject()); err != nil {
		return nil, err
	}
	if err := writeHostile(filepath.Join(bundles, "hostile"), b.Source("../hooks/testdata")); err != nil {
		return nil, err
	}
	return hostile, b.DeployTo(ctx, dir, hostile, filepath.Join(bundles, "hostile"))
}
