package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are at most 1/32 of what they hold wide. The zero value is empty; it is no
// good to two goroutines at once.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

const (
	steps   = 32 // to a power of two
	buckets = 36 * steps
)

// bucket and value are each other's counterpart: below 2*steps nanoseconds every one has its own bucket.
func bucket(ns uint64) int {
	exp := max(bits.Len64(ns)-6, 0)
	return min(exp*steps+int(ns>>exp), buckets-1)
}

func value(bucket int) time.Duration {
	exp := max(bucket/steps-1, 0)
	return time.Duration(bucket-exp*steps) << exp
}

// Add counts one.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

// Merge adds what o counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
}

// Quantile returns the duration below which the given part of all are, 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank, seen := uint64(q*float64(h.total)), uint64(0)
	for i, n := range h.counts {
		if seen += n; seen > rank {
			return value(i)
		}
	}
	return 0
}
