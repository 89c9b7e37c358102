package kv

import "syscall"

// bootID names the present boot of the machine: another one means that it
// stopped in between. Empty when that cannot be known.
func bootID() string {
	id, err := syscall.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}
