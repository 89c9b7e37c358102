//go:build !linux

package project

import "os"

// swap exchanges two directories. This system has no call that does it in one step: a crash between these leaves b under
// the name of a with ".swap" at its end.
func swap(a, b string) error {
	if err := os.Rename(b, a+".swap"); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		return err
	}
	return os.Rename(a+".swap", a)
}
