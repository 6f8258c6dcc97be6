package rtmp

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// acks returns the values of the acknowledgements received so far.
func (p *peer) acks() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var values []uint32
	for _, m := range p.in {
		if m.Type == TypeAck {
			values = append(values, be32(m.Payload))
		}
	}
	return values
}

// flood publishes messages of 50 KB until n bytes were sent.
func (p *peer) flood(n int) {
	p.t.Helper()
	const size = 50_000
	p.write(encode(&Message{Type: TypeSetChunkSize, Payload: appendBE32(nil, size)}))
	m := AppendMessage(nil, &Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, size)}, size)
	for sent := 0; sent < n; sent += len(m) {
		p.write(m)
	}
}

func control(t MessageType, body ...byte) []byte { return encode(&Message{Type: t, Payload: body}) }

func TestAcknowledgements(t *testing.T) {
	for _, tt := range []struct {
		name     string
		window   []byte // body of Window Acknowledgement Size
		megabyte int
		least    int // acknowledgements
		most     int
	}{
		{"C-071 window of 1000", appendBE32(nil, 1000), 10, 150, 10_000_000 / (32 << 10)},
		{"C-072 window of 0", appendBE32(nil, 0), 10, 6, 8},
		{"C-072 body of 2 bytes", []byte{1, 2}, 10, 6, 8},
		{"C-073 no window", nil, 10, 6, 8},
		{"the peer's window", appendBE32(nil, 200_000), 10, 80, 101},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := publishing(t, &Server{Handler: &fakeHandler{}})
			if tt.window != nil {
				p.write(control(TypeWindowAckSize, tt.window...))
			}
			p.flood(tt.megabyte * 1_000_000)
			p.send(blockPING)
			p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
			acks := p.acks()
			if len(acks) < tt.least || len(acks) > tt.most {
				t.Errorf("%d acknowledgements, want %d to %d", len(acks), tt.least, tt.most)
			}
			for i := 1; i < len(acks); i++ {
				if acks[i] <= acks[i-1] {
					t.Errorf("acknowledgement of %d after %d", acks[i], acks[i-1])
				}
			}
		})
	}
}

func TestC074_AcknowledgementWraps(t *testing.T) {
	var seen []uint32
	h := &fakeHandler{}
	h.onConnect = func(s *ServerSession, _ *ConnectRequest) error {
		// As if 4 GiB less a little had been received.
		s.conn.bytesIn.Store(1<<32 - 1000)
		s.conn.acked = 1<<32 - 1000
		return nil
	}
	p := publishing(t, &Server{Handler: h})
	p.flood(3_000_000)
	p.send(blockPING)
	p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	if seen = p.acks(); len(seen) < 2 || seen[0] > 1_400_000 {
		t.Error(seen)
	}
	if n := len(h.received()); n < 60 {
		t.Errorf("%d messages", n)
	}
}

func TestC076_SetPeerBandwidth(t *testing.T) {
	p := publishing(t, &Server{Handler: &fakeHandler{}})
	for limit := range byte(10) {
		p.write(control(TypeSetPeerBandwidth, append(appendBE32(nil, 5_000_000), limit)...))
	}
	p.write(control(TypeSetPeerBandwidth, appendBE32(nil, 5_000_000)...))
	p.write(control(TypeSetPeerBandwidth, 1, 2))
	p.send(blockPING)
	p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	if n := strings.Count(p.transcript(), "type5@0"); n != 2 {
		t.Errorf("%d windows announced, want 1 in connect and 1 after", n)
	}
}

func TestC077_Ping(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockPING)
	m := p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl })
	if fmt.Sprintf("%x", m.Payload) != "000700001234" {
		t.Errorf("%x", m.Payload)
	}
}

func TestC078_UserControlOfAnyLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := publishing(t, &Server{Handler: &fakeHandler{}})
		pongs := 0
		for event := range byte(51) {
			for n := range 13 {
				body := make([]byte, n)
				if n >= 2 {
					body[1] = event
				}
				if event == eventPingRequest && n >= 6 {
					pongs++
				}
				p.write(control(TypeUserControl, body...))
				<-time.After(time.Second / 200)
			}
		}
		p.send(blockVK)
		synctest.Wait()
		if n := strings.Count(p.transcript(), "control(0007"); n != pongs {
			t.Errorf("%d pongs, want %d", n, pongs)
		}
	})
}

func TestC079_SetBufferLength(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN)
	p.expect("_result")
	p.write(control(TypeUserControl, append([]byte{0, 3, 0, 0, 0, 0}, 0xff, 0xff, 0xff, 0xff)...))
	p.send(blockCS, blockPLAY)
	p.status(1, CodePlayReset)
	if got := h.session().conn.bufferMS; got != 60_000 {
		t.Error(got)
	}
}

func TestTooManyControlMessages(t *testing.T) {
	for _, tt := range []struct {
		name, block string
	}{
		{"C-034 chunk sizes", "02000000000004010000000000001000"},
		{"C-080 pings", blockPING},
		{"C-064 empty messages of a control type", "02000000000000030000000000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := publishing(t, &Server{Handler: &fakeHandler{}})
			p.background(func() { p.try(unhexString(strings.Repeat(tt.block, 20_000))) })
			p.closed("limit")
		})
	}
}

func TestC067_UnknownTypes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		p.background(func() {
			for i := range 1001 {
				p.try(encode(&Message{Type: []MessageType{0, 7, 21, 255}[i%4], Payload: []byte("?")}))
				<-time.After(time.Second / 200)
			}
		})
		p.closed("limit")
		if n := h.session().Stats().Ignored; n != 1001 {
			t.Error(n)
		}
	})
}

