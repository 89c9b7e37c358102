package meter

import (
	"testing"

	"pgregory.net/rapid"
)

// Which functions count their stack, found by following every way that calls can take: as the guest of a developer would,
// who would overflow the host's stack if one were missed.
func TestWhoeverCanGoDeepIsCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "functions")
		var g calls
		callees := make([][]uint32, n)
		for i := range n {
			first := uint32(0) // circles are rarer where most call forwards only
			if rapid.IntRange(0, 4).Draw(t, "forwards") > 0 {
				first = uint32(min(i+1, n-1))
			}
			callees[i] = rapid.SliceOfN(rapid.Uint32Range(first, uint32(n-1)), 0, 3).Draw(t, "callees")
			if first == uint32(i) && first > 0 {
				callees[i] = nil // the last one has nobody to call forwards
			}
			g.frames = append(g.frames, rapid.SampledFrom([]int32{64, 1000, leafBytes / 2, leafBytes/2 + 1, leafBytes, leafBytes + 1}).Draw(t, "frame"))
			g.callees = append(g.callees, callees[i]...)
			g.ends = append(g.ends, uint32(len(g.callees)))
			g.unknown = append(g.unknown, rapid.IntRange(0, 9).Draw(t, "table") == 0)
		}
		// deepest is what a call of f takes at most; beyond leafBytes nobody needs to know by how much.
		var deepest func(f uint32, above int32) bool
		deepest = func(f uint32, above int32) bool {
			above += g.frames[f]
			if above > leafBytes || g.unknown[f] {
				return false
			}
			for _, callee := range callees[f] {
				if !deepest(callee, above) {
					return false
				}
			}
			return true
		}
		for f, counted := range g.counted() {
			if bounded := deepest(uint32(f), 0); counted == bounded {
				t.Fatalf("function %d of %+v: counted %v, though what it takes is bounded: %v", f, g, counted, bounded)
			}
		}
	})
}
