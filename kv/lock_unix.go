//go:build unix

package kv

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes the lock that bbolt takes, on the same open file, so that
// there is no moment between the check and bbolt without it. held says that
// somebody else has it.
func tryLock(f *os.File, shared bool) (held bool, err error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// inherit returns a second descriptor of the same open file, which shares its
// lock: there is no moment in which another process could take it.
func inherit(f *os.File) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), f.Name()), nil
}
