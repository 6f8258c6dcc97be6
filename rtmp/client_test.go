package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		url, app string
		want     target
		wantErr  bool
	}{
		{"rtmp://h/live/cam", "", target{host: "h", address: "h:1935", serverName: "h", app: "live", name: "cam"}, false},
		{"rtmps://h/live/cam?k=a?b", "", target{tls: true, host: "h", address: "h:443", serverName: "h", app: "live", name: "cam?k=a?b"}, false},
		{"RTMP://[::1]:1936/a/b/c", "", target{host: "[::1]:1936", address: "[::1]:1936", serverName: "::1", app: "a/b", name: "c"}, false},
		{"rtmp://h/a/b/c?x=/y/z", "a", target{host: "h", address: "h:1935", serverName: "h", app: "a", name: "b/c?x=/y/z"}, false},
		{"rtmp://u:p%40s@h/live/cam", "", target{host: "h", address: "h:1935", serverName: "h", user: "u", password: "p@s", app: "live", name: "cam"}, false},
		{"rtmp://h/live", "", target{host: "h", address: "h:1935", serverName: "h", app: "live"}, false},
		{"rtmp://h/live/100%", "", target{host: "h", address: "h:1935", serverName: "h", app: "live", name: "100%"}, false},
		{"http://h/live/cam", "", target{}, true},
		{"h/live/cam", "", target{}, true},
		{"rtmp:///live/cam", "", target{}, true},
		{"rtmp://h:x/live/cam", "", target{}, true},
		{"rtmp://h/live/cam", "other", target{}, true},
	} {
		got, err := parseTarget(tt.url, tt.app, "")
		if (err != nil) != tt.wantErr || err == nil && got != tt.want {
			t.Errorf("%s: %+v, %v", tt.url, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "p%40s") {
			t.Error("the error shows the password")
		}
	}
}

// pipeDial dials a server over pipes.
func pipeDial(t *testing.T, srv *Server) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = srv.ServeConn(context.WithoutCancel(t.Context()), server)
		}()
		t.Cleanup(func() {
			_ = client.Close()
			<-done
		})
		return client, nil
	}
}

// TestClosedInPlaceOfAnAnswer: a server that closes the connection when it reads connect, as some do that have no such application, is told from
// one that closes it later or within the handshake.
func TestClosedInPlaceOfAnAnswer(t *testing.T) {
	handler := &fakeHandler{onConnect: func(*ServerSession, *ConnectRequest) error { return errors.New("x") }}
	for name, c := range map[string]struct {
		serve func(nc net.Conn)
		want  bool
	}{
		"at connect": {func(nc net.Conn) {
			b := make([]byte, 1+1536)
			_, _ = io.ReadFull(nc, b)
			_, _ = nc.Write(append(b, b[1:]...)) // S0, S1 and S2
			_, _ = io.ReadFull(nc, b[:1536+1])   // C2, and the first byte of connect
		}, true},
		"within the handshake": {func(nc net.Conn) { _, _ = io.ReadFull(nc, make([]byte, 100)) }, false},
		"with an answer":       {func(nc net.Conn) { _ = (&Server{Handler: handler}).ServeConn(context.Background(), nc) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.serve(server)
				_ = server.Close()
			}()
			_, err := Dial(t.Context(), "rtmp://h/live/cam", DialOptions{Dial: func(context.Context, string, string) (net.Conn, error) { return client, nil }})
			<-done
			if err == nil || errors.Is(err, ErrNotConnected) != c.want || c.want && !errors.Is(err, ErrClosedByPeer) {
				t.Error(err)
			}
		})
	}
}

// relay is a handler that gives what is published to those who play it.
type relay struct {
	*fakeHandler
	players chan *PlayWriter
}

