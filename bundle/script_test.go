package bundle

import (
	"context"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

// What Modules makes of TypeScript in several files is what a node runs.
func TestAScriptInTypeScriptRuns(t *testing.T) {
	d := newDir(t, []string{"posts=posts.ts"}, map[string]string{
		"posts.ts":     `import { deny, type Policy, type Verdict } from "sluice"; import { limit } from "./lib/limit"; export const policy = (event: Policy<{ price: number }>): Verdict => event.after!.price <= limit || deny("a.b");`,
		"lib/limit.ts": `export const limit: number = 100;`,
	})
	modules, err := d.Modules()
	if err != nil {
		t.Fatal(err)
	}
	host, err := hooks.NewHost(context.Background(), hooks.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.Close(context.Background()) }()
	b, err := host.Load(context.Background(), *d.Manifest, modules, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for price, want := range map[string]bool{"100": true, "101": false} {
		got, err := b.Policy(context.Background(), &hooks.Event{Op: hooks.OpInsert, Collection: "posts", After: []byte(`{"price":` + price + `}`)})
		if err != nil || got.Allow != want {
			t.Errorf("a price of %s: %+v, %v", price, got, err)
		}
	}
}
