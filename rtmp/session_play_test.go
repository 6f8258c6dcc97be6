package rtmp

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
)

// play sends the command.
func (p *peer) play(streamID uint32, args ...amf.Value) *peer {
	p.t.Helper()
	return p.command(streamID, append([]amf.Value{"play", 4.0, nil}, args...)...)
}

func TestC196_Play(t *testing.T) {
	h := &fakeHandler{}
	h.onStart = func(_ *ServerSession, _ *fakePlayback, w *PlayWriter) {
		for _, m := range []Message{
			{Type: TypeData, Payload: []byte("\x02\x00\x0aonMetaData")}, {Type: TypeVideo, Payload: []byte{0x17, 0}}, {Type: TypeAudio, Payload: []byte{0xaf, 0}},
		} {
			if err := w.WriteMessage(&m); err != nil {
				t.Error(err)
			}
			if m.StreamID != 0 {
				t.Error("WriteMessage changed the message")
			}
		}
	}
	p := playing(t, &Server{Handler: h})
	p.next("audio", func(m *Message) bool { return m.Type == TypeAudio })
	want := "type5@0 type6@0 type1@0 _result@0(1 NetConnection.Connect.Success) _result@0(2 1) " +
		"control(000000000001) onStatus@1(0 NetStream.Play.Reset) onStatus@1(0 NetStream.Play.Start) type18@1 type9@1 type8@1"
	if got := p.transcript(); got != want {
		t.Errorf("%s", got)
	}
	if h.session().Kind() != KindPlayer {
		t.Error(h.session().Kind())
	}
}

func TestSampleAccessForFlash(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
	p.connectWith(object("app", "live", "pageUrl", "http://h/player.html"))
	p.send(blockCS, blockPLAY)
	m := p.next("sample access", func(m *Message) bool { return m.Type == TypeData })
	if want := unhexString("0200117c52746d7053616d706c6541636365737301010101"); m.StreamID != 1 || string(m.Payload) != string(want) {
		t.Errorf("%+v", m)
	}
}

// The statuses of a stream arrive on the id that createStream returned, Reset first.
func TestC257_FirstStatus(t *testing.T) {
	for id := uint32(1); id <= 3; id++ {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake().send(blockCN + strings.Repeat(blockCS, 3))
		p.play(id, "cam", -2.0, -1.0, id != 2)
		if id != 2 {
			p.status(id, CodePlayReset)
		}
		p.status(id, CodePlayStart)
	}
}

func TestPlayArguments(t *testing.T) {
	for _, tt := range []struct {
		name            string
		args            []amf.Value
		start, duration float64
		reset           bool
	}{
		{"name only", []amf.Value{"cam"}, -2, -1, true},
		{"C-201 milliseconds, live or recorded", []amf.Value{"cam", -2000.0}, -2, -1, true},
		{"C-201 milliseconds, live", []amf.Value{"cam", -1000.0}, -1, -1, true},
		{"live", []amf.Value{"cam", -1.0, -1.0, false}, -1, -1, false},
		{"C-201 0", []amf.Value{"cam", 0.0, 10.0, 0.0}, 0, 10, false},
		{"C-201 NaN", []amf.Value{"cam", math.NaN(), math.Inf(1), 3.0}, -2, -1, true},
		{"C-201 string", []amf.Value{"cam", "x", "y", "z"}, -2, -1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeHandler{}
			p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
			p.play(1, tt.args...)
			if tt.reset {
				p.status(1, CodePlayReset)
			}
			p.status(1, CodePlayStart)
			r := h.plays[0]
			if r.Start != tt.start || r.Duration != tt.duration || r.Reset != tt.reset || r.Path != "live/cam" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRefusedPlay(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code string
	}{
		{"C-197 not found", &StatusError{Code: CodePlayStreamNotFound, Description: "no such stream"}, CodePlayStreamNotFound},
		{"C-213 codec", &StatusError{Code: CodePlayFailed, Description: "the player cannot receive HEVC"}, CodePlayFailed},
		{"an internal error stays inside", errors.New("secret"), CodePlayFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHandler{onPlay: func(*ServerSession, *PlayRequest) error { return tt.err }}
				p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS, blockPLAY)
				st := p.status(1, tt.code)
				if st.Level != LevelError || strings.Contains(st.Description, "secret") {
					t.Errorf("%+v", st)
				}
				if err := p.closed("refused"); !errors.Is(err, tt.err) {
					t.Error(err)
				}
				if strings.Contains(p.transcript(), CodePlayStart) {
					t.Error("said that it plays")
				}
			})
		})
	}
}

func TestC203_Pause(t *testing.T) {
	for _, name := range []string{"pause", "pauseRaw"} {
		h := &fakeHandler{}
		p := playing(t, &Server{Handler: h})
		p.command(1, name, 0.0, nil, true, 1000.0).status(1, CodePauseNotify)
		p.command(1, name, 0.0, nil, false, 1000.0).status(1, CodeUnpauseNotify)
		if got := h.said()[3:]; !slices.Equal(got, []string{"pause true", "pause false"}) {
			t.Errorf("%q", got)
		}
		if got := p.transcript(); !strings.HasSuffix(got, "control(000100000001) onStatus@1(0 NetStream.Pause.Notify) control(000000000001) onStatus@1(0 NetStream.Unpause.Notify)") {
			t.Errorf("%s", got)
		}
	}
}

