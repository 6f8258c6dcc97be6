package rtmp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdentity(t *testing.T) {
	h := &fakeHandler{}
	ids := make(map[string]bool)
	before := time.Now()
	for range 100 {
		p := serve(t, &Server{Handler: h}).handshake()
		p.connectWith(object("app", "live?a=1", "tcUrl", "rtmp://h:1935/live?a=1", "flashVer", "test/1", "pageUrl", "page", "swfUrl", "swf"))
		p.expect("_result")
		s := h.session()
		ids[s.ID()] = true
		if s.App() != "live" || s.TcURL() != "rtmp://h:1935/live?a=1" || s.RawQuery() != "a=1" || s.Start().Before(before) ||
			s.RemoteAddr() == nil || s.LocalAddr() == nil || s.Kind() != KindPending || len(s.ID()) < 16 {
			t.Fatalf("%s %q %q %q %v %v", s.ID(), s.App(), s.TcURL(), s.RawQuery(), s.Start(), s.Kind())
		}
	}
	if len(ids) != 100 {
		t.Errorf("%d ids", len(ids))
	}
	r := h.connects[0]
	if r.FlashVer != "test/1" || r.PageURL != "page" || r.SwfURL != "swf" || r.Query.Get("a") != "1" {
		t.Errorf("%+v", r)
	}
	for kind, want := range map[Kind]string{KindPending: "pending", KindPublisher: "publish", KindPlayer: "play", 77: "play"} {
		if kind.String() != want {
			t.Errorf("%d: %s", kind, kind)
		}
	}
}

func TestStatistics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h}).sync()
		s := h.session()
		synctest.Wait()
		first := s.Stats()
		<-time.After(2 * time.Second)
		m := encode(&Message{Type: TypeAudio, StreamID: 1, Payload: make([]byte, 88)})
		for range 1000 {
			p.write(m)
		}
		synctest.Wait()
		second := s.Stats()
		in, out := second.Rates(first)
		if want := float64(len(m)*1000) * 8 / 2; in != want || out != 0 {
			t.Errorf("rates %v and %v, want %v and 0", in, out, want)
		}
		if second.LastIn.Sub(first.LastIn) != 2*time.Second || !second.LastOut.Equal(first.LastOut) || first.LastOut.IsZero() {
			t.Errorf("last in %v then %v, out %v then %v", first.LastIn, second.LastIn, first.LastOut, second.LastOut)
		}
		if in, out := first.Rates(first); in != 0 || out != 0 {
			t.Error("rates of no time")
		}
	})
}

func TestOneByteMedia(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	for first := range 256 {
		p.media(Message{Type: TypeVideo, StreamID: 1, Payload: []byte{byte(first)}})
		p.media(Message{Type: TypeAudio, StreamID: 1, Payload: []byte{byte(first)}})
	}
	p.sync()
	if n := len(h.received()); n != 512 {
		t.Errorf("%d messages", n)
	}
}

func TestStreamsOfOneNameAreToldApart(t *testing.T) {
	h := &fakeHandler{}
	for _, app := range []string{"a", "b"} {
		p := serve(t, &Server{Handler: h}).handshake()
		p.connectWith(object("app", app)).expect("_result")
		p.publish(1, "x").status(1, CodePublishStart)
	}
	if a, b := h.publishes[0].Path, h.publishes[1].Path; a != "a/x" || b != "b/x" {
		t.Error(a, b)
	}
}

func TestC259_LargeChunks(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.write(control(TypeSetChunkSize, appendBE32(nil, defaultChunkSize)...))
	p.write(AppendMessage(nil, &Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, 100_000)}, defaultChunkSize))
	p.sync()
	if got := h.received(); len(got) != 1 || len(got[0].Payload) != 100_000 {
		t.Errorf("%d messages", len(got))
	}
}

func TestC088_ConnectWithoutObjectEnd(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake()
	p.media(Message{Type: TypeCommand, Payload: unhexString("020007636f6e6e656374003ff000000000000003" + "0003617070" + "0200046c697665")})
	p.expect("_result")
	if h.connects[0].App != "live" {
		t.Errorf("%+v", h.connects[0])
	}
}

// What a session's end says goes to logs: it must not carry what the peer sent.
func TestErrorsKeepSecrets(t *testing.T) {
	const secret = "s3cretkey"
	for name, send := range map[string]func(p *peer){
		"bad name":   func(p *peer) { p.publish(1, "../x?key="+secret) },
		"long query": func(p *peer) { p.publish(1, "x?key="+strings.Repeat(secret, 1000)) },
		"cut command": func(p *peer) {
			p.media(Message{Type: TypeCommand, StreamID: 1, Payload: append(commandMessage(1, "publish", 0.0, nil, "x?key="+secret).Payload, 2, 0)})
		},
		"chunk garbage": func(p *peer) { p.write(append([]byte{0xc9}, secret...)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN, blockCS)
			p.expect("_result")
			p.background(func() { send(p) })
			if err := <-p.end; err == nil || strings.Contains(err.Error(), secret) || len(err.Error()) > 300 {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestCloseWhileTheHandlerIsAsked(t *testing.T) {
	h := &fakeHandler{}
	asked := make(chan struct{})
	cause := errors.New("kicked meanwhile")
	h.onPublish = func(s *ServerSession, _ *PublishRequest) error {
		close(asked)
		<-s.ctx.Done() // a hook that waits for the end of the connection
		return context.Cause(s.ctx)
	}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS, blockPUB)
	<-asked
	h.session().Close(cause)
	_ = p.nc.Close()
	if err := <-p.end; !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestKickOfAPlayerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := stalledPlayer(t, &Server{Handler: h})
		h.waitFor(t, "start live/cam on 1")
		wrote := make(chan error, 1)
		go func() { wrote <- h.writers[0].WriteMessage(&Message{Type: TypeVideo, Payload: make([]byte, 5000)}) }()
		<-time.After(time.Second)
		began := time.Now()
		h.session().Close(errors.New("kicked"))
		err := <-p.end
		if d := time.Since(began); d > time.Second || fmt.Sprint(err) != "kicked" {
			t.Errorf("%v after %v", err, d)
		}
		if <-wrote == nil {
			t.Error("the write succeeded")
		}
	})
}
