package rtmp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// awaiting is a connection that can wait without a goroutine: the test calls what it is given.
type awaiting struct {
	net.Conn
	ready chan func()
}

// Await implements Awaiter.
func (a *awaiting) Await(ready func()) bool {
	a.ready <- ready
	return true
}

// parkedPlay plays by a detached session, and tells what it has to say and how it ends.
type parkedPlay struct {
	quiet
	quietPlayback
	said  chan []byte
	ended chan error
}

func (p *parkedPlay) Play(_ context.Context, s *ServerSession, _ *PlayRequest) (Playback, error) {
	p.s = s
	return p, nil
}

func (p *parkedPlay) Start(*PlayWriter) {
	p.s.Detach(func(b []byte) error { p.said <- b; return nil })
}
func (p *parkedPlay) Message(m *Message) error { return p.quiet.Message(m) }
func (p *parkedPlay) Close(cause error)        { p.ended <- cause }

// A player that is silent has no goroutine, and is heard all the same.
func TestParkedPlayer(t *testing.T) {
	h := &parkedPlay{said: make(chan []byte, 10), ended: make(chan error, 1)}
	client, server := tcpPair(t)
	nc := &awaiting{server, make(chan func(), 1)}
	end := make(chan error, 1)
	go func() { end <- (&Server{Handler: h}).ServeConn(t.Context(), nc) }()
	if _, err := client.Write(append(append([]byte{}, wholeHello...), unhexString(blockCN+blockCS+blockPLAY)...)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	if err := <-end; !errors.Is(err, ErrParked) {
		t.Fatalf("serving ended with %v", err)
	}
	for range 2 {
		ready := <-nc.ready
		if n := len(h.s.conn.buf.buf); n > 0 {
			t.Errorf("a buffer of %d bytes is kept", n)
		}
		if _, err := client.Write(unhexString(blockPING)); err != nil {
			t.Fatal(err)
		}
		ready()
		for pong := unhexString("000700001234"); ; {
			select {
			case b := <-h.said:
				if !bytes.HasSuffix(b, pong) {
					continue
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the ping was not answered")
			}
			break
		}
	}
	ready := <-nc.ready
	_ = client.Close()
	ready()
	if cause := <-h.ended; !errors.Is(cause, ErrClosedByPeer) {
		t.Errorf("ended with %v", cause)
	}
	_ = server.Close()
}

// The owner's Close reaches a parked session by the deadline that it sets.
func TestParkedPlayerIsClosed(t *testing.T) {
	h := &parkedPlay{said: make(chan []byte, 10), ended: make(chan error, 1)}
	client, server := tcpPair(t)
	nc := &awaiting{server, make(chan func(), 1)}
	s := (&Server{Handler: h}).NewSession(context.Background(), nc)
	end := make(chan error, 1)
	go func() { end <- s.Serve() }()
	if _, err := client.Write(append(append([]byte{}, wholeHello...), unhexString(blockCN+blockCS+blockPLAY)...)); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, ErrParked) {
		t.Fatalf("serving ended with %v", err)
	}
	why := errors.New("kicked")
	s.Close(why)
	(<-nc.ready)() // as an Awaiter does when the deadline has passed
	if cause := <-h.ended; !errors.Is(cause, why) {
		t.Errorf("ended with %v", cause)
	}
	_, _ = client.Close(), server.Close()
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln := listen(t)
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
