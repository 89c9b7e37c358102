package hooks_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
	"github.com/sluice-edge/sluice/hooks/wasmbin"
)

func TestLoadRefusesBadGuestsAndSaysWhy(t *testing.T) {
	sound := Guest{}.Wasm()
	forever := Code(Op(0x03, 0x40, 0x0c, 0x00, 0x0b)) // loop br 0 end
	host := NewHost(t, hooks.Options{InitTime: 100 * time.Millisecond, ModuleBytes: 1 << 20})
	for _, test := range []struct {
		name string
		wasm []byte
		why  string
	}{
		{"not WebAssembly", []byte("#!/bin/sh\necho hello\n"), "does not begin like a WebAssembly module"},
		{"empty", nil, "does not begin like a WebAssembly module"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), "components are not supported"},
		{"cut off", sound[:len(sound)-5], "unexpected end"},
		{"larger than allowed", make([]byte, 1<<20+1), "at most 1048576 are allowed"},
		{"without memory", Guest{Without: []string{"memory"}}.Wasm(), "exports no memory"},
		{"without abi_version", Guest{Without: []string{"abi_version"}}.Wasm(), "exports no function abi_version() -> (i32)"},
		{"without alloc", Guest{Without: []string{"alloc"}}.Wasm(), "exports no function alloc(i32) -> (i32)"},
		{"without the policy that is bound", Guest{Without: []string{"policy"}}.Wasm(), "exports no function policy(i32, i32) -> (i64)"},
		{"without the hook that is bound", Guest{Without: []string{"hook"}}.Wasm(), "exports no function hook(i32, i32) -> (i64)"},
		{"with another signature", Guest{PolicyType: TypeI32, Policy: I32Const(1)}.Wasm(), "exports policy as () -> (i32), the guest contract has (i32, i32) -> (i64)"},
		{"of another version", Guest{Version: 2}.Wasm(), "speaks version 2"},
		{"importing what there is not", Guest{Imports: []wasmbin.Import{{Module: "env", Name: "abort", Type: TypeVoid}}}.Wasm(), "imports env.abort, which no guest may"},
		{"importing a function of the contract as another type", Guest{Imports: []wasmbin.Import{{Module: "sluice", Name: "get"}}}.Wasm(), "imports sluice.get as () -> (), the guest contract has (i32, i32, i32, i32, i32, i32) -> (i32)"},
		{"importing a reserved function", Guest{Imports: []wasmbin.Import{{Module: "sluice", Name: "put"}}}.Wasm(), "imports sluice.put, which no guest may"},
		{"importing a function with another signature", Guest{Imports: []wasmbin.Import{{Module: "sluice", Name: "log", Type: TypeVoid}}}.Wasm(), "log"},
		{"importing a memory", Guest{Imports: []wasmbin.Import{{Module: "sluice", Name: "m", Kind: wasmbin.KindMemory, Memory: wasmbin.Limits{Min: 1}}}}.Wasm(), "imports the memory sluice.m"},
		{"with more memory than allowed", Guest{Pages: 257}.Wasm(), "needs a memory of 257 pages, at most 256 are allowed"},
		{"with a giant table", Guest{Table: 1 << 26}.Wasm(), "has a table of 67108864 items"},
		{"with a body that does not validate", Guest{Policy: Op(0x6a)}.Wasm(), "does not compile"},
		{"with a trap in its start function", Guest{Start: Op(0x00)}.Wasm(), "trapped in its start function"},
		{"with a trap in init", Guest{Init: Op(0x00)}.Wasm(), "trapped in init"},
		{"with an init that never ends", Guest{Init: forever}.Wasm(), "init: guest ran out of"},
		{"with a start function that never ends", Guest{Start: forever}.Wasm(), "start function: guest ran out of"},
		{"whose buffer is outside of its memory", Guest{Alloc: I32Const(8*65536 - 1)}.Wasm(), "which does not leave room"},
		{"whose buffer is nowhere", Guest{Alloc: I32Const(0)}.Wasm(), "alloc(262144) returned 0"},
		{"whose buffer wraps around", Guest{Alloc: I32Const(-8)}.Wasm(), "which does not leave room"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bundle, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": test.wasm}, hooks.LoadOptions{})
			if err == nil {
				_ = bundle.Close(context.Background())
				t.Fatal("it was loaded")
			}
			var refusal *hooks.LoadError
			if !errors.As(err, &refusal) || refusal.Module != "guest" {
				t.Errorf("error %#v is no refusal of the module", err)
			}
			if !strings.Contains(err.Error(), test.why) {
				t.Errorf("error %q does not say %q", err, test.why)
			}
		})
	}
}

func TestLoadNeedsEveryFile(t *testing.T) {
	_, err := NewHost(t, hooks.Options{}).Load(context.Background(), Manifest(), nil, hooks.LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), `the bundle has no file "guest.wasm"`) {
		t.Errorf("error %v", err)
	}
}

