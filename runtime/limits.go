package runtime

import (
	"strconv"
	"time"

	"github.com/sluice-edge/sluice/runtime/project"
	"github.com/sluice-edge/sluice/runtime/throttle"
)

// limitedKeys is about how many clients may owe something at the same time before those that owe least are forgotten.
const limitedKeys = 1 << 16

var (
	headerRatePolicy    = []byte("RateLimit-Policy")
	headerRateLimit     = []byte("RateLimit-Limit")
	headerRateRemaining = []byte("RateLimit-Remaining")
	headerRateReset     = []byte("RateLimit-Reset")
)

// rateNote is what the RateLimit headers of an answer say.
type rateNote struct {
	policy    string
	limit     int
	remaining int
	reset     time.Duration
}

// admit counts the request against the project's limits: that of the address first, so that one client cannot spend what all
// of them have.
func admit(r *request) error {
	rates := &r.state.Rates
	if !rates.Any {
		return nil
	}
	limits, usage := &r.state.Config.Limits, &r.project.Usage
	if rates.Address.Limited() {
		v := r.takeAddress(rates.Address, "requests")
		note := rateNote{rates.AddressPolicy, limits.RequestsPerAddress, v.Remaining, v.Reset}
		if !v.OK {
			return r.overLimit(project.RefusedByAddress, errRateAddress, note, v.RetryAfter)
		}
		r.tellRate(&note)
	}
	if limits.RequestsPerMinute > 0 {
		left, reset, ok := usage.TakeMinute(r.start, limits.RequestsPerMinute)
		note := rateNote{rates.MinutePolicy, limits.RequestsPerMinute, left, reset}
		if !ok {
			return r.overLimit(project.RefusedByMinute, errRateMinute, note, reset)
		}
		if !rates.Address.Limited() {
			r.tellRate(&note)
		}
	}
	if limits.RequestsPerDay > 0 {
		left, reset, ok := usage.TakeDay(r.start, limits.RequestsPerDay)
		if !ok {
			return r.overLimit(project.RefusedByDay, errRateDay, rateNote{rates.DayPolicy, limits.RequestsPerDay, left, reset}, reset)
		}
	}
	return nil
}

// takeAddress counts once what the request's address does in this project.
func (r *request) takeAddress(rate throttle.Rate, what string) throttle.Verdict {
	var id [16 + 16]byte
	n := network(r.clientAddr())
	copy(id[copy(id[:], n[:]):], what)
	return r.server.limits.Take(r.start, rate, r.project.ID, id[:])
}

// overLimit is the refusal by a limit: the RateLimit headers of the answer tell about that one.
func (r *request) overLimit(kind int, err *Error, note rateNote, wait time.Duration) error {
	r.project.Usage.Refused[kind].Add(1)
	r.tellRate(&note)
	return err.after(wait)
}

// tellRate sets the RateLimit headers.
func (r *request) tellRate(note *rateNote) {
	h := &r.http.Response.Header
	var b [20]byte
	h.SetCanonical(headerRatePolicy, append(r.rateText[:0], note.policy...))
	h.SetCanonical(headerRateLimit, strconv.AppendInt(b[:0], int64(note.limit), 10))
	h.SetCanonical(headerRateRemaining, strconv.AppendInt(b[:0], int64(note.remaining), 10))
	h.SetCanonical(headerRateReset, strconv.AppendInt(b[:0], seconds(note.reset), 10))
}

// seconds rounds a wait up: who comes back after it is not told to wait again.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// takeRefresh counts one refresh under a key, which may be times as many as of one session.
func (r *request) takeRefresh(err *Error, rate throttle.Rate, times int, what, id string) error {
	v := r.server.limits.Take(r.start, rate, r.project.ID, []byte(what+id))
	return r.judgeRefreshRate(err, times, v)
}

// judgeRefreshRate refuses a refresh that a limit does not let pass.
func (r *request) judgeRefreshRate(err *Error, times int, v throttle.Verdict) error {
	if v.OK {
		return nil
	}
	most := times * r.state.Config.Limits.RefreshesPerMinute
	return r.overLimit(project.RefusedByRefresh, err, rateNote{project.RatePolicy(most, 60), most, 0, v.Reset}, v.RetryAfter)
}

// admitRefresher counts a refresh against the limit of its address, before anything is looked up.
func (r *request) admitRefresher() error {
	return r.judgeRefreshRate(errRefreshAddress, 3, r.takeAddress(r.state.Rates.RefreshAddress, "refresh"))
}

// admitRefresh counts a refresh with a good token against the limits of its session and its user. One that only knows the
// session's name is not counted there: a stranger must not be able to keep its owner from refreshing it.
func (r *request) admitRefresh(s *session) error {
	if err := r.takeRefresh(errRefreshSession, r.state.Rates.RefreshSession, 1, "refresh session ", s.family.ID); err != nil {
		return err
	}
	return r.takeRefresh(errRefreshUser, r.state.Rates.RefreshUser, 2, "refresh user ", s.userID)
}
