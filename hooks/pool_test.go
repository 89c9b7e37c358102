package hooks_test

import (
	"context"
	"sync"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
)

func TestRestingInstancesAreBoundedInBytes(t *testing.T) {
	const limit = 2 << 20
	// Each keeps ten pages of 4 KiB, or all of its memory of 128 KiB where it is copied.
	wasm := Guest{Pages: 2, Alloc: I32Const(2048), Policy: Code(I32Const(0), I32Const(1), I32Const(40_000), Op(0xfc, 0x0b, 0), I64Const(1))}.Wasm()
	eachMethod(t, func(t *testing.T, options hooks.Options) {
		options.PoolBytes, options.EventBytes = limit, 64<<10
		host := NewHost(t, options)
		n := 60
		var bundles []*hooks.Bundle
		ask := func(bundle *hooks.Bundle) {
			t.Helper()
			if d, err := bundle.Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
				t.Fatalf("%+v, %v", d, err)
			}
			if bytes := host.PooledBytes(); bytes > limit {
				t.Fatalf("%d bytes are kept", bytes)
			}
		}
		for range n {
			bundles = append(bundles, load(t, host, wasm))
			ask(bundles[len(bundles)-1])
		}
		resting := func() (total int) {
			for _, bundle := range bundles {
				total += bundle.Resting()
			}
			return total
		}
		if total := resting(); total == 0 || total >= n {
			t.Errorf("%d instances of %d modules rest", total, n)
		}
		// A bundle that is in use stays while others come and go.
		favourite := bundles[0]
		ask(favourite)
		for _, bundle := range bundles[1:] {
			ask(bundle)
			if favourite.Resting() != 1 {
				t.Fatal("the bundle in use has left")
			}
			ask(favourite)
		}
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				for j := range 200 {
					if d, err := bundles[(i*31+j)%n].Policy(context.Background(), insert(`{}`)); err != nil || !d.Allow {
						t.Errorf("%+v, %v", d, err)
					}
				}
			})
		}
		group.Wait()
		if bytes := host.PooledBytes(); bytes > limit {
			t.Errorf("%d bytes are kept", bytes)
		}
		for _, bundle := range bundles {
			if err := bundle.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if bytes := host.PooledBytes(); bytes != 0 {
			t.Errorf("%d bytes are kept by nobody", bytes)
		}
	})
}
