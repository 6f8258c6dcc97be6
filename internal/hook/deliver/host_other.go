//go:build !linux

package deliver

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"time"
)

// host starts commands. On this system a command is ended alone, without what it has started.
type host struct{}

func newHost() *host { return &host{} }

func (*host) close() {}

func (*host) start(cmd *exec.Cmd) error { return cmd.Start() }

// group waits for a command, and ends it when ctx ends. If it does not end within patience it is killed.
func group(ctx context.Context, cmd *exec.Cmd, patience time.Duration) error {
	over := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { over <- cmd.Wait() })
	select {
	case err := <-over:
		return err
	case <-ctx.Done():
	}
	_ = cmd.Process.Signal(os.Interrupt)
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-over:
		return err
	case <-limit.C:
		_ = cmd.Process.Kill()
		return <-over
	}
}
