package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// config is what the servers under test run on: streams end soon after their
// publisher, but those of the app "return" wait a little for its return. Players get the times of the
// publisher from their first frame on, but those of the app "start", who begin as players do by default.
const config = `
log: {format: json}
rtmp: {listen: "127.0.0.1:0"}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
streams:
  - match: return/**
    publish: {grace: 4s}
    play: {wait: 60s, start: burst}
  - match: start/**
    publish: {grace: 300ms}
    play: {wait: 60s}
  - match: "**"
    publish: {grace: 300ms}
    play: {wait: 60s, start: burst}
`

// A server is one under test.
type server struct {
	rtmp, http, admin string // host:port; http and admin "" if it is not ours

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // once ended

	mu  sync.Mutex // guards below
	log []string
}

// startServer starts a server that ends with the test, and holds it to a clean end.
func startServer(t *testing.T, set ...string) *server {
	t.Helper()
	if addr := os.Getenv("WEIR_TEST_RTMP"); addr != "" {
		return &server{rtmp: addr}
	}
	args := []string{"serve", "-c", configFile(t)}
	for _, s := range set {
		args = append(args, "--set", s)
	}
	s := runServer(t, args...)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// configFile writes the configuration to a file.
func configFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runServer runs weir and waits until its listeners are open.
func runServer(t *testing.T, args ...string) *server {
	t.Helper()
	return runCommand(t, exec.Command(mustBuild(t), args...))
}

// runCommand runs a command that becomes weir.
func runCommand(t *testing.T, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{cmd: cmd, ended: make(chan struct{})}
	s.cmd.Env = environ()
	stderr, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	err = s.cmd.Start()
	_ = w.Close() // what is read ends with the server
	if err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	go func() {
		s.read(stderr, open)
		_ = stderr.Close()
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	select {
	case <-open:
	case <-s.ended:
		t.Fatalf("weir ended at once: %v\n%s", s.err, s.said())
	case <-time.After(20 * time.Second):
		s.kill()
		t.Fatalf("weir did not open its listeners:\n%s", s.said())
	}
	return s
}

// read keeps the log and closes open once all three addresses are known.
func (s *server) read(r io.Reader, open chan struct{}) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	missing := 3
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		var entry struct{ Msg, Proto, Addr string }
		if missing == 0 || json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "listening" {
			continue
		}
		for proto, addr := range map[string]*string{"rtmp": &s.rtmp, "http": &s.http, "admin": &s.admin} {
			if entry.Proto == proto && *addr == "" {
				*addr = entry.Addr
				missing--
			}
		}
		if missing == 0 {
			close(open)
		}
	}
}

// said returns the end of the server's log.
func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tail(strings.Join(s.log, "\n"))
}

// whole returns all of the server's log.
func (s *server) whole() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// lines returns the lines of what the server printed that begin with one of these.
func (s *server) lines(prefixes ...string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.log {
		line = strings.TrimSpace(line)
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				found = append(found, line)
			}
		}
	}
	return found
}

// kill ends the server as a crash would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// stop ends the server in order: exit status 0, and a log without errors.
func (s *server) stop(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		t.Errorf("weir ended before it was told to: %v\n%s", s.err, s.said())
		return
	default:
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Signal(syscall.SIGQUIT) // prints the goroutines
		<-s.ended
		t.Errorf("weir did not stop:\n%s", s.said())
		return
	}
	if s.err != nil {
		t.Errorf("weir ended with %v:\n%s", s.err, s.said())
	}
	for _, line := range s.log {
		if strings.Contains(line, `"level":"ERROR"`) || strings.HasPrefix(line, "panic:") {
			t.Errorf("weir logged an error: %s", line)
		}
	}
}

// rtmpURL returns where a stream is published and played by RTMP.
func (s *server) rtmpURL(path string) string { return "rtmp://" + s.rtmp + "/" + path }

// url returns where a stream is played by HTTP in some format, or by RTMP.
func (s *server) url(path, over string) string {
	suffix := map[string]string{"flv": ".flv", "ts": ".ts", "hls": "/index.m3u8"}[over]
	if suffix == "" {
		return s.rtmpURL(path)
	}
	return "http://" + s.http + "/" + path + suffix
}

// serves checks that the RTMP port still shakes hands (RTMP 1.0 §5.2).
func (s *server) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.rtmp)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	c0c1 := make([]byte, 1+1536)
	c0c1[0] = 3
	if _, err := c.Write(c0c1); err != nil {
		return err
	}
	s0s1s2 := make([]byte, 1+2*1536)
	if _, err := io.ReadFull(c, s0s1s2); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if s0s1s2[0] != 3 {
		return fmt.Errorf("handshake: version %d", s0s1s2[0])
	}
	return nil
}

// get asks the admin listener.
func (s *server) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(into)
}

// waitPlayers waits until n sessions have asked to play a stream.
func (s *server) waitPlayers(ctx context.Context, path string, n int) error {
	if s.admin == "" {
		return nil
	}
	return every(ctx, 30*time.Second, func() error {
		var list struct {
			Sessions []struct{ Role, Stream, Protocol string }
		}
		if err := s.get(ctx, "/api/v1/sessions", &list); err != nil {
			return err
		}
		got := map[string]int{}
		all := 0
		for _, x := range list.Sessions {
			if x.Stream == path && (x.Role == "play" || x.Role == "waiting") {
				got[x.Protocol]++
				all++
			}
		}
		if all < n {
			return fmt.Errorf("%d of %d players of %s have come: %v", all, n, path, got)
		}
		return nil
	})
}

// errNotLive says that a stream has not come as far as was asked.
var errNotLive = errors.New("the stream is not live yet")

// waitLive waits until a stream has been live for a time.
func (s *server) waitLive(ctx context.Context, path string, d time.Duration) error {
	if s.admin == "" {
		return nil
	}
	return every(ctx, 30*time.Second, func() error {
		var list struct {
			Streams []struct {
				Path     string
				Live     bool
				Duration float64
			}
		}
		if err := s.get(ctx, "/api/v1/streams", &list); err != nil {
			return err
		}
		for _, x := range list.Streams {
			if x.Path == path && x.Live && x.Duration >= d.Seconds() {
				return nil
			}
		}
		return fmt.Errorf("%s: %w", path, errNotLive)
	})
}
