//go:build unix

package snapshot

import "syscall"

// decoderNice gives a decoder a tenth of the share that the server's sending has. At the lowest priority, 19, it has
// a seventieth, and a machine whose cores are all busy never sees a picture.
const decoderNice = 10

// yield makes a process give way to the server's sending. If that fails, the process goes on as it is.
func yield(pid int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, decoderNice) }