func TestC204_Receive(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	p.command(1, "receiveVideo", 0.0, nil, false)
	p.command(1, "receiveVideo", 0.0, nil, true).status(1, CodeSeekNotify)
	p.status(1, CodePlayStart)
	p.command(1, "receiveVideo", 0.0, nil, 0.0)
	p.command(1, "receiveVideo", 0.0, nil, 25.0).status(1, CodeSeekNotify)
	p.status(1, CodePlayStart)
	p.command(1, "receiveAudio", 0.0, nil, false).sync()
	if got := h.said()[3:]; !slices.Equal(got, []string{"video false", "video true", "video false", "video true", "audio false"}) {
		t.Errorf("%q", got)
	}
}

func TestC205_Seek(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	st := p.command(1, "seek", 0.0, nil, 5000.0).status(1, CodeSeekFailed)
	if st.Level != LevelError {
		t.Errorf("%+v", st)
	}
	p.sync()
}

func TestC206_SecondPlay(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	p.play(1, "other").status(1, CodePlayReset)
	p.status(1, CodePlayStart)
	p.sync()
	want := []string{
		"connect live", "play live/cam on 1", "start live/cam on 1",
		"play live/other on 1", "stop live/cam: replaced", "start live/other on 1",
	}
	if got := h.said(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	// One that is refused leaves what is played.
	h.onPlay = func(*ServerSession, *PlayRequest) error { return &StatusError{Code: CodePlayStreamNotFound} }
	p.play(1, "third").status(1, CodePlayStreamNotFound)
	p.sync()
	if got := h.said(); len(got) != len(want)+1 {
		t.Errorf("%q", got)
	}
}

func TestPlay2(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	p.command(1, "play2", 0.0, nil, object("streamName", "other", "transition", "switch"))
	p.status(1, CodePlayReset)
	p.status(1, CodePlayStart)
	p.status(1, CodePlayTransition)
	p.command(1, "play2", 0.0, nil, "x").status(1, CodePlayFailed)
	p.sync()
}

func TestC207_OneStreamForBoth(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	p.publish(1, "cam", "live").status(1, CodePublishBadName)
	p.sync()
	p = publishing(t, &Server{Handler: h})
	p.play(1, "cam").status(1, CodePlayFailed)
	p.send(blockVK).sync()
	if len(h.received()) != 1 || len(h.publishes) != 1 || len(h.plays) != 1 {
		t.Errorf("%q", h.said())
	}
}

func TestPublishAndPlayOnOneConnection(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.command(0, "createStream", 9.0, nil).expect("_result")
	p.play(2, "other").status(2, CodePlayReset)
	p.status(2, CodePlayStart)
	p.send(blockVK)
	p.command(2, "closeStream", 0.0, nil).sync()
	h.waitFor(t, "stop live/other: stopped")
	p.send(blockVK).sync()
	if len(h.received()) != 2 {
		t.Errorf("%q", h.said())
	}
}

func TestWaysToStopPlaying(t *testing.T) {
	for name, stop := range map[string]func(p *peer){
		"deleteStream": func(p *peer) { p.send(blockDEL) },
		"closeStream":  func(p *peer) { p.command(1, "closeStream", 0.0, nil) },
		"play(false)":  func(p *peer) { p.play(1, false) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHandler{}
				p := playing(t, &Server{Handler: h})
				stop(p)
				p.sync()
				if got := h.said()[3:]; !slices.Equal(got, []string{"stop live/cam: stopped"}) {
					t.Errorf("%q", got)
				}
				p.play(1, "cam").status(1, CodePlayReset)
				stop(p)
				began := time.Now()
				p.closed("timeout publish or play again")
				if d := time.Since(began); d != 30*time.Second {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
}

func TestC200_End(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	h.waitFor(t, "start live/cam on 1")
	s := h.session()
	if err := h.writers[0].End(); err != nil {
		t.Fatal(err)
	}
	p.status(1, CodePlayUnpublishNotify)
	p.status(1, CodePlayStop)
	if got := p.transcript(); !strings.Contains(got, "control(000100000001) onStatus@1(0 NetStream.Play.UnpublishNotify)") {
		t.Error(got)
	}
	end := errors.New("stream ended")
	s.Close(end)
	_ = p.nc.Close()
	if err := <-p.end; err != end {
		t.Error(err)
	}
	h.waitFor(t, "stop live/cam: stream ended")
	// What the logs are ended with is the same.
	if got := string(AppendPlayEnd(nil, 1, 65536)); !strings.Contains(got, CodePlayUnpublishNotify) || !strings.Contains(got, CodePlayStop) {
		t.Errorf("%q", got)
	}
}

func TestC266_NothingUnsolicited(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	h.session().Close(errors.New("kicked"))
	_ = p.nc.Close()
	<-p.end
	for _, word := range []string{"onBWDone", "onFCUnsubscribe", "Unpublish.Success", "type4@", "control(0004", "control(001a"} {
		if strings.Contains(p.transcript(), word) {
			t.Errorf("%s in %s", word, p.transcript())
		}
	}
}

func TestC211_PlayerLeavesAnywhere(t *testing.T) {
	whole := unhexString(blockCN + blockCS + blockPLAY)
	for n := range len(whole) + 1 {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake()
		p.write(whole[:n])
		_ = p.nc.Close()
		p.closed("peer")
		starts, stops := 0, 0
		for _, s := range h.said() {
			if strings.HasPrefix(s, "play ") {
				starts++
			} else if strings.HasPrefix(s, "stop ") {
				stops++
			}
		}
		if starts != stops {
			t.Fatalf("cut at %d: %q", n, h.said())
		}
	}
}

// detachedPlayer stands for a delivery engine: it takes the sending side over and
// writes to the connection from a goroutine of its own.
type detachedPlayer struct {
	mu   sync.Mutex // guards below
	nc   net.Conn
	sent [][]byte
}

func (d *detachedPlayer) take(s *ServerSession, t *testing.T) {
	nc, chunkSize := s.Detach(func(b []byte) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sent = append(d.sent, b)
		_, err := d.nc.Write(b)
		return err
	})
	if chunkSize != defaultChunkSize {
		t.Errorf("chunk size %d", chunkSize)
	}
	d.nc = nc
}

func TestDetach(t *testing.T) {
	var d detachedPlayer
	h := &fakeHandler{}
	h.onStart = func(s *ServerSession, _ *fakePlayback, _ *PlayWriter) {
		if d.nc == nil {
			d.take(s, t)
		}
	}
	p := playing(t, &Server{Handler: h}).sync()
	// Media straight to the connection, as the engine does.
	if _, err := d.nc.Write(AppendMessage(nil, &Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, 100)}, 65536)); err != nil {
		t.Fatal(err)
	}
	p.next("video", func(m *Message) bool { return m.Type == TypeVideo })
	// What the session says goes through send.
	p.sync()
	p.command(1, "pause", 0.0, nil, true).status(1, CodePauseNotify)
	p.play(1, "other").status(1, CodePlayReset)
	p.status(1, CodePlayStart)
	d.mu.Lock()
	if len(d.sent) != 4 {
		t.Errorf("%d pieces through send, want two pongs, pause and play", len(d.sent))
	}
	d.mu.Unlock()
	// A peer that speaks for long stays understood with the small buffer.
	for i := range 50 {
		p.command(1, "unknown", float64(i+100), nil, strings.Repeat("x", 700*(i%7)))
		if cmd := p.expect("_result"); cmd.tid != float64(i+100) {
			t.Fatalf("%+v", cmd)
		}
		<-time.After(0)
	}
	// Stopping ends the session, and the connection is not closed by it.
	p.command(1, "closeStream", 0.0, nil)
	p.closed("stopped")
	if _, err := d.nc.Write(AppendMessage(nil, &Message{Type: TypeAudio, StreamID: 1}, 65536)); err != nil {
		t.Errorf("the session closed the connection: %v", err)
	}
	want := []string{
		"connect live", "play live/cam on 1", "start live/cam on 1", "play live/other on 1",
		"stop live/cam: replaced", "start live/other on 1",
	}
	if got := h.said(); !slices.Equal(got[:6], want) && !slices.Contains(got, "stop live/other: stopped") {
		t.Errorf("%q", got)
	}
	_ = d.nc.Close()
}

func TestDetachedPlayerIsKicked(t *testing.T) {
	var d detachedPlayer
	h := &fakeHandler{}
	h.onStart = func(s *ServerSession, _ *fakePlayback, _ *PlayWriter) { d.take(s, t) }
	p := playing(t, &Server{Handler: h})
	kicked := &StatusError{Code: CodePlayFailed, Description: "kicked"}
	h.session().Close(kicked)
	p.status(1, CodePlayFailed)
	if err := <-p.end; !errors.Is(err, kicked) {
		t.Error(err)
	}
	h.waitFor(t, "stop live/cam: "+kicked.Error())
	if _, err := d.nc.Write([]byte{}); err != nil {
		t.Error(err)
	}
	_ = d.nc.Close()
}

func TestDetachedPlayerLeaves(t *testing.T) {
	var d detachedPlayer
	h := &fakeHandler{}
	h.onStart = func(s *ServerSession, _ *fakePlayback, _ *PlayWriter) { d.take(s, t) }
	p := playing(t, &Server{Handler: h})
	_ = p.nc.Close()
	p.closed("peer")
	h.waitFor(t, "stop live/cam: peer")
	_ = d.nc.Close()
}

func TestHandlersContext(t *testing.T) {
	h := &fakeHandler{}
	p := playing(t, &Server{Handler: h})
	s := h.session()
	cause := errors.New("some cause")
	s.Close(cause)
	_ = p.nc.Close()
	<-p.end
	<-s.ctx.Done()
	if got := fmt.Sprint(endOf(s.ctx, nil, "")); got != "some cause" {
		t.Error(got)
	}
}
