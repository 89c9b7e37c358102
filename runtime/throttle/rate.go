package throttle

import "time"

// Rate says how often: Burst times at once, and then once every Interval. The zero Rate is no limit.
type Rate struct {
	Interval time.Duration
	Burst    int
}

// PerMinute is n times a minute, all of them at once if need be. n of 0 or less is no limit.
func PerMinute(n int) Rate {
	if n <= 0 {
		return Rate{}
	}
	return Rate{Interval: max(1, time.Minute/time.Duration(n)), Burst: n}
}

// Limited reports whether r is a limit at all.
func (r Rate) Limited() bool { return r.Burst > 0 }

// Verdict is the answer to one question.
type Verdict struct {
	OK         bool
	Remaining  int           // how often more, at once
	Reset      time.Duration // until nothing is owed any more
	RetryAfter time.Duration // until the next one passes; 0 when OK
}

// take judges one question of a key whose debt is paid off at due, and returns when it will be from now on. Times are Unix
// nanoseconds. A debt that the rate cannot have run up, because the clock was set back, or the rate was changed, is cut to the
// largest that it can: nobody waits longer than one whole bucket takes to fill.
func (r Rate) take(now, due int64) (int64, Verdict) {
	window := int64(r.Interval) * int64(r.Burst)
	due = min(max(due, now), now+window)
	next := due + int64(r.Interval)
	if owed := next - now; owed > window {
		return due, Verdict{Reset: time.Duration(due - now), RetryAfter: time.Duration(owed - window)}
	}
	return next, Verdict{OK: true, Remaining: int((window - (next - now)) / int64(r.Interval)), Reset: time.Duration(next - now)}
}
