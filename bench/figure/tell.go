package figure

import (
	"fmt"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"
)

// Median of an even number is the lesser of the two in the middle: a figure that was measured. That of none is 0.
func Median[T ~int64 | ~float64](list []T) T {
	if len(list) == 0 {
		return 0
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list[(len(list)-1)/2]
}

// Ratio is a/b, and 0 when there is none: a slice may be too short for the clock of the processor's use.
func Ratio[T ~int64 | ~float64](a, b T) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Millis is a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// MiB is bytes in units of 1,048,576.
func MiB(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// Text shows three digits, or nothing of what was not measured.
func Text(f float64) string {
	switch {
	case f == 0:
		return ""
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

// YesNo makes what was missed catch the eye.
func YesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

// Machine says what class of machine this is, not which.
func Machine() string {
	cpu, memory := "unknown processor", "unknown memory"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
			}
		}
	}
	if raw, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf("%d GB", (kib+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%d cores (%s), %s, %s", goruntime.NumCPU(), cpu, memory, goruntime.GOOS)
}
