package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// residentKiB returns the resident memory of a process.
func residentKiB(t *testing.T, pid int) (n int) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no VmRSS in %s", b)
	return 0
}

// TestIdleConnections opens ten thousand connections that ask for nothing: others are served
// meanwhile, each costs little memory, and all are closed after ten seconds.
func TestIdleConnections(t *testing.T) {
	const crowd, mostKiB = 10_000, 8
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < crowd+500 {
		t.Fatalf("the test needs %d descriptors (ulimit -n): %d, %v", crowd+500, limit.Cur, err)
	}
	s := startServer(t)
	if s.cmd == nil {
		t.Fatal("the test needs a server of its own, and WEIR_TEST_RTMP names another")
	}
	encoder(t, s.rtmpURL("return/cam"), true, true)
	if err := s.waitLive(t.Context(), "return/cam", 4*time.Second); err != nil {
		t.Fatal(err)
	}
	ask := func(path string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.http+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if n, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); res.StatusCode != http.StatusOK || n == 0 || ctx.Err() != nil {
			t.Errorf("%s: %s, %d bytes, %v", path, res.Status, n, err)
		}
	}
	ask("/return/cam/index.m3u8")
	before := residentKiB(t, s.cmd.Process.Pid)
	begun := time.Now()
	conns := make([]net.Conn, crowd)
	for i := range conns {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.http)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer c.Close()
		conns[i] = c
	}
	if d := time.Since(begun); d > 8*time.Second {
		t.Fatalf("the machine is too slow: opening took %v", d)
	}
	for _, path := range []string{"/return/cam/", "/return/cam/index.m3u8", "/return/cam.flv"} {
		ask(path)
	}
	if each := float64(residentKiB(t, s.cmd.Process.Pid)-before) / crowd; each > mostKiB {
		t.Errorf("each takes %.1f KiB, more than %d", each, mostKiB)
	}
	// In the end the server closes them: 10 s after they were opened, and some for what timers need.
	by := time.Now().Add(20 * time.Second)
	for i, c := range conns {
		_ = c.SetReadDeadline(by)
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("connection %d of %d: %v", i, crowd, err)
		}
	}
}
