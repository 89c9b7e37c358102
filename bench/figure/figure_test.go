package figure

import (
	"path/filepath"
	"testing"
	"time"
)

func TestMedianIsOneOfThem(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 4}, 4}, {[]float64{4, 1, 9, 3}, 3}} {
		if got := Median(c.list); got != c.want {
			t.Errorf("%v: %v, want %v", c.list, got, c.want)
		}
	}
}

func TestLockIsHeldUntilItIsGivenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() {
		unlock, err := Lock(path)
		if err == nil {
			unlock()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("both have it: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	unlock()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

func TestRatioOfNothingIsNone(t *testing.T) {
	if a, b := Ratio(3.0, 2), Ratio(3.0, 0); a != 1.5 || b != 0 {
		t.Errorf("%v %v", a, b)
	}
}

func TestFlushTakesTimeAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	took, err := Flush(dir)
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || took <= 0 || len(left) > 0 {
		t.Errorf("%v, %v; left %q", took, err, left)
	}
}
