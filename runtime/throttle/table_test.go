package throttle

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestRate(t *testing.T) {
	table := New(100)
	rate := PerMinute(3)
	ask := func(after time.Duration) Verdict { return table.Take(noon.Add(after), rate, "p", []byte("a")) }
	for i, want := range []struct {
		after time.Duration
		v     Verdict
	}{
		{0, Verdict{OK: true, Remaining: 2, Reset: 20 * time.Second}},
		{0, Verdict{OK: true, Remaining: 1, Reset: 40 * time.Second}},
		{0, Verdict{OK: true, Remaining: 0, Reset: time.Minute}},
		{0, Verdict{Reset: time.Minute, RetryAfter: 20 * time.Second}},
		{5 * time.Second, Verdict{Reset: 55 * time.Second, RetryAfter: 15 * time.Second}}, // a refusal costs nothing
		{20 * time.Second, Verdict{OK: true, Remaining: 0, Reset: time.Minute}},
		{10 * time.Minute, Verdict{OK: true, Remaining: 2, Reset: 20 * time.Second}}, // what is not used is not saved up
	} {
		if got := ask(want.after); got != want.v {
			t.Errorf("%d: after %s %+v, want %+v", i, want.after, got, want.v)
		}
	}
}

func TestNoLimit(t *testing.T) {
	table := New(10)
	for range 1000 {
		if v := table.Take(noon, PerMinute(0), "p", nil); !v.OK {
			t.Fatal("the zero rate refuses")
		}
	}
}

func TestKeysAreApart(t *testing.T) {
	table := New(1000)
	rate := PerMinute(1)
	for _, key := range []struct{ scope, id string }{{"p", "a"}, {"p", "b"}, {"q", "a"}, {"pa", ""}, {"", "pa"}} {
		if v := table.Take(noon, rate, key.scope, []byte(key.id)); !v.OK {
			t.Errorf("%q %q is counted with another", key.scope, key.id)
		}
	}
}

// REL-18: a clock that was set back holds nobody back for longer than the bucket takes to fill, and one that was set forward
// forgives at most what is owed.
func TestClockJumps(t *testing.T) {
	table := New(10)
	rate := PerMinute(2)
	ask := func(at time.Time) Verdict { return table.Take(at, rate, "p", nil) }
	ask(noon)
	ask(noon)
	back := noon.Add(-10 * 365 * 24 * time.Hour)
	v := ask(back)
	if v.OK || v.RetryAfter > 30*time.Second {
		t.Errorf("ten years back: %+v", v)
	}
	if v = ask(back.Add(v.RetryAfter)); !v.OK {
		t.Errorf("after the wait that was asked for: %+v", v)
	}
	if v = ask(noon.Add(10 * 365 * 24 * time.Hour)); !v.OK || v.Remaining != 1 {
		t.Errorf("ten years ahead: %+v", v)
	}
}

// A flood of addresses that are met once cannot wash out the one that is held back, and the table does not grow.
func TestFloodOfAddresses(t *testing.T) {
	table := New(10_000)
	size := len(table.sets)
	rate := PerMinute(100)
	loud := []byte("loud")
	for range 101 {
		table.Take(noon, rate, "p", loud)
	}
	var fresh [16]byte
	for i := range 2_000_000 {
		binary.BigEndian.PutUint64(fresh[8:], uint64(i))
		table.Take(noon, rate, "p", fresh[:])
	}
	if v := table.Take(noon, rate, "p", loud); v.OK {
		t.Error("two million fresh addresses made it forget the one that is held back")
	}
	if len(table.sets) != size {
		t.Errorf("the table grew from %d to %d sets", size, len(table.sets))
	}
}

// Whatever is asked and when, in any window no more pass than the burst and what has trickled in since.
func TestNeverMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 50).Draw(t, "a minute")
		rate := PerMinute(n)
		table := New(10)
		var passed []time.Duration
		at := time.Duration(0)
		for range rapid.IntRange(1, 200).Draw(t, "questions") {
			at += time.Duration(rapid.IntRange(0, int(5*time.Second)).Draw(t, "pause"))
			v := table.Take(noon.Add(at), rate, "p", nil)
			if v.OK {
				passed = append(passed, at)
			} else if again := table.Take(noon.Add(at+v.RetryAfter), rate, "p", nil); !again.OK {
				t.Fatalf("refused again after the %s that it was told to wait", v.RetryAfter)
			} else {
				at += v.RetryAfter
				passed = append(passed, at)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if most := n + int((passed[j]-passed[i])/rate.Interval); j-i+1 > most {
					t.Fatalf("%d passed within %s, at most %d may", j-i+1, passed[j]-passed[i], most)
				}
			}
		}
	})
}

func TestConcurrentTakes(t *testing.T) {
	table := New(10)
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if table.Take(noon, PerMinute(500), "p", nil).OK {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 500 {
		t.Errorf("%d passed, want 500", passed.Load())
	}
}

func TestTakeAllocatesNothing(t *testing.T) {
	table := New(1000)
	id := make([]byte, 16)
	if n := testing.AllocsPerRun(1000, func() { table.Take(noon, PerMinute(1000), "0123456789abcdef01234567", id) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkTake(b *testing.B) {
	table := New(1 << 16)
	b.Run("one address", func(b *testing.B) {
		id := make([]byte, 16)
		for b.Loop() {
			table.Take(noon, PerMinute(1000), "0123456789abcdef01234567", id)
		}
	})
	b.Run("ever new addresses", func(b *testing.B) {
		var id [16]byte
		for i := uint64(0); b.Loop(); i++ {
			binary.BigEndian.PutUint64(id[:], i)
			table.Take(noon, PerMinute(1000), "0123456789abcdef01234567", id[:])
		}
	})
	b.Run("ever new addresses from all cores", func(b *testing.B) {
		var next atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			var id [16]byte
			for i := next.Add(1) << 40; pb.Next(); i++ {
				binary.BigEndian.PutUint64(id[:], i)
				table.Take(noon, PerMinute(1000), "0123456789abcdef01234567", id[:])
			}
		})
	})
}
