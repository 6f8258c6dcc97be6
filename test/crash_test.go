package test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/rtmp"
)

// ending is an RTMP server that notes with what publishing ended.
type ending struct {
	url   string
	begun chan string // the name
	ended chan error
}

// Connect implements rtmp.Handler.
func (e *ending) Connect(context.Context, *rtmp.ServerSession, *rtmp.ConnectRequest) error {
	return nil
}

// Publish implements rtmp.Handler.
func (e *ending) Publish(_ context.Context, _ *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	e.begun <- r.RawName
	return e, nil
}

// Play implements rtmp.Handler.
func (e *ending) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, errors.New("nothing is played here")
}

// Message implements rtmp.Publication.
func (e *ending) Message(*rtmp.Message) error { return nil }

// Close implements rtmp.Publication.
func (e *ending) Close(cause error) { e.ended <- cause }

// serveEnding runs one until the test ends.
func serveEnding(t *testing.T) *ending {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &ending{url: "rtmp://" + ln.Addr().String() + "/rtmp", begun: make(chan string, 100), ended: make(chan error, 100)}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = (&rtmp.Server{Handler: e}).Serve(ctx, ln) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return e
}

// TestStopAndCrash: a server that is told to stop while it records and sends a stream on makes the file whole and tells the server there that the stream is
// over; one that is killed does neither, so that a service waits for its return (P20). The key, which "weir pushes add" was given in a file, reached the
// service byte for byte (P19).
func TestStopAndCrash_P19_P20(t *testing.T) {
	const key = "FB-1?s_bl=1&a=%2Fx+y=&b=z"
	keyFile := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(keyFile, []byte(key+"\n"), 0o600))
	for _, crash := range []bool{false, true} {
		t.Run(map[bool]string{false: "stop", true: "crash"}[crash], func(t *testing.T) {
			t.Parallel()
			there, dir := serveEnding(t), t.TempDir()
			s := runServer(t, "serve", "-c", configFile(t), "--set", `streams.0.record=[{dir: "`+dir+`", min_free: ""}]`, "--set", "streams.0.pull.allow_private=true")
			t.Cleanup(s.kill)
			publish(t, mustBuild(t), "push", "--loop", "../internal/demo/sample.flv", s.rtmpURL("return/cam"))
			must(t, s.waitLive(t.Context(), "return/cam", time.Second))
			if out, err := exec.CommandContext(t.Context(), mustBuild(t), "pushes", "add", "return/cam", there.url, "--key", keyFile, "--api", "http://"+s.admin, "--token", "").CombinedOutput(); err != nil || strings.Contains(string(out), "s_bl") {
				t.Fatalf("%v: %s", err, out)
			}
			select {
			case name := <-there.begun:
				if name != key {
					t.Errorf("the key arrived as %q", name)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("nothing is sent on: ", s.said())
			}
			parts := func() (names []string) {
				must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
					if err == nil && !e.IsDir() {
						names = append(names, filepath.Ext(path))
					}
					return err
				}))
				return names
			}
			must(t, every(t.Context(), 20*time.Second, func() error {
				if p := parts(); len(p) != 1 || p[0] != ".part" {
					return errors.New("nothing is recorded")
				}
				return nil
			}))
			if crash {
				s.kill()
			} else {
				s.stop(t)
			}
			select {
			case err := <-there.ended:
				if errors.Is(err, rtmp.ErrUnpublished) == crash {
					t.Errorf("for the server there it ended with %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("for the server there it does not end")
			}
			if p := parts(); len(p) != 1 || (p[0] == ".part") != crash {
				t.Errorf("there are files that end with %q", p)
			}
		})
	}
}
