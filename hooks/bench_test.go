package hooks_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
)

const benchDocument = `{"title":"A title of some length","tags":["a","b"],"price":17.5,"userId":"65a000000000000000000001"}`

// BenchmarkPolicy sets the price of one isolated call beside what it would be without: of a guest that only says yes,
// so that all of it is the host's own share, and of the example of each SDK.
//
// The figure best-ns/op is the mean of the fastest batch of calls: what a call takes while nobody else wants the processor.
func BenchmarkPolicy(b *testing.B) {
	const batch = 20
	type guest struct {
		name string
		wasm func() []byte
	}
	guests := []guest{{"trivial", func() []byte { return Guest{Pages: 2, Policy: I64Const(1), Alloc: I32Const(2048)}.Wasm() }}}
	for _, example := range Examples() {
		guests = append(guests, guest{example.Language, func() []byte { return example.Wasm(b) }})
	}
	for _, guest := range guests {
		b.Run(guest.name, func(b *testing.B) {
			wasm := guest.wasm()
			bundle := Load(b, hooks.Options{EventBytes: 64 << 10}, wasm)
			bench, err := bundle.NewBench(wasm)
			if err != nil {
				b.Fatal(err)
			}
			defer bench.Close()
			e, ctx := insert(benchDocument), context.Background()
			d, err := bundle.Policy(ctx, e)
			if err != nil {
				b.Fatal(err)
			}
			for _, way := range []struct {
				name string
				ask  func() error
			}{
				{"isolated", func() error { _, err := bundle.Policy(ctx, e); return err }},
				{"reused", func() error { return bench.Reuse(e) }},
				{"instance from the snapshot", func() error { return bench.Snapshot(e) }},
				{"instance from scratch", func() error { return bench.Scratch(e) }},
			} {
				b.Run(way.name, func(b *testing.B) {
					b.ReportAllocs()
					best, calls, begun := time.Duration(math.MaxInt64), 0, time.Now()
					for b.Loop() {
						if err := way.ask(); err != nil {
							b.Fatal(err)
						}
						if calls++; calls%batch == 0 {
							now := time.Now()
							best, begun = min(best, now.Sub(begun)), now
						}
					}
					if calls >= batch {
						b.ReportMetric(float64(best.Nanoseconds())/batch, "best-ns/op")
					}
					b.ReportMetric(float64(bench.Pages()), "pages") // here, since Loop begins by forgetting what was reported
					b.ReportMetric(float64(d.Fuel), "fuel")
					b.ReportMetric(float64(len(wasm)), "wasm-bytes")
				})
			}
		})
	}
}

// BenchmarkScript is BenchmarkPolicy of the example in JavaScript, with what else matters to a script: a hook that rewrites, and how
// long it takes from its text to being live.
func BenchmarkScript(b *testing.B) {
	host := NewHost(b, hooks.Options{CacheDir: engineCache})
	text := JavaScriptExample(b)
	bundle := LoadScript(b, host, text)
	e, ctx := insert(benchDocument), context.Background()
	ask := func(name string, f func(context.Context, *hooks.Event) (hooks.Decision, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var d hooks.Decision
			for b.Loop() {
				var err error
				if d, err = f(ctx, e); err != nil || !d.Allow {
					b.Fatal(d, err)
				}
			}
			b.ReportMetric(float64(d.Fuel), "fuel")
		})
	}
	ask("policy", bundle.Policy)
	ask("hook", bundle.Hook)
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			bundle, err := host.Load(ctx, ScriptManifest(), map[string][]byte{"guest.js": []byte(text)}, hooks.LoadOptions{})
			if err != nil {
				b.Fatal(err)
			}
			if err := bundle.Close(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}
