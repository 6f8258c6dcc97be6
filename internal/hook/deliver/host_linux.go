package deliver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// host starts commands. The kernel kills a command when the thread that started it ends, which it does
// with the server: so there is one thread that starts all of them and stays. If orphans are given to the
// server, as to the first process of a container, the host also reaps those.
type host struct {
	once   sync.Once // for run, with the first command
	ended  sync.Once
	starts chan func()
	done   chan struct{}
	wg     sync.WaitGroup
}

// reapEvery is how often orphans that have ended are looked for.
const reapEvery = time.Second

func newHost() *host { return &host{starts: make(chan func()), done: make(chan struct{})} }

// run begins to start commands.
func (h *host) run() {
	h.wg.Go(func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		for {
			select {
			case f := <-h.starts:
				f()
			case <-h.done:
				return
			}
		}
	})
	var adopts int32 // whether orphans are given to us, as to the first process
	_ = unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&adopts)), 0, 0, 0)
	if os.Getpid() == 1 || adopts != 0 {
		h.wg.Go(func() { h.reap(os.Getpid()) })
	}
}

// close ends the thread, and with it all commands that still run.
func (h *host) close() {
	h.ended.Do(func() { close(h.done) })
	h.wg.Wait()
}

// start starts a command in a process group of its own.
func (h *host) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	h.once.Do(h.run)
	started := make(chan error, 1)
	select {
	case h.starts <- func() { started <- cmd.Start() }:
		return <-started
	case <-h.done:
		return errors.New("deliver: hooks are closed")
	}
}

// groupPoll is how often it is looked whether a group has ended.
const groupPoll = 20 * time.Millisecond

// group waits for a command, ends its process group when it has ended or ctx has, and returns the
// command's error. What does not end within patience is killed.
func group(ctx context.Context, cmd *exec.Cmd, patience time.Duration) error {
	pid := cmd.Process.Pid
	over := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { over <- cmd.Wait() })
	var err error
	var kill <-chan time.Time
	select {
	case err = <-over:
		over = nil
		_ = unix.Kill(-pid, unix.SIGTERM) // what it left behind; if nothing, there is no such group
	case <-ctx.Done():
		_ = unix.Kill(-pid, unix.SIGTERM)
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	kill = limit.C
	poll := time.NewTicker(groupPoll)
	defer poll.Stop()
	for {
		if over == nil && errors.Is(unix.Kill(-pid, 0), unix.ESRCH) {
			return err
		}
		select {
		case err = <-over:
			over = nil
		case <-kill:
			_ = unix.Kill(-pid, unix.SIGKILL)
			kill = nil
			if over != nil {
				err = <-over
				over = nil
			}
			// The rest of the group ends now, too; who has to reap it, does.
			return err
		case <-poll.C:
		}
	}
}

// reap reaps the children of process self that have ended and that nobody waits for: those that have
// still not been waited for at the second look.
func (h *host) reap(self int) {
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	seen := map[int]bool{}
	for {
		select {
		case <-h.done:
			return
		case <-tick.C:
		}
		now := map[int]bool{}
		for _, pid := range zombies(self) {
			if seen[pid] {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			} else {
				now[pid] = true
			}
		}
		seen = now
	}
}

// zombies returns the children of a process that have ended and were not waited for.
func zombies(parent int) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// The name is in parentheses and may hold anything: what counts follows the last one.
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}
