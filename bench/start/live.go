//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"weir/av"
	"weir/format/flv"
)

// live is a server with a film on it, and when each picture came out of it for whoever was there
// from the beginning.
type live struct {
	rtmp, http string
	running    sync.WaitGroup // until the context's end

	mu      sync.Mutex // guards below
	came    map[time.Duration]time.Time
	order   []time.Duration // of showing; sorted only where it is asked for
	key     time.Time       // when the newest key frame came
	listens chan struct{}
}

const streamPath = "live/film"

// goLive publishes a film on a new server until ctx ends.
func goLive(ctx context.Context, weir, file string) (*live, error) {
	l := &live{came: map[time.Duration]time.Time{}, listens: make(chan struct{})}
	server := exec.CommandContext(ctx, weir, "serve", "--set", "log.format=json",
		"--set", "rtmp.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0")
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	log, err := server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	l.running.Go(func() {
		l.read(log)
		_ = server.Wait()
	})
	select {
	case <-l.listens:
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("%s opens no listeners", weir)
	}
	begun := make(chan error, 1)
	l.running.Go(func() { l.follow(ctx, begun) })
	encoder := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "flv", "rtmp://"+l.rtmp+"/"+streamPath)
	if err := encoder.Start(); err != nil {
		return nil, err
	}
	l.running.Go(func() { _ = encoder.Wait() })
	select {
	case err := <-begun:
		return l, err
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("no picture comes")
	}
}

// read finds the addresses in the server's log.
func (l *live) read(log io.Reader) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var e struct{ Msg, Proto, Addr string }
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Msg != "listening" {
			continue
		}
		switch e.Proto {
		case "rtmp":
			l.rtmp = e.Addr
		case "http":
			l.http = e.Addr
		}
		if e.Proto == "admin" || l.rtmp != "" && l.http != "" {
			select {
			case <-l.listens:
			default:
				if l.rtmp != "" && l.http != "" {
					close(l.listens)
				}
			}
		}
	}
}

// follow notes when pictures come.
func (l *live) follow(ctx context.Context, begun chan<- error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.http+"/"+streamPath+".flv?onlyVideo=1", nil)
	if err != nil {
		begun <- err
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		begun <- err
		return
	}
	defer res.Body.Close()
	frames := flv.NewFrameReader(res.Body)
	for {
		f, err := frames.ReadFrame()
		if err != nil {
			begun <- err // nobody listens any more
			return
		}
		if f.Kind != av.Video || f.Type != av.Media {
			continue
		}
		now := time.Now()
		l.mu.Lock()
		if len(l.came) == 0 {
			begun <- nil
			begun = make(chan error, 1)
		}
		at := f.PTS.Round(time.Millisecond)
		l.came[at] = now
		l.order = append(l.order, at)
		if f.IsKey() {
			l.key = now
		}
		l.mu.Unlock()
	}
}

// untilInGOP waits until the time since a key frame is d, or until ctx ends.
func (l *live) untilInGOP(ctx context.Context, d time.Duration) {
	for ctx.Err() == nil {
		l.mu.Lock()
		since := time.Since(l.key)
		l.mu.Unlock()
		if since >= d && since < d+100*time.Millisecond {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// delay returns how long ago what is shown came; ok is false for a picture whose time was moved, and
// for one that is not known.
func (l *live) delay(s shot) (d time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := s.time
	if s.number >= 0 {
		order := slices.Sorted(slices.Values(l.order))
		if s.number >= len(order) {
			return 0, false
		}
		at = order[s.number]
	} else if at, ok = l.nearest(at); !ok {
		return 0, false
	}
	came, ok := l.came[at]
	return s.at.Sub(came), ok
}

// nearest returns the time of the picture that is shown at a time. mu is held.
func (l *live) nearest(t time.Duration) (time.Duration, bool) {
	best, found := time.Duration(0), false
	for at := range l.came {
		if at <= t+time.Millisecond && (!found || at > best) {
			best, found = at, true
		}
	}
	return best, found && t-best < 3*time.Second/rate
}

// gate passes a player's connections on to the server, and notes when it asked for the stream.
type gate struct {
	net.Listener
	to      string
	hold    func()         // waits before the player's first request for the stream is passed on
	once    sync.Once      // for hold
	asked   chan time.Time // one
	running sync.WaitGroup // until the context's end
}

func newGate(ctx context.Context, to string, hold func()) (*gate, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &gate{Listener: listener, to: to, hold: hold, asked: make(chan time.Time, 1)}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	g.running.Go(func() {
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			g.running.Go(func() { g.pass(ctx, c) })
		}
	})
	return g, nil
}

func (g *gate) pass(ctx context.Context, c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", g.to)
	if err != nil {
		return
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _, _ = c.Close(), s.Close() })()
	g.running.Go(func() {
		defer c.Close()
		_, _ = io.Copy(c, s)
	})
	b := make([]byte, 32<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		// An RTMP player asks by its handshake, the first bytes of which are version 3.
		if b[0] == 3 || bytes.HasPrefix(b[:n], []byte("GET /"+streamPath+".")) || bytes.HasPrefix(b[:n], []byte("GET /"+streamPath+"?")) {
			g.once.Do(func() {
				g.hold()
				g.asked <- time.Now()
			})
		}
		if _, err := s.Write(b[:n]); err != nil {
			return
		}
	}
}
