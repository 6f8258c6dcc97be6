package main

import (
	"context"
	"strings"
	"testing"
)

// shell starts a shell script as a child.
func shell(t *testing.T, script string) *child {
	t.Helper()
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(cpus[0], []string{"sh", "-c", script}, func(line string) bool { return strings.HasPrefix(line, "ready") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

func first(lines []string) bool { return len(lines) > 0 }

func TestChild_ReadyAndStopped(t *testing.T) {
	c := shell(t, "echo noise >&2; echo ready now >&2; exec sleep 600")
	lines, err := c.await(t.Context(), first)
	if err != nil || lines[0] != "ready now" {
		t.Fatalf("%q, %v", lines, err)
	}
	c.stop()
	if c.err == nil || !strings.Contains(c.err.Error(), "terminated") {
		t.Errorf("ended with %v", c.err)
	}
	c.stop() // twice is once
}

func TestChild_Output(t *testing.T) {
	out, err := shell(t, "echo '{}'").finish(t.Context())
	if err != nil || string(out) != "{}\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestChild_Failures(t *testing.T) {
	c := shell(t, "echo what is wrong >&2; exit 3")
	if _, err := c.await(t.Context(), first); err == nil || !strings.Contains(err.Error(), "what is wrong") {
		t.Errorf("await: %v", err)
	}
	if _, err := c.finish(t.Context()); err == nil || !strings.Contains(err.Error(), "status 3: what is wrong") {
		t.Errorf("finish: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c = shell(t, "exec sleep 600")
	if _, err := c.await(ctx, first); err == nil {
		t.Error("await of a cancelled context: no error")
	}
	if _, err := c.finish(ctx); err == nil {
		t.Error("finish of a cancelled context: no error")
	}
	cpus, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	c, err = start(cpus[0], []string{"/nonexistent/program"}, func(string) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.await(t.Context(), first); err == nil || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("a program that is not there: %v", err)
	}
	c.stop()
}
