package project

import (
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
)

func TestDiffBundles(t *testing.T) {
	old := &hooks.Manifest{
		Modules: []hooks.Module{{Name: "a", File: "a.wasm"}, {Name: "b", File: "b.wasm"}},
		Bindings: []hooks.Binding{
			{Module: "a", Event: hooks.EventPolicy, Operations: []string{"insert"}, Collections: []string{"posts"}},
			{Module: "b", Event: hooks.EventPolicy, Operations: []string{"insert"}, Collections: []string{"posts"}},
			{Module: "b", Event: hooks.EventBeforeInsert, Collections: []string{"posts", "notes"}},
		},
	}
	oldReports := []hooks.ModuleReport{{Name: "a", Imports: []string{"sluice.log"}}, {Name: "b"}}
	next := &hooks.Manifest{
		Modules: []hooks.Module{{Name: "a", File: "other.wasm"}, {Name: "c", File: "c.wasm"}},
		Bindings: []hooks.Binding{
			{Module: "c", Event: hooks.EventPolicy, Collections: []string{"posts"}},
			{Module: "a", Event: hooks.EventPolicy, Operations: []string{"insert"}, Collections: []string{"posts"}},
			{Module: "a", Event: hooks.EventBeforeInsert, Collections: []string{"notes"}},
		},
	}
	nextReports := []hooks.ModuleReport{{Name: "a", Imports: []string{"sluice.log"}}, {Name: "c", Imports: []string{"sluice.get", "wasi_snapshot_preview1.fd_write", "wasi_snapshot_preview1.proc_exit"}}}
	for _, c := range []struct {
		name              string
		old, next         *hooks.Manifest
		oldReps, nextReps []hooks.ModuleReport
		want              string
	}{
		{"nothing", old, old, oldReports, oldReports, ""},
		{"the first one", nil, old, nil, oldReports, `+ collections.notes.beforeInsert: ["b"]
+ collections.posts.beforeInsert: ["b"]
+ collections.posts.policy.insert: ["a","b"]
+ modules.a
+ modules.a.imports.sluice.log
+ modules.b`},
		{"modules, imports, events and their order", old, next, oldReports, nextReports, `~ collections.notes.beforeInsert: ["b"] -> ["a"]
- collections.posts.beforeInsert: ["b"]
+ collections.posts.policy.delete: ["c"]
~ collections.posts.policy.insert: ["a","b"] -> ["c","a"]
+ collections.posts.policy.update: ["c"]
- modules.b
+ modules.c
+ modules.c.imports.sluice.get
+ modules.c.imports.wasi_snapshot_preview1`},
		{"the other way round", next, nil, nextReports, nil, `- collections.notes.beforeInsert: ["a"]
- collections.posts.policy.delete: ["c"]
- collections.posts.policy.insert: ["c","a"]
- collections.posts.policy.update: ["c"]
- modules.a
- modules.a.imports.sluice.log
- modules.c
- modules.c.imports.sluice.get
- modules.c.imports.wasi_snapshot_preview1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			for _, change := range DiffBundles(c.old, c.oldReps, c.next, c.nextReps) {
				lines = append(lines, change.String())
			}
			if got := strings.Join(lines, "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
