// Package server_test tests the whole server as it is shipped, in this process: several protocols
// together, and what the configuration, the API and the metrics say of them. What one protocol alone
// promises is tested in its folder.
package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/server"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a server on free ports.
type running struct {
	*server.Server
	t        testing.TB
	hub      *stream.Hub
	sessions *session.Registry
	log      *logBuffer // everything that was logged
	stop     func() error
}

// secret is the key that tests use; it must never be in a log.
const secret = "hunter2"

// start runs a server until the test ends.
func start(t testing.TB, change func(*server.Config), opts ...func(*server.Options)) *running {
	t.Helper()
	conf := server.Default()
	conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&conf)
	}
	beginWithBurst(&conf)
	log := new(logBuffer)
	opt := server.Options{Log: slog.New(slog.NewTextHandler(io.MultiWriter(testWriter{t}, log), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range opts {
		f(&opt)
	}
	s, err := server.New(conf, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	inside := s.InProcess()
	r := &running{
		Server: s, t: t, hub: inside.Hub, sessions: inside.Sessions, log: log,
		stop: sync.OnceValue(func() error { cancel(); return <-done }),
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error("Run:", err)
		}
		if strings.Contains(log.String(), secret) {
			t.Error("the log has the key in it")
		}
	})
	return r
}

// beginWithBurst makes players begin with all that is kept, each frame at its own time, as most tests here compare
// them. How players begin by default has tests of its own.
func beginWithBurst(conf *server.Config) {
	last := server.DefaultStream()
	conf.Streams = slices.Clone(conf.Streams)
	if !slices.ContainsFunc(conf.Streams, func(e server.StreamConfig) bool { return e.Match == last.Match }) {
		conf.Streams = append(conf.Streams, last)
	}
	for i := range conf.Streams {
		if e := &conf.Streams[i]; e.Play.Start == last.Play.Start {
			e.Play.Start = "burst"
		}
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) { w.t.Log(string(b)); return len(b), nil }

func (r *running) url(path string) string { return "rtmp://" + r.Addr("rtmp").String() + "/" + path }

func (r *running) httpURL(path string) string {
	return "http://" + r.Addr("http").String() + "/" + path
}

func (r *running) adminURL(path string) string {
	return "http://" + r.Addr("admin").String() + path
}

// Smallest bodies that say what they are (tag header and payload).
var (
	videoHeader = unhex("17000000000142c00affe100046742c00a01000268ce")
	audioHeader = unhex("af001210")
)

func unhex(s string) []byte {
	b := make([]byte, len(s)/2)
	for i := range b {
		for _, c := range s[2*i : 2*i+2] {
			b[i] <<= 4
			if c >= 'a' {
				b[i] |= byte(c - 'a' + 10)
			} else {
				b[i] |= byte(c - '0')
			}
		}
	}
	return b
}

// videoFrame is a frame of size bytes that carries its number.
func videoFrame(key bool, number uint32, size int) []byte {
	b := make([]byte, max(size, 5+4+1+4))
	b[0], b[1], b[9] = 0x27, 1, 0x41
	if key {
		b[0], b[9] = 0x17, 0x65
	}
	binary.BigEndian.PutUint32(b[5:], uint32(len(b)-9))
	binary.BigEndian.PutUint32(b[10:], number)
	return b
}

// numberOf is the inverse of videoFrame.
func numberOf(body []byte) (number uint32, key bool) {
	return binary.BigEndian.Uint32(body[10:]), body[0]>>4 == 1
}

// arrived waits until the stream has had n video frames.
func (r *running) arrived(path string, n int64) {
	r.t.Helper()
	for begin := time.Now(); ; {
		if s := r.hub.Get(path); s != nil && s.Stats().Frames[av.Video] >= n {
			return
		}
		if time.Since(begin) > 10*time.Second {
			r.t.Fatalf("%s does not get %d frames", path, n)
		}
		<-time.After(time.Millisecond)
	}
}

// publisher is an RTMP publisher of numbered frames.
type publisher struct {
	t      testing.TB
	client *rtmp.Client
	*rtmp.PublishStream
}

func (r *running) publish(ctx context.Context, path string) (*publisher, error) {
	c, err := rtmp.Dial(ctx, r.url(path), rtmp.DialOptions{})
	if err != nil {
		return nil, err
	}
	p, err := c.Publish(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &publisher{r.t, c, p}, nil
}

func (r *running) mustPublish(path string) *publisher {
	r.t.Helper()
	p, err := r.publish(r.t.Context(), path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { p.client.Close() })
	return p
}

func (p *publisher) video(ts uint32, body []byte) error {
	return p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: ts, Payload: body})
}

func (p *publisher) audio(ts uint32, body []byte) error {
	return p.WriteMessage(&rtmp.Message{Type: rtmp.TypeAudio, Timestamp: ts, Payload: body})
}

func (p *publisher) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// play opens an RTMP player.
func (r *running) play(ctx context.Context, path string) (*rtmp.Client, *rtmp.PlayStream, error) {
	c, err := rtmp.Dial(ctx, r.url(path), rtmp.DialOptions{})
	if err != nil {
		return nil, nil, err
	}
	p, err := c.Play(ctx)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, p, nil
}

func (r *running) mustPlay(path string) *rtmp.PlayStream {
	r.t.Helper()
	c, p, err := r.play(r.t.Context(), path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return p
}

// next returns the next message of one of the types.
func next(t testing.TB, p *rtmp.PlayStream, types ...rtmp.MessageType) rtmp.Message {
	t.Helper()
	for {
		m, err := p.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range types {
			if m.Type == want {
				return m
			}
		}
	}
}

// isEnd reports whether err is a connection's ordinary end.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, rtmp.ErrClosedByPeer)
}

// refuseAll is a program's admission that refuses everybody.
func refuseAll(context.Context, *admit.Request) (*session.Terms, error) {
	return nil, errors.New("not today")
}
