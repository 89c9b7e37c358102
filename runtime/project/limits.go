package project

import (
	"strconv"

	"github.com/sluice-edge/sluice/runtime/throttle"
)

// maxRate bounds every limit on how often: what is more than this is no limit.
const maxRate = 1_000_000_000

// rates judges the limits on how often something may be done.
func (v *validator) rates(l *Limits) {
	for _, limit := range [...]struct {
		name string
		n    int
	}{
		{"requestsPerAddress", l.RequestsPerAddress}, {"requestsPerMinute", l.RequestsPerMinute}, {"requestsPerDay", l.RequestsPerDay},
	} {
		if limit.n < 0 || limit.n > maxRate {
			v.addf("limits."+limit.name, "must be between 1 and %d; 0 means no limit", maxRate)
		}
	}
	for _, limit := range [...]struct {
		name string
		n    int
	}{
		{"loginFailures", l.LoginFailures}, {"refreshesPerMinute", l.RefreshesPerMinute},
	} {
		if limit.n < 0 || limit.n > maxRate {
			v.addf("limits."+limit.name, "must be between 1 and %d; 0 means the default", maxRate)
		}
	}
}

// Rates are a project's limits on how often, made ready for the way of a request.
type Rates struct {
	Any bool // whether a request has to be counted at all

	Address        throttle.Rate // requests from one address
	RefreshSession throttle.Rate
	RefreshUser    throttle.Rate
	RefreshAddress throttle.Rate

	AddressPolicy, MinutePolicy, DayPolicy string // as they are told in a RateLimit-Policy header
}

func newRates(l *Limits) Rates {
	return Rates{
		Any:            l.RequestsPerAddress > 0 || l.RequestsPerMinute > 0 || l.RequestsPerDay > 0,
		Address:        throttle.PerMinute(l.RequestsPerAddress),
		RefreshSession: throttle.PerMinute(l.RefreshesPerMinute),
		RefreshUser:    throttle.PerMinute(2 * l.RefreshesPerMinute),
		RefreshAddress: throttle.PerMinute(3 * l.RefreshesPerMinute),
		AddressPolicy:  RatePolicy(l.RequestsPerAddress, 60),
		MinutePolicy:   RatePolicy(l.RequestsPerMinute, 60),
		DayPolicy:      RatePolicy(l.RequestsPerDay, 24*60*60),
	}
}

// RatePolicy is the value of a RateLimit-Policy header: so many in a window of so many seconds.
func RatePolicy(limit, seconds int) string {
	return strconv.Itoa(limit) + ";w=" + strconv.Itoa(seconds)
}
