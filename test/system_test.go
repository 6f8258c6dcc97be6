package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A system is where a client is installed.
type system struct {
	name   string
	prefix []string // what runs a command inside it
}

// The systems whose clients we have.
func debian12() system { return system{name: "Debian 12"} }

func debian13() system {
	return system{name: "Debian 13", prefix: []string{filepath.Join(root, "scripts", "trixie"), "run"}}
}

// withTrixie reports whether the tests that need Debian 13 are wanted.
func withTrixie() bool { return os.Getenv("WEIR_TEST_TRIXIE") != "" }

// environ is the environment without the tests' own variables, which weir would take for
// keys of its configuration and refuse.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "WEIR_TEST_") })
}

// A command is a program to be run.
type command struct {
	sys    system
	args   []string
	env    []string
	nobody bool // run as user nobody: VLC refuses to be root
}

// A process is a running command and what it says.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // once done

	mu  sync.Mutex // guards below
	log bytes.Buffer
}

// Write implements io.Writer: it keeps what the command says.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log.Len() > 1<<20 {
		return len(b), nil
	}
	return p.log.Write(b)
}

// said returns what the command said so far.
func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start runs c until it ends by itself or ctx does, then by SIGTERM and later SIGKILL.
func start(ctx context.Context, c command) (*process, error) {
	args := append(append([]string{}, c.sys.prefix...), c.args...)
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, fmt.Errorf("%s is missing on %s: run scripts/install build test (make test does)", args[0], c.sys.name)
	}
	p := &process{done: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	p.cmd.Cancel = func() error { return p.signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.Env = append(environ(), c.env...)
	p.cmd.Stderr, p.cmd.Stdout = p, p
	p.cmd.SysProcAttr = attributes(c.nobody)
	if c.nobody {
		p.cmd.Env = append(p.cmd.Env, "HOME=/tmp")
		p.cmd.Dir = "/"
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", args[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// wait waits for the end and returns the error of the command with what it said last.
func (p *process) wait() error {
	<-p.done
	if p.err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(p.cmd.Args, " "), p.err, tail(p.said()))
	}
	return nil
}

// signal sends a signal to the command and all it has started.
func (p *process) signal(sig syscall.Signal) error { return signalGroup(p.cmd.Process, sig) }

// end has the command end, and waits: by sig, or by SIGKILL if that does not do.
func (p *process) end(sig syscall.Signal) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = p.signal(sig) // it may have ended
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// tail returns the last lines of a log.
func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-25):], "\n")
}

// output runs a command to its end within a time and returns what it printed.
func output(t *testing.T, sys system, within time.Duration, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	p, err := start(ctx, command{sys: sys, args: args})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		t.Fatal(err)
	}
	return p.said()
}

// every calls try at short intervals until it returns nil, the time is up, or the test ends.
func every(ctx context.Context, within time.Duration, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("within %v: %w", within, ctx.Err()))
		}
	}
}
