//go:build !unix

package test

import (
	"os"
	"syscall"
)

func attributes(bool) *syscall.SysProcAttr { return nil }

const stopped, resumed = syscall.SIGKILL, syscall.SIGKILL // there are none

func signalGroup(p *os.Process, _ syscall.Signal) error { return p.Kill() }
