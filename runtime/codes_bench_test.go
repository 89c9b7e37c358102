package runtime_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkAskForCode measures what SEC-12 is about: how long request-password-reset takes for an address that somebody has, and for one that
// nobody has. They are asked for in turns, each address once, and Welch's t over both is reported beside the medians: below 4.5 in
// magnitude nobody can tell them apart with so many samples.
//
//	go test ./runtime -run '^$' -bench AskForCode -benchtime 2000x
func BenchmarkAskForCode(b *testing.B) {
	n, _ := startMail(b, strings.Replace(blog, "auth: {enabled: true}", "auth: {enabled: true, codesPerHour: 1000000}", 1))
	known := max(b.N/2, 1)
	for i := range known {
		n.user(fmt.Sprintf("user%d@example.com", i)) // hashes a password each; not measured
	}
	var samples [2][]float64 // known, unknown
	b.ResetTimer()
	for i := range b.N {
		email := fmt.Sprintf("user%d@example.com", i/2)
		if i%2 == 1 {
			email = fmt.Sprintf("nobody%d@example.com", i/2)
		}
		began := time.Now()
		n.post("request-password-reset", emailBody, email).want(b, 200)
		samples[i%2] = append(samples[i%2], float64(time.Since(began)))
	}
	b.StopTimer()
	if len(samples[1]) < 2 {
		return
	}
	median := func(s []float64) float64 { return slices.Sorted(slices.Values(s))[len(s)/2] }
	b.ReportMetric(median(samples[0]), "ns/known")
	b.ReportMetric(median(samples[1]), "ns/unknown")
	b.ReportMetric(welch(samples[0], samples[1]), "t")
}

// welch is Welch's t of two samples, without the slowest hundredth of each: those are the machine's.
func welch(a, b []float64) float64 {
	moments := func(s []float64) (mean, spread float64) {
		s = slices.Sorted(slices.Values(s))
		s = s[:len(s)-len(s)/100]
		for _, v := range s {
			mean += v / float64(len(s))
		}
		for _, v := range s {
			spread += (v - mean) * (v - mean) / float64(len(s)-1)
		}
		return mean, spread / float64(len(s))
	}
	ma, sa := moments(a)
	mb, sb := moments(b)
	return (ma - mb) / math.Sqrt(sa+sb)
}
