package demo_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/sluice-edge/sluice/demo"
	"github.com/sluice-edge/sluice/hooks"
	"github.com/sluice-edge/sluice/hooks/hooktest"
)

func TestModuleIsWhatItsSourceGives(t *testing.T) {
	out := filepath.Join(t.TempDir(), "demo.wasm")
	if text, err := exec.Command("sh", "build.sh", out).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	built, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(built, demo.Module) {
		t.Error("demo.wasm is not what demo/guest and sdk/go give: run `go generate ./demo`")
	}
	if limit := 2 << 20; len(demo.Module) > limit {
		t.Errorf("demo.wasm has %d bytes, over %d: what made it grow?", len(demo.Module), limit)
	}
}

func load(t testing.TB) *hooks.Bundle {
	t.Helper()
	var manifest hooks.Manifest
	if err := yaml.Unmarshal(demo.Manifest, &manifest); err != nil {
		t.Fatal(err)
	}
	bundle, err := hooktest.NewHost(t, hooks.Options{}).Load(context.Background(), manifest, map[string][]byte{demo.ModuleFile: demo.Module}, hooks.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func event(op hooks.Op, after string) *hooks.Event {
	return &hooks.Event{Op: op, Collection: "posts", Role: "publishable", UserID: "65a000000000000000000001",
		After: []byte(after), Now: 1700000000000, RequestID: "r-1"}
}

func TestBundleKeepsPricesLowAndMakesSlugs(t *testing.T) {
	bundle := load(t)
	for _, op := range []hooks.Op{hooks.OpInsert, hooks.OpUpdate} {
		if !bundle.HasPolicy("posts", op) || !bundle.HasHook("posts", op) {
			t.Errorf("nothing is bound to %s on posts", op)
		}
		d, err := bundle.Policy(context.Background(), event(op, `{"title":"Hello, World","price":150}`))
		if err != nil || d.Allow || d.Code != "posts.price_too_high" || d.Status != 403 || d.Message == "" {
			t.Errorf("%s at 150: %+v, %v", op, d, err)
		}
		if d, err = bundle.Policy(context.Background(), event(op, `{"title":"Hello, World","price":100}`)); err != nil || !d.Allow {
			t.Errorf("%s at 100: %+v, %v", op, d, err)
		}
		d, err = bundle.Hook(context.Background(), event(op, `{"title":"Hello, World","slug":"x","price":1}`))
		if want := `{"title":"Hello, World","slug":"hello-world","price":1}`; err != nil || !d.Allow || string(d.Document) != want {
			t.Errorf("%s: %+v, document %s, %v", op, d, d.Document, err)
		}
	}
	if bundle.HasPolicy("notes", hooks.OpInsert) || bundle.HasPolicy("posts", hooks.OpDelete) {
		t.Error("the bundle is bound to more than it says")
	}
}

func BenchmarkPolicy(b *testing.B) {
	bundle := load(b)
	e := event(hooks.OpInsert, `{"title":"A title of some length","body":"`+string(bytes.Repeat([]byte("text "), 30))+`","tags":["a","b"],"price":17.5,"userId":"65a000000000000000000001"}`)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := bundle.Policy(context.Background(), e); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}

func BenchmarkHook(b *testing.B) {
	bundle := load(b)
	e := event(hooks.OpInsert, `{"title":"A title of some length","body":"`+string(bytes.Repeat([]byte("text "), 30))+`","tags":["a","b"],"price":17.5,"userId":"65a000000000000000000001"}`)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := bundle.Hook(context.Background(), e); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}
