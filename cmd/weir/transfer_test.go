package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/freeport"
	"weir/internal/relay"
	"weir/rtmp"
)

const sample = "../../internal/demo/sample.flv"

// taker takes whatever is published, and forgets it.
type taker struct{}

func (taker) Connect(context.Context, *rtmp.ServerSession, *rtmp.ConnectRequest) error { return nil }

func (taker) Publish(context.Context, *rtmp.ServerSession, *rtmp.PublishRequest) (rtmp.Publication, error) {
	return taker{}, nil
}

func (taker) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, &rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound}
}

func (taker) Message(*rtmp.Message) error { return nil }

func (taker) Close(error) {}

// TestPull says what it has done, and overwrites nothing unasked.
func TestPull(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.flv")
	status, _, errOut := command(t, "pull", sample, "-o", file, "--frames", "1")
	if want := regexp.MustCompile(`^1 frame, \d+ kB, 0s of the stream in [^ ]+, 0 reconnects\n$`); status != 0 || !want.MatchString(errOut) {
		t.Errorf("exit status %d; it says %q", status, errOut)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	status, _, errOut = command(t, "pull", sample, "-o", file)
	if want := "weir: " + file + ": the file exists; --force overwrites it\n"; status != exitFailure || errOut != want {
		t.Errorf("exit status %d; it says %q, not %q", status, errOut, want)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != string(before) {
		t.Error("the file has changed", err)
	}
	if status, _, errOut = command(t, "pull", sample, "-o", file, "--force"); status != 0 {
		t.Errorf("exit status %d; it says %q", status, errOut)
	}
	if b, err := os.ReadFile(file); err != nil || len(b) <= len(before) {
		t.Error("the file has not changed", err)
	}
}

// TestFrames tells frames that were sent from those that were only read.
func TestFrames(t *testing.T) {
	for want, s := range map[string]relay.Stats{
		"807 frames":               {Frames: 807, Sent: 807},
		"807 frames read, 50 sent": {Frames: 807, Sent: 50},
		"1 frame read, 0 sent":     {Frames: 1},
	} {
		if got := frames(s); got != want {
			t.Errorf("it says %q, not %q", got, want)
		}
	}
}

// TestCommandsGiveUp has a server that takes connections and says nothing.
func TestCommandsGiveUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	url := "http://" + ln.Addr().String() + "/x.flv"
	want := "weir: " + url + ": the server has not answered within 200ms\n"
	for _, cmd := range []string{"probe", "pull"} {
		if status, _, errOut := command(t, cmd, "--timeout", "200ms", url); status != exitFailure || errOut != want {
			t.Errorf("weir %s: exit status %d; it says %q, not %q", cmd, status, errOut, want)
		}
	}
	if status, _, errOut := command(t, "probe", "--timeout", "0s", url); status != exitUsage || !strings.Contains(errOut, "--timeout must be more than 0") {
		t.Errorf("exit status %d; it says %q", status, errOut)
	}
}

// TestProbeOfAURL describes what a URL answers with.
func TestProbeOfAURL(t *testing.T) {
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }))
	defer s.Close()
	if status, out, errOut := command(t, "probe", s.URL); status != 0 || !strings.Contains(out, "video 0: H.264 Main@3.0") {
		t.Errorf("exit status %d; %s%s", status, out, errOut)
	}
	if status, out, _ := command(t, "probe", "--duration", "1s", sample); status != 0 || !strings.Contains(out, "no faults found") {
		t.Errorf("exit status %d; %s", status, out)
	}
}

// TestPushRetry: with --retry the command waits for a source and a server that are not there, and goes on when the stream comes back; it ends when it
// is interrupted. Without it, it ends at once.
func TestPushRetry(t *testing.T) {
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			http.NotFound(w, nil)
			return
		}
		_, _ = w.Write(b)
	}))
	defer source.Close()
	at := freeport.Addr(t)
	args := []string{"push", source.URL, "rtmp://" + at + "/live/cam"}
	if status, _, said := command(t, args...); status != exitFailure || strings.Contains(said, "trying again") {
		t.Errorf("without --retry: exit status %d; %s", status, said)
	}
	asked.Store(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	push := exec.CommandContext(ctx, os.Args[0], append(args, "--retry")...)
	push.Env = append(os.Environ(), "BE_THE_PROGRAM=1")
	out, err := push.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	defer push.Process.Kill() //nolint:errcheck // it has ended
	said := bufio.NewScanner(out)
	until := func(parts ...string) {
		t.Helper()
		for said.Scan() {
			line := said.Text()
			t.Log(line)
			if !slices.ContainsFunc(parts, func(s string) bool { return !strings.Contains(line, s) }) {
				return
			}
		}
		t.Fatalf("it never said %q", parts)
	}
	until("404 Not Found", "trying again in 500ms")
	until("refuses the connection", "trying again in 1s")
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- (&rtmp.Server{Handler: taker{}}).Serve(ctx, ln) }()
	defer func() {
		cancel()
		<-served
	}()
	until("the source has ended", "trying again in 500ms")
	until("the source has ended", "trying again in 500ms")
	if err := push.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	until("of the stream in")
	if err := push.Wait(); err != nil {
		t.Error(err)
	}
}
