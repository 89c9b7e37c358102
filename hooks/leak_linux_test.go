package hooks_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/sluice-edge/sluice/hooks"
	. "github.com/sluice-edge/sluice/hooks/hooktest"
)

// Descriptors, mappings and resident memory stay what they were, over calls that work, that trap, that grow the guest's
// memory, and over bundles that come and go: 100,000 calls, or a million with HOOKS=long in the environment.
func TestNothingIsLeftBehind(t *testing.T) {
	host := NewHost(t, hooks.Options{})
	calm := load(t, host, Guest{Pages: 32, Policy: Code(I32Const(0), I32Const(7), I32Const(10*4096), Op(0xfc, 0x0b, 0), I64Const(1))}.Wasm())
	wide := load(t, host, Guest{Pages: 128, Policy: Code(I32Const(0), I32Const(7), I32Const(128*wasmPage), Op(0xfc, 0x0b, 0), I64Const(1))}.Wasm())
	traps := load(t, host, Guest{Policy: Op(0x00)}.Wasm())
	grows := load(t, host, Guest{Policy: Code(I32Const(9), Op(0x40, 0, 0x1a), I32Const(9*wasmPage), I32Const(1), Op(0x36, 0, 0), I64Const(1))}.Wasm())
	passing := Guest{Policy: I64Const(1)}.Wasm()
	ask := func(bundle *hooks.Bundle, n int) {
		for range n {
			_, _ = bundle.Policy(context.Background(), insert(`{}`)) // some of them trap: that is the point
		}
	}
	all := func(scale int) {
		ask(calm, 97_000/scale)
		ask(wide, 100/scale)
		ask(traps, 1500/scale)
		ask(grows, 1500/scale)
		for range 200 / scale {
			// Not by load, whose cleanup would keep every bundle until the test ends.
			bundle, err := host.Load(context.Background(), Manifest(), map[string][]byte{"guest.wasm": passing}, hooks.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ask(bundle, 2)
			if err := bundle.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	rounds := 1
	if os.Getenv("HOOKS") == "long" {
		rounds = 10
	}
	all(10)
	files, maps, resident := footprint(t)
	for range rounds {
		all(1)
	}
	filesAfter, mapsAfter, residentAfter := footprint(t)
	t.Logf("files %d to %d, mappings %d to %d, resident %d to %d KiB", files, filesAfter, maps, mapsAfter, resident, residentAfter)
	if filesAfter > files+2 || mapsAfter > maps+30 || residentAfter > resident+resident/10+4<<10 {
		t.Errorf("files %d to %d, mappings %d to %d, resident %d to %d KiB", files, filesAfter, maps, mapsAfter, resident, residentAfter)
	}
}

func footprint(t *testing.T) (files, maps, residentKiB int) {
	debug.FreeOSMemory()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	mappings, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	if _, err := fmt.Sscan(rss, &residentKiB); err != nil {
		t.Fatal(err)
	}
	return len(entries), strings.Count(string(mappings), "\n"), residentKiB
}
