package hooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
)

const benchDocument = `{"title":"A title of some length","tags":["a","b"],"price":17.5,"userId":"65a000000000000000000001"}`

// run calls ask as often as the benchmark wants, and reports the mean of the fastest batch of calls.
func run(b *testing.B, ask func() error) error {
	const batch = 20
	best, calls, begun := time.Hour, 0, time.Now()
	for b.Loop() {
		if err := ask(); err != nil {
			return err
		}
		if calls++; calls%batch == 0 {
			now := time.Now()
			best, begun = min(best, now.Sub(begun)), now
		}
	}
	if calls >= batch {
		b.ReportMetric(float64(best.Nanoseconds())/batch, "best-ns/op")
	}
	return nil
}

// BenchmarkPolicy sets the price of one call, metered and isolated, beside what it would be without: of a guest that only says yes,
// so that all of it is the host's own share, of one that counts to 10,000, and of the example of each SDK.
//
// best-ns/op is the mean of the fastest batch of calls: what a call takes while nobody else wants the processor. answer-ns is what the
// caller of a session waits for at the least; the rest of a session comes after the answer.
func BenchmarkPolicy(b *testing.B) {
	type guest struct {
		name string
		wasm func() []byte
	}
	count := Code(I32Const(10_000), Op(0x21, 0, 0x03, 0x40, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b), I64Const(1))
	guests := []guest{
		{"trivial", func() []byte { return Guest{Pages: 2, Policy: I64Const(1), Alloc: I32Const(2048)}.Wasm() }},
		{"loop", func() []byte { return Guest{Pages: 2, Policy: count, Alloc: I32Const(2048)}.Wasm() }},
	}
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
			session := func(trace bool) (answer time.Duration, err error) {
				begun := time.Now()
				s, _ := bundle.Session(nil)
				if trace {
					s.Trace()
				}
				_, err = s.Policy(ctx, e)
				answer = time.Since(begun)
				s.End()
				return answer, err
			}
			plain := func(deadlines bool) func() error {
				return func() error {
					p, err := hooks.NewPlain(wasm, deadlines)
					if err != nil {
						return err
					}
					b.Cleanup(p.Close)
					return run(b, func() error { return p.Ask(e) })
				}
			}
			loop := func(ask func() error) func() error { return func() error { return run(b, ask) } }
			timed := func(trace bool) func() error {
				return func() error {
					least := time.Hour
					err := run(b, func() error {
						answer, err := session(trace)
						least = min(least, answer)
						return err
					})
					b.ReportMetric(float64(least.Nanoseconds()), "answer-ns")
					return err
				}
			}
			for _, way := range []struct {
				name string
				run  func() error
			}{
				{"session", timed(false)},
				{"session with a trace", timed(true)},
				{"isolated", loop(func() error { _, err := bundle.Policy(ctx, e); return err })},
				{"reused", loop(func() error { return bench.Reuse(e) })},
				{"plain", plain(false)},
				{"plain with the engine's deadlines", plain(true)},
				{"instance from the snapshot", loop(func() error { return bench.Snapshot(e) })},
				{"instance from scratch", loop(func() error { return bench.Scratch(e) })},
			} {
				b.Run(way.name, func(inner *testing.B) {
					outer := b
					b = inner
					defer func() { b = outer }()
					b.ReportAllocs()
					if err := way.run(); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(bench.Pages()), "pages")
					b.ReportMetric(float64(d.Fuel), "fuel")
					b.ReportMetric(float64(len(wasm)), "wasm-bytes")
				})
			}
		})
	}
}
