package test

import (
	"context"
	"errors"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir"
	"weir/av"
	"weir/internal/demo"
	"weir/internal/listen/listentest"
)

// runProgram runs the program, and returns its exit status and what it wrote.
func runProgram(t *testing.T, program string, args ...string) (status int, out, said string) {
	t.Helper()
	var stdout, stderr strings.Builder
	c := exec.CommandContext(t.Context(), program, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err, status = nil, exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return status, stdout.String(), stderr.String()
}

// TestInsecure pushes to, pulls from and probes a server whose certificate nobody vouches for: each command refuses that, names the flag that
// allows it, and works with it.
func TestInsecure(t *testing.T) {
	program := mustBuild(t)
	c := weir.DefaultConfig()
	c.RTMP.Listen, c.Admin.Listen, c.HTTP.Listen = "", "", ""
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key
	c.HTTP.TLS.Listen, c.HTTP.TLS.Cert, c.HTTP.TLS.Key = "127.0.0.1:0", cert, key
	s, err := weir.New(c, weir.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	refused := func(args ...string) {
		t.Helper()
		status, _, said := runProgram(t, program, args...)
		if status != 1 || !strings.Contains(said, "certificate") || !strings.Contains(said, "use --insecure") || strings.Contains(said, "hunter2") {
			t.Errorf("weir %s: exit status %d; it says %q", strings.Join(args, " "), status, said)
		}
	}

	// It is pushed, and comes as it is in the file.
	pushed := s.URL("rtmps") + "/live/pushed"
	push := []string{"push", "--speed", "20", filepath.Join("..", "internal", "demo", "sample.flv"), pushed + "?key=hunter2"}
	refused(push...)
	if list := s.Streams(); len(list) != 0 {
		t.Errorf("there is a stream: %+v", list)
	}
	player, err := s.Play("live/pushed")
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	if status, _, said := runProgram(t, program, append(push, "--insecure")...); status != 0 || !strings.HasPrefix(said, "766 frames, ") {
		t.Errorf("exit status %d; it says %q", status, said)
	}
	for {
		f, err := player.ReadFrame(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind == av.Video && f.Type == av.Media {
			if f.Codec != av.H264 || !f.IsKey() {
				t.Errorf("it begins with %+v", f)
			}
			break
		}
	}

	// It is pulled and probed, by RTMP, FLV and WebSocket.
	live, stopped := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		p, err := s.Publish(live, "live/cam")
		if err == nil {
			err = demo.Publish(live, p.WriteFrame)
			p.Close()
		}
		if err != nil {
			t.Error(err)
		}
	}()
	defer func() {
		stopped()
		<-over
	}()
	for _, url := range []string{s.URL("rtmps") + "/live/cam?key=hunter2", s.URL("https") + "/live/cam.flv?key=hunter2", strings.Replace(s.URL("https"), "https", "wss", 1) + "/live/cam.flv?key=hunter2"} {
		file := filepath.Join(t.TempDir(), "x.flv")
		pull := []string{"pull", "--frames", "20", "-o", file, url}
		refused(pull...)
		if status, _, said := runProgram(t, program, append(pull, "--insecure")...); status != 0 || !strings.HasPrefix(said, "20 frames, ") {
			t.Errorf("weir %s: exit status %d; it says %q", strings.Join(pull, " "), status, said)
		}
		probe := []string{"probe", "--duration", "1s", url}
		refused(probe...)
		if status, out, said := runProgram(t, program, append(probe, "--insecure")...); status != 0 || !strings.Contains(out, "video 0: H.264 Main@3.0") {
			t.Errorf("weir %s: exit status %d; it says %q and %q", strings.Join(probe, " "), status, out, said)
		}
	}
}
