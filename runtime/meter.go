package runtime

import (
	"encoding/json"
	"time"

	"github.com/sluice-edge/sluice/kv"
)

// meter is how much of something a project may use in a window of time: codes in an hour, mails in a day. It is judged in
// the commit that uses it, so that it is exact however many use it at once, and a crash gives nothing back.
//
// What was used is a counter of the project's file that only falls; a setting says when the present window began and where
// the counter stood. Users add to the counter with a floor, which conflicts with nobody; only the first of a new window writes
// the setting, and who counted on the old one is asked again.
type meter struct {
	name   string
	limit  int64
	window time.Duration
}

// clockSkew is how far a time may lie in the future and still be believed: clocks are set, and nodes differ.
const clockSkew = 5 * time.Second

// meterWindow is the setting: a window's beginning and the counter at that moment.
type meterWindow struct {
	From int64 `json:"from"` // unix milliseconds
	Base int64 `json:"base"`
}

// use adds one use to the request's batch, or reports that none is left and when there will be. A race for the last one is
// decided by the commit: it answers the loser a *kv.FloorError, who then asks again.
func (r *request) use(m meter) (left bool, wait time.Duration, err error) {
	snap, err := r.snapshot()
	if err != nil {
		return false, 0, err
	}
	setting, counter := "meter."+m.name, "meter."+m.name
	raw, rev, ok := snap.Setting(setting)
	used := snap.Counter(counter)
	if err := snap.Err(); err != nil {
		return false, 0, err
	}
	var w meterWindow
	if ok {
		if err := json.Unmarshal(raw, &w); err != nil {
			return false, 0, err
		}
	}
	age := r.start.Sub(time.UnixMilli(w.From))
	fresh := !ok || age >= m.window || age < -clockSkew // a window in the future was begun by a clock that was wrong
	if fresh {
		w = meterWindow{From: r.start.UnixMilli(), Base: used}
		age = 0
	}
	floor := w.Base - m.limit
	if used <= floor {
		return false, m.window - age, nil
	}
	b := &r.batch
	b.Needs = append(b.Needs, kv.Need{Kind: kv.NeedSetting, Name: setting, Rev: rev})
	if fresh {
		value, err := json.Marshal(w)
		if err != nil {
			return false, 0, err
		}
		b.Ops = append(b.Ops, kv.Op{Kind: kv.OpSetting, Name: setting, Value: value})
	}
	b.Ops = append(b.Ops, kv.Op{Kind: kv.OpAdd, Name: counter, Delta: -1, HasFloor: true, Floor: floor})
	return true, 0, nil
}