func newRelay() *relay {
	r := &relay{fakeHandler: &fakeHandler{}, players: make(chan *PlayWriter, 100)}
	r.onStart = func(_ *ServerSession, _ *fakePlayback, w *PlayWriter) { r.players <- w }
	var w *PlayWriter
	r.onMessage = func(m *Message) error {
		if w == nil {
			w = <-r.players
		}
		return w.WriteMessage(m)
	}
	return r
}

func TestClientsAgainstServer(t *testing.T) {
	for _, how := range []string{"pipe", "tcp", "complex", "tls"} {
		t.Run(how, func(t *testing.T) {
			h := newRelay()
			srv := &Server{Handler: h}
			opts := DialOptions{Complex: how == "complex", Caps: AnyCodec()}
			url := "rtmp://test/live/cam?key=1"
			switch how {
			case "pipe":
				opts.Dial = pipeDial(t, srv)
			case "tls":
				srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
				opts.TLSConfig = &tls.Config{InsecureSkipVerify: true}
				fallthrough
			default:
				ln := listen(t)
				serveListener(t, ln, srv)
				url = strings.Replace(url, "test", ln.Addr().String(), 1)
				if how == "tls" {
					url = strings.Replace(url, "rtmp:", "rtmps:", 1)
				}
			}
			pc, err := Dial(t.Context(), url, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			play, err := pc.Play(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c, err := Dial(t.Context(), url, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if c.Caps().CapsEx&CapReconnect == 0 {
				t.Errorf("%+v", c.Caps())
			}
			pub, err := c.Publish(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Publish(t.Context()); !errors.Is(err, ErrStreamOpen) {
				t.Error(err)
			}
			want := []Message{
				{Type: TypeData, Payload: []byte("\x02\x00\x0aonMetaData\x08\x00\x00\x00\x00\x00\x00\x09")},
				{Type: TypeData, Payload: []byte("\x02\x00\x06onText\x05")},
			}
			for i := range 200 {
				want = append(want, Message{Type: TypeVideo + MessageType(-(i % 2)), Timestamp: uint32(1<<24 - 100 + i), Payload: make([]byte, i*i)})
			}
			go func() {
				for _, m := range want {
					if err := pub.WriteMessage(&m); err != nil {
						t.Error(err)
					}
				}
			}()
			for i, w := range want {
				m, err := play.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if m.Type != w.Type || m.Timestamp != w.Timestamp || string(m.Payload) != string(w.Payload) || m.StreamID != play.StreamID() {
					t.Fatalf("message %d: %+v", i, m)
				}
			}
			if got := h.received(); !got[0].SetDataFrame || got[1].SetDataFrame {
				t.Error("@setDataFrame belongs before onMetaData and nothing else")
			}
			if r := h.publishes[0]; r.Path != "live/cam" || r.RawQuery != "key=1" {
				t.Errorf("%+v", r)
			}
			if err := pub.Close(); err != nil {
				t.Error(err)
			}
			h.waitFor(t, "unpublish live/cam: unpublished")
			ended := make(chan error, 1)
			go func() { ended <- h.writers[0].End() }()
			if _, err := play.ReadMessage(); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := play.Close(); err != nil {
				t.Error(err)
			}
			if _, err := play.ReadMessage(); err == nil {
				t.Error("read after Close")
			}
			h.waitFor(t, "stop live/cam: stopped")
		})
	}
}

func TestClientIsRefused(t *testing.T) {
	refusal := &StatusError{Level: LevelError, Code: CodePublishDenied, Description: "no"}
	srv := &Server{Handler: &fakeHandler{
		onPublish: func(*ServerSession, *PublishRequest) error { return refusal },
		onPlay:    func(*ServerSession, *PlayRequest) error { return refusal },
		onConnect: func(_ *ServerSession, r *ConnectRequest) error {
			if r.App == "closed" {
				return refusal
			}
			return nil
		},
	}}
	opts := DialOptions{Dial: pipeDial(t, srv)}
	if _, err := Dial(t.Context(), "rtmp://h/closed/cam", opts); !isStatus(err, CodePublishDenied) {
		t.Error(err)
	}
	for range 2 {
		c, err := Dial(t.Context(), "rtmp://h/live/cam", opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Publish(t.Context()); !isStatus(err, CodePublishDenied) {
			t.Error(err)
		}
		_ = c.Close()
		if c, err = Dial(t.Context(), "rtmp://h/live/cam", opts); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Play(t.Context()); !isStatus(err, CodePublishDenied) {
			t.Error(err)
		}
		_ = c.Close()
	}
}

func isStatus(err error, code string) bool {
	st, ok := errors.AsType[*StatusError](err)
	return ok && st.Code == code
}

func TestClientTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			done := make(chan struct{})
			go func() { defer close(done); _, _ = io.Copy(io.Discard, server) }()
			t.Cleanup(func() { _ = client.Close(); <-done })
			return client, nil
		}
		began := time.Now()
		_, err := Dial(t.Context(), "rtmp://h/live/cam", DialOptions{Dial: silent})
		if timeout, ok := errors.AsType[*TimeoutError](err); !ok || timeout.Stage != StageConnect || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("given up"))
		defer cancel()
		began = time.Now()
		if _, err = Dial(ctx, "rtmp://h/live/cam", DialOptions{Dial: silent}); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(2*time.Second, stop)
		began = time.Now()
		if _, err = Dial(ctx, "rtmp://h/live/cam", DialOptions{Dial: silent}); !errors.Is(err, context.Canceled) || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestPublisherLearnsOfTheKick(t *testing.T) {
	h := &fakeHandler{}
	var seen []string
	opts := DialOptions{Dial: pipeDial(t, &Server{Handler: h}), OnStatus: func(st *StatusError) { seen = append(seen, st.Code) }, Caps: &Caps{CapsEx: CapReconnect}}
	c, err := Dial(t.Context(), "rtmp://h/live/cam", opts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !h.session().RequestReconnect("", "") {
		t.Error("not asked to reconnect")
	}
	h.session().Close(&StatusError{Code: CodePublishFailed, Description: "taken over"})
	<-p.Done()
	if !isStatus(p.Err(), CodePublishFailed) {
		t.Error(p.Err())
	}
	var werr error
	for range 10 {
		if werr = p.WriteMessage(&Message{Type: TypeVideo}); werr != nil {
			break
		}
	}
	if !isStatus(werr, CodePublishFailed) {
		t.Errorf("writing: %v", werr)
	}
	if err := p.Close(); !isStatus(err, CodePublishFailed) {
		t.Errorf("closing: %v", err)
	}
	if len(seen) != 2 || seen[0] != CodeConnectReconnectRequest {
		t.Error(seen)
	}
}

func TestPlayIsInterruptedByClose(t *testing.T) {
	h := &fakeHandler{}
	c, err := Dial(t.Context(), "rtmp://h/live/cam", DialOptions{Dial: pipeDial(t, &Server{Handler: h})})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := p.ReadMessage()
		ended <- err
	}()
	if err := p.Pause(true); err != nil {
		t.Error(err)
	}
	h.waitFor(t, "pause true")
	_ = p.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// scripted is a server that answers as it is told.
func scripted(t *testing.T, answer func(c *Conn, cmd *command, m *Message) bool) DialOptions {
	return DialOptions{Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			c, err := ServerConn(server)
			if err != nil {
				return
			}
			for {
				m, err := c.ReadMessage()
				if err != nil {
					return
				}
				if cmd, err := parseCommand(&m); err == nil && !answer(c, &cmd, &m) {
					return
				}
			}
		}()
		t.Cleanup(func() { _ = client.Close(); <-done })
		return client, nil
	}}
}

func TestClientsAgainstOddServers(t *testing.T) {
	// Metadata and a picture come before the status, then a stray onBWDone and an end.
	opts := scripted(t, func(c *Conn, cmd *command, m *Message) bool {
		switch cmd.name {
		case "connect":
			_ = c.WriteMessages(resultMessage("onBWDone", 0, nil), resultMessage("_result", cmd.tid, nil, nil))
		case "createStream":
			_ = c.WriteMessage(resultMessage("_result", cmd.tid, nil, 5.0))
		case "play":
			_ = c.WriteMessages(append(statusMessages([]*Message{
				{Type: TypeData, StreamID: 5, Payload: []byte("\x02\x00\x11|RtmpSampleAccess\x01\x01\x01\x01")},
				{Type: TypeVideo, StreamID: 5, Payload: []byte("early")},
			}, 5, &StatusError{Level: LevelStatus, Code: CodePlayStart}),
				&Message{Type: TypeVideo, StreamID: 7, Payload: []byte("of another stream")},
				&Message{Type: TypeAudio, StreamID: 5, Payload: []byte("late")},
				commandMessage(5, "onPlayStatus", 0.0, nil, object("code", CodePlayComplete)))...)
		}
		return true
	})
	c, err := Dial(t.Context(), "rtmp://h/live/cam", opts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"early", "late"} {
		if m, err := p.ReadMessage(); err != nil || string(m.Payload) != want {
			t.Errorf("%q, %v", m.Payload, err)
		}
	}
	if _, err := p.ReadMessage(); err != io.EOF {
		t.Error(err)
	}
	_ = p.Close()
	for name, answer := range map[string]func(c *Conn, cmd *command, m *Message) bool{
		"closes": func(*Conn, *command, *Message) bool { return false },
		"no number": func(c *Conn, cmd *command, _ *Message) bool {
			return c.WriteMessage(resultMessage("_result", cmd.tid, nil, nil)) == nil
		},
		"says close": func(c *Conn, cmd *command, _ *Message) bool {
			return c.WriteMessage(resultMessage("close", 0, nil)) == nil
		},
		"early flood": func(c *Conn, _ *command, _ *Message) bool {
			for range 512 {
				if c.WriteMessage(&Message{Type: TypeVideo, StreamID: 1}) != nil {
					return false
				}
			}
			return true
		},
	} {
		c, err := Dial(t.Context(), "rtmp://h/live/cam", scripted(t, answer))
		if err == nil {
			if _, err = c.Play(t.Context()); err == nil {
				t.Errorf("%s: played", name)
			}
			_ = c.Close()
		}
	}
}

func TestSilentServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := func(c *Conn, cmd *command, _ *Message) bool {
			switch cmd.name {
			case "connect":
				return c.WriteMessage(resultMessage("_result", cmd.tid, nil, nil)) == nil
			case "createStream":
				return c.WriteMessage(resultMessage("_result", cmd.tid, nil, 1.0)) == nil
			case "publish":
				return c.WriteMessages(statusMessages(nil, 1, &StatusError{Level: LevelStatus, Code: CodePublishStart})...) == nil
			case "play":
				c.setIdle(0) // and never answers a ping, because it does not read any more
				_ = c.WriteMessages(statusMessages(nil, 1, &StatusError{Level: LevelStatus, Code: CodePlayStart})...)
				_, _ = io.Copy(io.Discard, c.nc)
			}
			return true
		}
		c, err := Dial(t.Context(), "rtmp://h/live/cam", scripted(t, server))
		if err != nil {
			t.Fatal(err)
		}
		play, err := c.Play(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = play.ReadMessage()
		if _, ok := errors.AsType[*TimeoutError](err); !ok || time.Since(began) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = play.Close()
		if c, err = Dial(t.Context(), "rtmp://h/live/cam", scripted(t, server)); err != nil {
			t.Fatal(err)
		}
		pub, err := c.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if err := pub.WriteMessage(&Message{Type: TypeVideo}); err != nil {
			t.Error(err)
		}
		_ = pub.Close()
	})
}