func TestManifestValidateReportsEveryProblem(t *testing.T) {
	m := hooks.Manifest{
		Modules: []hooks.Module{{Name: "a"}, {Name: "a", File: "f"}, {File: "f"}, {Name: "idle", File: "f"}},
		Bindings: []hooks.Binding{
			{Module: "b", Event: "policy", Collections: []string{"c"}},
			{Module: "a", Event: "afterInsert", Collections: []string{"c"}},
			{Module: "a", Event: "policy", Operations: []string{"drop"}, Collections: []string{"c"}},
			{Module: "a", Event: "policy", Operations: []string{"read", "read"}, Collections: []string{"c"}},
			{Module: "a", Event: "beforeInsert", Operations: []string{"insert"}, Collections: []string{"c"}},
			{Module: "a", Event: "beforeInsert"},
			{Module: "a", Event: "beforeInsert", Collections: []string{"", "c", "c"}},
			{Module: "a", Event: "filter", Operations: []string{"read"}, Collections: []string{"c"}},
			{Module: "a", Event: "beforeSignup", Collections: []string{"c"}},
			{Module: "a", Event: "claims", Collections: []string{"users"}},
			{Module: "a", Event: "claims"},
			{Module: "a", Event: "beforeUpload", Collections: []string{"users"}},
		},
		Limits: hooks.Limits{HostCalls: -1},
		Grants: hooks.Grants{Read: []string{"c", "c"}},
		Config: hooks.Config(`{"a":"` + strings.Repeat("x", 64<<10) + `"}`),
	}
	err := m.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"modules[0].file: the file", `modules[1].name: "a" is used twice`, "modules[2].name: a name", `modules[3]: "idle" is bound to nothing`,
		`bindings[0].module: no module is named "b"`, `bindings[1].event: "afterInsert"`, `bindings[2].operations[0]: "drop"`,
		`bindings[3].operations[1]: "read" is named twice`, "bindings[4].operations: only a policy", "bindings[5].collections: at least one",
		"bindings[6].collections[0]: a name", `bindings[6].collections[2]: "c" is named twice`,
		"bindings[7].operations: only a policy", "bindings[8].collections: beforeSignup is about users only", "bindings[10].event: claims is bound twice", "bindings[11].collections: beforeUpload is about files only",
		"limits.hostCalls: is negative", `grants.read[1]: "c" is named twice`, "config: has 65544 bytes as JSON",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 19 {
		t.Errorf("%d problems, want 19:\n%v", n, err)
	}
	sound := Manifest()
	if err := sound.Validate(); err != nil {
		t.Errorf("a sound manifest: %v", err)
	}
}

func TestOptionsValidateReportsEveryProblem(t *testing.T) {
	_, err := hooks.NewHost(context.Background(), hooks.Options{MemoryPages: 1 << 17, EventBytes: -1, PolicyTime: -1})
	for _, want := range []string{"MemoryPages", "EventBytes", "PolicyTime"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestCacheDirectoryIsPrivateAndUsed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache", "wasm")
	for round := range 2 {
		bundle := Load(t, hooks.Options{CacheDir: dir}, Guest{Policy: I64Const(1)}.Wasm())
		d, err := bundle.Policy(context.Background(), insert(`{}`))
		if err != nil || !d.Allow {
			t.Fatalf("round %d: %+v, %v", round, d, err)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("cache directory: %v, %v", info.Mode(), err)
	}
	var files int
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, _ error) error {
		if !entry.IsDir() {
			files++
		}
		return nil
	})
	if files == 0 {
		t.Error("nothing was cached")
	}
}

// insert is an event of a caller who inserts after.
func insert(after string) *hooks.Event {
	return &hooks.Event{Op: hooks.OpInsert, Collection: Collection, Role: "publishable", UserID: "u1", After: []byte(after), Now: 1700000000000, RequestID: "r-1"}
}

func TestReportsOfModules(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	log := wasmbin.Import{Module: "sluice", Name: "log", Type: TypeLog}
	guest := Guest{Imports: []wasmbin.Import{log, log}, Init: Code(Op(0x01), Op(0x41, 0x07), Op(0x1a))}.Wasm()
	report, err := host.Inspect(context.Background(), "guest.wasm", guest)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := host.Inspect(context.Background(), "guest.wasm", Guest{}.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	if report.Name != "guest.wasm" || report.Bytes != len(guest) || !slices.Equal(report.Imports, []string{"sluice.log"}) || report.MemoryBytes%65536 != 0 || report.MemoryBytes == 0 {
		t.Errorf("%+v", report)
	}
	if len(idle.Imports) != 0 || idle.Imports == nil || !slices.Contains(idle.Exports, "policy") || slices.Contains(idle.Exports, "memory") {
		t.Errorf("%+v", idle)
	}
	if report.InitFuel <= idle.InitFuel || idle.InitFuel == 0 {
		t.Errorf("a guest that does something in init spends %d, one that does nothing %d", report.InitFuel, idle.InitFuel)
	}
	bundle := Load(t, hooks.Options{}, guest)
	if all := bundle.Modules(); len(all) != 1 || all[0].Name != "guest" || all[0].InitFuel != report.InitFuel {
		t.Errorf("%+v", all)
	}
	var refusal *hooks.LoadError
	if _, err := host.Inspect(context.Background(), "x.wasm", []byte("no")); !errors.As(err, &refusal) || refusal.Module != "x.wasm" {
		t.Error(err)
	}
}
