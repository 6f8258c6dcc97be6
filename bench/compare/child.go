package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyTime = 10 * time.Second
	stopTime  = 5 * time.Second
	keptText  = 4 << 10 // of what a child said last, for the error
)

// child is a program that was started and says on its standard error what it does.
type child struct {
	cmd   *exec.Cmd
	name  string
	out   bytes.Buffer
	said  *listener
	wg    sync.WaitGroup
	ended chan struct{}
	err   error // once ended is closed
}

// listener keeps the last lines of a child and finds some of them.
type listener struct {
	mu    sync.Mutex // guards below
	tail  []byte
	seen  []string // lines that want accepts
	want  func(line string) bool
	fresh chan struct{}
}

func (l *listener) read(r io.Reader) {
	s := bufio.NewReader(r)
	for {
		line, err := s.ReadString('\n')
		l.mu.Lock()
		l.tail = append(l.tail, line...)
		if n := len(l.tail) - keptText; n > 0 {
			l.tail = append(l.tail[:0], l.tail[n:]...)
		}
		if l.want(line) {
			l.seen = append(l.seen, strings.TrimSpace(line))
		}
		l.mu.Unlock()
		select {
		case l.fresh <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// start starts a program on one CPU. want says which lines of its standard error are kept.
func start(cpu string, argv []string, want func(string) bool) (*child, error) {
	argv = append([]string{"taskset", "-c", cpu}, argv...)
	c := &child{
		cmd: exec.Command(argv[0], argv[1:]...), name: argv[3], ended: make(chan struct{}),
		said: &listener{want: want, fresh: make(chan struct{}, 1)},
	}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "WEIR_") && !strings.HasPrefix(v, "GOMAXPROCS=") {
			c.cmd.Env = append(c.cmd.Env, v)
		}
	}
	c.cmd.Stdout = &c.out
	c.cmd.WaitDelay = stopTime
	said, err := c.cmd.StderrPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name, err)
	}
	c.wg.Go(func() {
		c.said.read(said)
		c.err = c.cmd.Wait()
		close(c.ended)
	})
	return c, nil
}

// pid is the program's: taskset becomes it.
func (c *child) pid() int { return c.cmd.Process.Pid }

// await waits until enough of the wanted lines have come, and returns them.
func (c *child) await(ctx context.Context, enough func(lines []string) bool) ([]string, error) {
	late := time.NewTimer(readyTime)
	defer late.Stop()
	for {
		c.said.mu.Lock()
		seen := c.said.seen
		c.said.mu.Unlock()
		if enough(seen) {
			return seen, nil
		}
		select {
		case <-c.said.fresh:
		case <-c.ended:
			return nil, c.failure(errors.New("it ended at once"))
		case <-late.C:
			return nil, c.failure(fmt.Errorf("it was not ready within %v", readyTime))
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// failure is err with what the child said last.
func (c *child) failure(err error) error {
	c.said.mu.Lock()
	defer c.said.mu.Unlock()
	return fmt.Errorf("%s: %w: %s", c.name, err, strings.TrimSpace(string(c.said.tail)))
}

// finish waits for the child's own end, and returns what it printed.
func (c *child) finish(ctx context.Context) ([]byte, error) {
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.stop()
		return nil, context.Cause(ctx)
	}
	c.wg.Wait()
	if c.err != nil {
		return nil, c.failure(c.err)
	}
	return c.out.Bytes(), nil
}

// stop asks the child to end, makes it end if it does not, and waits.
func (c *child) stop() {
	select {
	case <-c.ended:
	default:
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		late := time.NewTimer(stopTime)
		defer late.Stop()
		select {
		case <-c.ended:
		case <-late.C:
			_ = c.cmd.Process.Kill()
		}
	}
	c.wg.Wait()
}
