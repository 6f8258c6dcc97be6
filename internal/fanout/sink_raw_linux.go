package fanout

import (
	"syscall"
	"unsafe"
)

const haveRawSend = true

// rawSend sends without blocking on the descriptor itself. The call avoids the runtime's descriptor
// lock and poller, whose cold cache lines cost 8 to 15 % at 1,000 players, and, as it never blocks,
// RawSyscall need not tell the scheduler.
func rawSend(fd int, p []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, errno
		}
	}
}
