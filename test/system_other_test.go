//go:build !unix

package test

import (
	"os"
	"syscall"
)

func attributes(bool) *syscall.SysProcAttr { return nil }

const stopped = syscall.SIGKILL // there is none

func signalGroup(p *os.Process, _ syscall.Signal) error { return p.Kill() }
