// Package throttle counts how often somebody has asked, in memory that does not grow.
//
// A Table holds one number for each key: when the key's debt will be paid off (the generic cell rate algorithm, GCRA: a
// token bucket without a timer). Who has paid off its debt looks like who never asked, so that forgetting such a key loses
// nothing, and when there are more keys than places the one that owes least has to go: a flood of fresh addresses drives out
// other fresh addresses, never the one that is being held back.
//
// It knows no HTTP, no project and no clock; keys are bytes, times are handed in. A Table is used by any number of goroutines.
package throttle
