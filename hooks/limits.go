package hooks

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Limits bound what the guests of one bundle may take at each call. A zero field means the node's default.
type Limits struct {
	PolicyFuel   int64 `json:"policyFuel,omitempty" yaml:"policyFuel,omitempty"`     // of one policy or filter call
	HookFuel     int64 `json:"hookFuel,omitempty" yaml:"hookFuel,omitempty"`         // of one call of any other event
	PolicyMillis int64 `json:"policyMillis,omitempty" yaml:"policyMillis,omitempty"` // wall clock, the last resort behind fuel
	HookMillis   int64 `json:"hookMillis,omitempty" yaml:"hookMillis,omitempty"`     // likewise
	MemoryPages  int64 `json:"memoryPages,omitempty" yaml:"memoryPages,omitempty"`   // of 64 KiB, of one instance
	EventBytes   int64 `json:"eventBytes,omitempty" yaml:"eventBytes,omitempty"`     // what alloc is asked for
	AnswerBytes  int64 `json:"answerBytes,omitempty" yaml:"answerBytes,omitempty"`   // text of one answer
	HostCalls    int64 `json:"hostCalls,omitempty" yaml:"hostCalls,omitempty"`       // get, find and count together
	HostBytes    int64 `json:"hostBytes,omitempty" yaml:"hostBytes,omitempty"`       // of what they return together
	LogLines     int64 `json:"logLines,omitempty" yaml:"logLines,omitempty"`         // further ones are dropped
	LogBytes     int64 `json:"logBytes,omitempty" yaml:"logBytes,omitempty"`         // of one line; longer ones are cut
}

// limit is one field of Limits, by the name that a manifest has for it.
type limit struct {
	name  string
	value *int64
}

// all lists the fields.
func (l *Limits) all() [11]limit {
	return [...]limit{
		{"policyFuel", &l.PolicyFuel}, {"hookFuel", &l.HookFuel}, {"policyMillis", &l.PolicyMillis}, {"hookMillis", &l.HookMillis},
		{"memoryPages", &l.MemoryPages}, {"eventBytes", &l.EventBytes}, {"answerBytes", &l.AnswerBytes},
		{"hostCalls", &l.HostCalls}, {"hostBytes", &l.HostBytes}, {"logLines", &l.LogLines}, {"logBytes", &l.LogBytes},
	}
}

// or returns the limits with those of other in place of zero fields.
func (l Limits) or(other Limits) Limits {
	theirs := other.all()
	for i, mine := range l.all() {
		if *mine.value == 0 {
			*mine.value = *theirs[i].value
		}
	}
	return l
}

// atLeast returns the larger of each field.
func (l Limits) atLeast(other Limits) Limits {
	theirs := other.all()
	for i, mine := range l.all() {
		*mine.value = max(*mine.value, *theirs[i].value)
	}
	return l
}

// lower returns the limits, but none above a field of by that is not zero.
func (l Limits) lower(by Limits) Limits {
	theirs := by.all()
	for i, mine := range l.all() {
		if most := *theirs[i].value; most != 0 {
			*mine.value = min(*mine.value, most)
		}
	}
	return l
}

// validate reports every negative field.
func (l Limits) validate() error {
	var errs []error
	for _, f := range l.all() {
		if *f.value < 0 {
			errs = append(errs, fmt.Errorf("%s: is negative", f.name))
		}
	}
	return errors.Join(errs...)
}

// within reports every field that is over a ceiling.
func (l Limits) within(ceiling Limits) error {
	var errs []error
	most := ceiling.all()
	for i, f := range l.all() {
		if *f.value > *most[i].value {
			errs = append(errs, fmt.Errorf("limits.%s: %d is more than this node allows, which is %d", f.name, *f.value, *most[i].value))
		}
	}
	return errors.Join(errs...)
}

// defaultCeiling is how far a bundle may raise its limits where the operator says nothing.
var defaultCeiling = Limits{
	PolicyFuel: 100_000_000, HookFuel: 200_000_000, PolicyMillis: 1000, HookMillis: 2000, MemoryPages: 1024,
	EventBytes: 1 << 20, AnswerBytes: 1 << 20, HostCalls: 1000, HostBytes: 16 << 20, LogLines: 256, LogBytes: 8 << 10,
}

// defaultLimits are those of a bundle that says nothing.
func (o *Options) defaultLimits() Limits {
	return Limits{
		PolicyFuel: o.PolicyFuel, HookFuel: o.HookFuel, PolicyMillis: millis(o.PolicyTime), HookMillis: millis(o.HookTime),
		MemoryPages: int64(o.MemoryPages), EventBytes: int64(o.EventBytes), AnswerBytes: int64(o.ResultBytes),
		HostCalls: int64(o.HostCalls), HostBytes: o.HostBytes, LogLines: int64(o.LogLines), LogBytes: int64(o.LogBytes),
	}
}

// millis rounds up: a limit never becomes none.
func millis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// LoadOptions say what a bundle's manifest does not: whose it is. The zero LoadOptions are sound.
type LoadOptions struct {
	Logger  *slog.Logger // takes the lines that this bundle's guests write; nil: the host's logger
	Config  []byte       // a JSON object that guests get from config, in place of the manifest's; nil: the manifest's
	Ceiling Limits       // how far the manifest may raise limits; zero fields: the host's ceiling
}