func TestC113_SharedObjectsAreIgnored(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	for range 2000 {
		p.media(Message{Type: TypeSharedObject, Payload: []byte("so")})
	}
	p.send(blockVK)
	p.send(blockPING)
	p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	if n := h.session().Stats().Ignored; n != 2000 {
		t.Error(n)
	}
}

func TestC081_SilentPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		began := time.Now()
		p.next("ping", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingRequest })
		if d := time.Since(began); d != 30*time.Second {
			t.Errorf("pinged after %v", d)
		}
		p.closed("timeout media")
		if d := time.Since(began); d != 60*time.Second {
			t.Errorf("closed after %v", d)
		}
		h.waitFor(t, "unpublish live/cam: timeout media")
	})
}

func TestPublisherThatAnswersPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := publishing(t, &Server{Handler: &fakeHandler{}})
		began := time.Now()
		for range 5 {
			m := p.next("ping", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingRequest })
			<-time.After(29 * time.Second)
			p.write(control(TypeUserControl, append([]byte{0, 7}, m.Payload[2:]...)...))
		}
		if d := time.Since(began); d != 5*59*time.Second {
			t.Errorf("took %v", d)
		}
		select {
		case err := <-p.end:
			t.Error(err)
		default:
		}
	})
}

func TestC081_MediaKeepsAPublisherAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := publishing(t, &Server{Handler: &fakeHandler{}})
		for range 20 {
			<-time.After(29 * time.Second)
			p.send(blockVK)
		}
		if strings.Contains(p.transcript(), "control(0006") {
			t.Error("pinged though it was not silent")
		}
	})
}

func TestC084_SilentPlayerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := playing(t, &Server{Handler: &fakeHandler{}})
		<-time.After(time.Hour)
		select {
		case err := <-p.end:
			t.Error(err)
		default:
		}
	})
}

// stalledPlayer sets up a player that reads nothing more once playing has begun.
func stalledPlayer(t *testing.T, srv *Server) *peer {
	t.Helper()
	p := serve(t, srv)
	p.write(wholeHello[:1537])
	_, _ = io.ReadFull(p.nc, make([]byte, 3073))
	p.write(wholeHello[1537:])
	p.background(func() { p.try(unhexString(blockCN + blockCS + blockPLAY)) })
	buf := new(readBuffer)
	buf.init(p.nc, 64)
	chunks := newChunkReader(buf, readLimits{})
	for {
		m, err := chunks.readMessage()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(describe(&m), CodePlayStart) {
			return p
		}
	}
}

func TestC083_PlayerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		failed := make(chan time.Duration, 1)
		h.onStart = func(_ *ServerSession, _ *fakePlayback, w *PlayWriter) {
			go func() {
				began := time.Now()
				_ = w.WriteMessage(&Message{Type: TypeVideo, Payload: make([]byte, 1000)})
				failed <- time.Since(began)
			}()
		}
		p := stalledPlayer(t, &Server{Handler: h})
		if d := <-failed; d != 30*time.Second {
			t.Errorf("gave up after %v", d)
		}
		p.closed("timeout playing")
	})
}

func TestC068_CutAnywhere(t *testing.T) {
	whole := unhexString(blockCN + blockCS + blockPUB + blockVSH + blockVK)
	for n := range len(whole) {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake()
		p.write(whole[:n])
		_ = p.nc.Close()
		p.closed("peer")
		if got := len(h.received()); n < len(whole)-len(blockVK)/2 && got != 0 {
			t.Fatalf("cut at %d: %d messages", n, got)
		}
	}
}

func TestC178_Aggregate(t *testing.T) {
	sub := func(typ byte, ts uint32, body string) []byte {
		b := []byte{typ, 0, 0, byte(len(body)), byte(ts >> 16), byte(ts >> 8), byte(ts), byte(ts >> 24), 0, 0, 9}
		b = append(b, body...)
		return binary.BigEndian.AppendUint32(b, uint32(len(body)+11))
	}
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	body := append(sub(9, 500, "video"), sub(8, 510, "audio")...)
	body = append(body, sub(18, 520, "\x02\x00\x01x")...)
	p.media(Message{Type: TypeAggregate, StreamID: 1, Timestamp: 1000, Payload: body})
	p.media(Message{Type: TypeAggregate, StreamID: 1, Timestamp: 2000, Payload: body[:20]})
	p.send(blockPING)
	p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	got := h.received()
	if len(got) != 4-1 && len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	for i, want := range []struct {
		typ  MessageType
		ts   uint32
		body string
	}{{TypeVideo, 1000, "video"}, {TypeAudio, 1010, "audio"}, {TypeData, 1020, "\x02\x00\x01x"}} {
		if m := got[i]; m.Type != want.typ || m.Timestamp != want.ts || string(m.Payload) != want.body || m.StreamID != 1 {
			t.Errorf("message %d: %+v", i, m)
		}
	}
}

func TestWriteMessagesIsOneWrite(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	c := &Conn{nc: server}
	c.init(4096)
	done := make(chan error, 1)
	go func() {
		done <- c.WriteMessages(
			&Message{Type: TypeSetChunkSize, Payload: appendBE32(nil, 4096)},
			&Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, 4000)})
	}()
	b := make([]byte, 8192)
	n, _ := client.Read(b)
	if err := <-done; err != nil || n != 16+12+4000 {
		t.Errorf("%d bytes in the first write, %v: the chunk size must be in force behind itself", n, err)
	}
	_ = server.Close()
}
