package main

import "syscall"

// noCore keeps the memory of a server, and so its keys, out of core files. A limit of one byte also stops the kernel from handing them to a program (core(5)).
func noCore() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &l); err != nil {
		return err
	}
	l.Cur = min(l.Max, 1)
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &l)
}
