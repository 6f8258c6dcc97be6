//go:build unix

package snapshot

import "syscall"

// leastPriority is nice's lowest.
const leastPriority = 19

// yield makes a process give way to all others, the server's sending before all.
func yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, leastPriority) } // if it fails, it goes on as it is
