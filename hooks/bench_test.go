package hooks_test

import (
	"context"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
)

// BenchmarkTrivialPolicy is the host's own share of a policy call: event in, one native call, decision out.
func BenchmarkTrivialPolicy(b *testing.B) {
	bundle := Load(b, hooks.Options{}, Guest{Policy: I64Const(1)}.Wasm())
	e := insert(`{"title":"A title of some length","tags":["a","b"],"price":17.5,"userId":"65a000000000000000000001"}`)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := bundle.Policy(context.Background(), e); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
}
