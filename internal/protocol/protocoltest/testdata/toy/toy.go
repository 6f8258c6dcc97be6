// Package toy plays streams as lines of text, one a frame, to whoever sends the line "PLAY app/name"
// over TCP. scripts/protocols adds it to a copy of the server, by its folder and one line.
package toy

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// Config is the section "toy".
type Config struct {
	Listen string `yaml:"listen" format:"listen" reload:"restart" help:"address of the toy protocol; empty: off"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() { *c = Config{} }

// Protocols implements protocol.Section.
func (c *Config) Protocols() []protocol.Entry {
	return []protocol.Entry{{Name: "toy", New: func(env protocol.Env) (protocol.Protocol, error) {
		p := &toy{env: env}
		var err error
		if c.Listen != "" {
			p.ln, err = env.Listen("toy", c.Listen)
		}
		return p, err
	}}}
}

const (
	maxLine  = 1024
	lineTime = 10 * time.Second
)

// toy implements protocol.Protocol.
type toy struct {
	env protocol.Env
	ln  net.Listener // nil: off
}

// Run implements protocol.Protocol.
func (p *toy) Run(ctx context.Context) error {
	if p.ln == nil {
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() { p.env.Sessions.CloseProtocol(p.env.Name, session.ErrShutdown) })
	defer stop()
	return p.env.Serve(ctx, p.ln, p.serve)
}

// client is one connection.
type client struct {
	cancel context.CancelCauseFunc

	mu     sync.Mutex // guards below
	player *peer.Player
	ended  error
}

// end ends the client whatever it is doing.
func (c *client) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = cause
	c.cancel(cause)
	if c.player != nil {
		c.player.Close(cause)
	}
}

// serve lets a client in and hands its connection to the engine.
func (p *toy) serve(nc net.Conn) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	c := &client{cancel: cancel}
	s, err := p.env.Sessions.Open(session.Info{Protocol: p.env.Name, Remote: peer.AddrPort(nc.RemoteAddr()), Cancel: c.end})
	if err != nil {
		refuse(nc, err)
		return
	}
	unblock := context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	path, query, err := request(nc)
	unblock()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		p.env.Metrics.HandshakeFailed(p.env.Name, "line")
		refuse(nc, err)
		s.CloseWith(err)
		return
	}
	gone := watch(nc, cancel)
	view, err := p.env.PlayLive(ctx, s, peer.Ask{Path: path, RawQuery: query}, func(string) mux.Variant { return variant{} })
	gone()
	if err != nil {
		refuse(nc, err)
		s.CloseWith(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.player = view.Player(s, peer.Sink(p.env.Engine, nc, p.env.Portable), []byte("OK\n"), nil)
	if c.ended != nil {
		c.player.Close(c.ended)
	}
	c.player.Join(p.env.StartOf(view.Stream.Path(), "", nil), nil)
}

// request reads the line with which a client asks.
func request(nc net.Conn) (path, query string, err error) {
	_ = nc.SetReadDeadline(time.Now().Add(lineTime))
	line, err := bufio.NewReaderSize(nc, maxLine).ReadSlice('\n')
	if err != nil {
		return "", "", session.Because(session.Handshake, err)
	}
	what, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "PLAY ")
	if !ok {
		return "", "", session.Because(session.Handshake, errors.New("the line is not PLAY app/name"))
	}
	path, query, _ = strings.Cut(what, "?")
	return path, query, nil
}

// watch cancels when the client goes while it waits. The function that it returns ends that.
func watch(nc net.Conn, cancel context.CancelCauseFunc) (stop func()) {
	_ = nc.SetReadDeadline(time.Time{})
	var wg sync.WaitGroup
	stopping := make(chan struct{})
	wg.Go(func() {
		_, err := nc.Read(make([]byte, 1))
		select {
		case <-stopping:
		default:
			cancel(session.Because(session.EOF, err))
		}
	})
	return func() {
		close(stopping)
		_ = nc.SetReadDeadline(time.Unix(1, 0))
		wg.Wait()
		_ = nc.SetReadDeadline(time.Time{})
	}
}

// refuse tells a client why it gets nothing.
func refuse(nc net.Conn, err error) {
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(nc, "ERR %v: %s\n", session.ReasonOf(err), session.PeerText(err))
	_ = nc.Close()
}

// variant implements mux.Variant.
type variant struct{}

// Format implements mux.Variant.
func (variant) Format() string { return "toy" }

// NewEncoder implements mux.Variant.
func (variant) NewEncoder() mux.Encoder { return encoder{} }

// encoder implements mux.Encoder.
type encoder struct{}

// Append implements mux.Encoder.
func (encoder) Append(e *stream.Entry, out mux.Output) {
	if e.Frame.Kind == av.Data {
		return
	}
	m := fanout.Message{Headers: e.Frame.Type == av.Config, Sync: e.Sync}
	if e.Sync {
		for i := range e.Headers.Tracks {
			if f := e.Headers.Tracks[i].ConfigFrame; f != nil {
				m.Preamble = append(m.Preamble, line(f)...)
			}
		}
	}
	b := line(&e.Frame)
	out.Commit(append(out.Reserve(len(b)), b...), m)
}

// End implements mux.Encoder.
func (encoder) End(mux.Output) []byte { return nil }

// line is a frame as text: kind, type, flags, time in nanoseconds and payload.
func line(f *av.Frame) []byte {
	return fmt.Appendf(nil, "%d %d %d %d %s\n", f.Kind, f.Type, f.Flags, f.DTS, base64.StdEncoding.EncodeToString(f.Payload))
}
