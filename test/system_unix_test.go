//go:build unix

package test

import (
	"os"
	"syscall"
)

// attributes gives a command a process group of its own, so that it can be ended with all
// that it has started, and if it must not be root, the user nobody.
func attributes(nobody bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if nobody && os.Getuid() == 0 {
		a.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	return a
}

// stopped makes a command stand still, and resumed lets it go on.
const stopped, resumed = syscall.SIGSTOP, syscall.SIGCONT

// signalGroup sends a signal to a command and all that it has started.
func signalGroup(p *os.Process, sig syscall.Signal) error { return syscall.Kill(-p.Pid, sig) }
