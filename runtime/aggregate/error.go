package aggregate

import "fmt"

// Fault says what is wrong with a pipeline.
type Fault uint8

// The faults.
const (
	Malformed Fault = iota // it is no list of stages at all
	Blocked                // it names something that no caller may do
	Invalid                // a stage is wrong, or what it computes is
	TooLarge               // it would take more than its bounds allow
)

// Error is the caller's mistake in a pipeline, fit to be shown.
type Error struct {
	Fault   Fault
	Message string
}

func (e *Error) Error() string { return e.Message }

func invalid(format string, args ...any) error {
	return &Error{Invalid, fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &Error{TooLarge, fmt.Sprintf(format, args...)}
}
