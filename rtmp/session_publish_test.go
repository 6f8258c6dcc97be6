package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
)

// pong waits until the server has acted on everything sent before.
func (p *peer) sync() *peer {
	p.t.Helper()
	p.send(blockPING)
	p.next("pong", func(m *Message) bool { return m.Type == TypeUserControl && m.Payload[1] == eventPingResponse })
	return p
}

// publish sends the command; an absent kind is not sent.
func (p *peer) publish(streamID uint32, args ...amf.Value) *peer {
	p.t.Helper()
	return p.command(streamID, append([]amf.Value{"publish", 5.0, nil}, args...)...)
}

func TestC123_PublishIsAnsweredAfterAdmission(t *testing.T) {
	h := &fakeHandler{}
	var p *peer
	var before string
	h.onPublish = func(*ServerSession, *PublishRequest) error { before = p.transcript(); return nil }
	p = serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
	p.expect("_result")
	p.expect("_result")
	p.send(blockPUB)
	st := p.status(1, CodePublishStart)
	if strings.Contains(before, "onStatus") {
		t.Errorf("before the decision: %s", before)
	}
	if d, _ := st.Properties.GetString("details"); d != "cam" || st.Level != LevelStatus {
		t.Errorf("%+v", st)
	}
	want := "type5@0 type6@0 type1@0 _result@0(1 NetConnection.Connect.Success) _result@0(2 1) control(000000000001) onStatus@1(0 NetStream.Publish.Start)"
	if got := p.transcript(); got != want {
		t.Errorf("%s", got)
	}
	r := h.publishes[0]
	if r.Path != "live/cam" || r.Kind != "live" || r.StreamID != 1 || r.RawName != "cam" || h.session().Kind() != KindPublisher {
		t.Errorf("%+v", r)
	}
}

func TestMediaInOrder(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.send(blockMETA, blockVSH, blockASH, blockVK, blockAR)
	p.media(Message{Type: TypeAudio, StreamID: 1}) // Enhanced RTMP's silence
	p.sync()
	got := h.received()
	if len(got) != 6 {
		t.Fatalf("%d messages", len(got))
	}
	if m := got[0]; m.Type != TypeData || !m.SetDataFrame || !strings.HasPrefix(string(m.Payload), "\x02\x00\x0aonMetaData\x08") {
		t.Errorf("%+v", m)
	}
	for i, block := range []string{blockVSH, blockASH, blockVK, blockAR} {
		if string(got[i+1].Payload) != string(unhexString(block)[12:]) || got[i+1].StreamID != 1 {
			t.Errorf("message %d: %x", i+1, got[i+1].Payload)
		}
	}
	if len(got[5].Payload) != 0 {
		t.Error("silence has a payload")
	}
}

func TestC128_MediaRightBehindPublish(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake()
	p.send(blockCN, blockCS, blockPUB, blockVSH, blockVK)
	p.sync()
	if n := len(h.received()); n != 2 {
		t.Errorf("%d messages", n)
	}
}

func TestC124_PublishKinds(t *testing.T) {
	for _, tt := range []struct {
		args []amf.Value
		want string
	}{
		{[]amf.Value{"cam"}, "live"},
		{[]amf.Value{"cam", nil}, "live"},
		{[]amf.Value{"cam", "bogus"}, "live"},
		{[]amf.Value{"cam", 5.0}, "live"},
		{[]amf.Value{"cam", "record"}, "record"}, // C-152: the application decides what to record
		{[]amf.Value{"cam", "append"}, "append"},
		{[]amf.Value{"cam", "appendWithGap"}, "append"},
	} {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
		p.publish(1, tt.args...)
		p.status(1, CodePublishStart)
		if got := h.publishes[0].Kind; got != tt.want {
			t.Errorf("%v: %s", tt.args, got)
		}
	}
}

func TestC125_PublishWithoutCreateStream(t *testing.T) {
	for id, want := range map[uint32]uint32{0: 1, 1: 1, 9: 9} {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake().send(blockCN)
		p.publish(id, "cam", "live")
		p.status(want, CodePublishStart)
		p.media(Message{Type: TypeVideo, StreamID: id, Payload: []byte("v")}).sync()
		if got := h.received(); len(got) != 1 || got[0].StreamID != want {
			t.Errorf("stream %d: %+v", id, got)
		}
	}
}

func TestC070_StreamIDInTheWrongByteOrder(t *testing.T) {
	var events []Event
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h, Observe: func(e Event) { events = append(events, e) }})
	for range 3 {
		p.media(Message{Type: TypeVideo, StreamID: 1 << 24, Payload: []byte("v")})
	}
	p.sync()
	if got := h.received(); len(got) != 3 || got[0].StreamID != 1 {
		t.Errorf("%+v", got)
	}
	if len(events) != 1 || events[0].Kind != EventAnomaly || events[0].Detail != noteStreamID {
		t.Errorf("%+v", events)
	}
}

func TestC127_StrayMedia(t *testing.T) {
	for name, setup := range map[string]string{
		"after the handshake": "", "after connect": blockCN, "after createStream": blockCN + blockCS, "a player's (C-208)": blockCN + blockCS + blockPLAY,
	} {
		for _, block := range []string{blockVK, blockAR, blockMETA, "060000000000010901000000" + "17", "040000000000010801000000" + "af"} {
			h := &fakeHandler{}
			p := serve(t, &Server{Handler: h}).handshake()
			p.background(func() { p.try(unhexString(setup + strings.Repeat(block, 101))) })
			p.closed("limit")
			if len(h.received()) != 0 {
				t.Errorf("%s: delivered", name)
			}
		}
	}
}

func TestStrayBytes(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
	p.expect("_result")
	p.background(func() {
		for range 20 {
			p.try(encode(&Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, 64<<10)}))
		}
	})
	p.closed("limit")
}

func TestBytesBeforeConnect(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
	p.background(func() { p.try(encode(&Message{Type: TypeVideo, StreamID: 1, Payload: make([]byte, 300<<10)})) })
	p.closed("limit")
}

func TestRefusedPublish(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code string
		text string
	}{
		{"C-129 busy", &StatusError{Code: CodePublishBadName, Description: "live/cam is published already"}, CodePublishBadName, "live/cam is published already"},
		{"C-122 denied", &StatusError{Code: CodePublishDenied, Description: "key"}, CodePublishDenied, "key"},
		{"wrapped", fmt.Errorf("asking: %w", &StatusError{Code: CodePublishDenied}), CodePublishDenied, ""},
		{"who was asked did not answer", fmt.Errorf("asking: %w", context.DeadlineExceeded), CodePublishFailed, "the stream cannot be published"},
		{"who was asked hung up", fmt.Errorf("asking: %w", io.ErrUnexpectedEOF), CodePublishFailed, "the stream cannot be published"},
		{"an internal error stays inside", errors.New("dial tcp 10.0.0.7: refused"), CodePublishFailed, "the stream cannot be published"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHandler{onPublish: func(*ServerSession, *PublishRequest) error { return tt.err }}
				p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS, blockPUB)
				began := time.Now()
				st := p.status(1, tt.code)
				if st.Level != LevelError || st.Description != tt.text {
					t.Errorf("%+v", st)
				}
				if err := p.closed("refused"); !errors.Is(err, tt.err) {
					t.Error(err)
				}
				if d := time.Since(began); d > 500*time.Millisecond {
					t.Errorf("lingered %v", d)
				}
				if strings.Contains(p.transcript(), CodePublishStart) {
					t.Error("said that it was live")
				}
				if slices.ContainsFunc(h.said(), func(s string) bool { return strings.HasPrefix(s, "unpublish") }) {
					t.Error(h.said())
				}
			})
		})
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []amf.Value{
		"", "?", "?key=1", strings.Repeat("n", 256), strings.Repeat("n", 4096), "../x", "a//b", "a\x00b", "a\r\n\x1b[31m", nil, false, 5.0,
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &fakeHandler{}
			p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCS)
			p.publish(1, name)
			p.status(1, CodePublishBadName)
			p.closed("refused")
			if len(h.publishes) != 0 {
				t.Errorf("%.20v: the handler was asked", name)
			}
		})
	}
}

func TestC133_Republish(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	for range 3 {
		p.send(blockVSH, blockVK, blockFCU)
		p.expect("onFCUnpublish")
		p.send(blockDEL, blockCS)
		if cmd := p.expect("_result"); cmd.arg(0) != 1.0 {
			p.expect("_result")
		}
		p.send(blockPUB)
		p.status(1, CodePublishStart)
	}
	p.send(blockVK).sync()
	want := []string{"connect live"}
	for range 3 {
		want = append(want, "publish live/cam on 1", "unpublish live/cam: unpublished")
	}
	want = append(want, "publish live/cam on 1")
	if got := h.said(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n := len(h.received()); n != 7 {
		t.Errorf("%d messages", n)
	}
}

func TestC134_PublishTwiceOnOneStream(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.publish(1, "other", "live")
	p.status(1, CodePublishBadName)
	p.publish(1, "cam", "live") // said twice
	p.status(1, CodePublishStart)
	p.send(blockVK).sync()
	if len(h.received()) != 1 || len(h.publishes) != 1 {
		t.Errorf("%q", h.said())
	}
}

func TestC135_EmptyPublishStops(t *testing.T) {
	for _, name := range []amf.Value{"", nil, false} {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		p.publish(1, name)
		p.status(1, CodeUnpublishSuccess)
		if got := h.said(); !slices.Equal(got, []string{"connect live", "publish live/cam on 1", "unpublish live/cam: unpublished"}) {
			t.Errorf("%q", got)
		}
		p.send(blockPUB)
		p.status(1, CodePublishStart)
	}
}

func TestWaysToStopPublishing(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(p *peer)
	}{
		{"FCUnpublish", func(p *peer) { p.send(blockFCU).expect("onFCUnpublish") }},
		{"C-271 FCUnpublish of another name", func(p *peer) { p.command(0, "FCUnpublish", 5.0, nil, "other").expect("onFCUnpublish") }},
		{"deleteStream", func(p *peer) { p.send(blockDEL) }},
		{"C-136 deleteStream of another stream", func(p *peer) { p.command(0, "deleteStream", 0.0, nil, 77.0) }},
		{"C-136 deleteStream without argument", func(p *peer) { p.command(1, "deleteStream", 0.0, nil) }},
		{"C-136 deleteStream with a string", func(p *peer) { p.command(0, "deleteStream", 0.0, nil, "1") }},
		{"C-137 closeStream", func(p *peer) { p.command(1, "closeStream", 0.0, nil).status(1, CodeUnpublishSuccess) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeHandler{}
			p := publishing(t, &Server{Handler: h}).send(blockVK)
			tt.stop(p)
			p.sync()
			h.waitFor(t, "unpublish live/cam: unpublished")
			if n := strings.Count(strings.Join(h.said(), "\n"), "unpublish live"); n != 1 {
				t.Errorf("%q", h.said())
			}
			// The connection goes on.
			p.publish(1, "cam", "live").status(1, CodePublishStart)
		})
	}
}

func TestC139_TwoStreams(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.command(0, "createStream", 9.0, nil)
	if cmd := p.expect("_result"); cmd.arg(0) != 2.0 {
		t.Fatalf("%+v", cmd)
	}
	p.publish(2, "other", "live").status(2, CodePublishStart)
	p.media(Message{Type: TypeVideo, StreamID: 2, Payload: []byte("two")})
	p.media(Message{Type: TypeVideo, StreamID: 1, Payload: []byte("one")})
	p.sync()
	for i, m := range h.received() {
		if want := []string{"two", "one"}[i]; string(m.Payload) != want || m.StreamID != []uint32{2, 1}[i] {
			t.Errorf("%+v", m)
		}
	}
	// C-271: of two, only the one that is named.
	p.command(0, "FCUnpublish", 0.0, nil, "nobody").sync()
	p.command(0, "FCUnpublish", 0.0, nil, "other").sync()
	h.waitFor(t, "unpublish live/other: unpublished")
	p.media(Message{Type: TypeVideo, StreamID: 1, Payload: []byte("goes on")}).sync()
	if got := h.said(); slices.Contains(got, "unpublish live/cam: unpublished") || len(h.received()) != 3 {
		t.Errorf("%q", got)
	}
	// One refused does not take the other with it.
	h.onPublish = func(*ServerSession, *PublishRequest) error { return &StatusError{Code: CodePublishDenied} }
	p.publish(2, "third", "live").status(2, CodePublishDenied)
	p.media(Message{Type: TypeVideo, StreamID: 1, Payload: []byte("still")}).sync()
	if len(h.received()) != 4 {
		t.Error("the other stream was ended")
	}
	_ = p.nc.Close()
	p.closed("peer")
	h.waitFor(t, "unpublish live/cam: peer")
}

func TestC138_StopAndReset(t *testing.T) {
	ln := listen(t)
	h := &fakeHandler{}
	causes := serveListener(t, ln, &Server{Handler: h})
	for range 20 {
		c, err := Dial(t.Context(), "rtmp://"+ln.Addr().String()+"/live/cam", DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = p.WriteMessage(&Message{Type: TypeVideo, Payload: []byte("v")})
		_ = c.conn.WriteMessages(resultMessage("FCUnpublish", 8, nil, "cam"), resultMessage("deleteStream", 9, nil, 1.0))
		nc := c.conn.nc
		if tcp, ok := nc.(interface{ SetLinger(int) error }); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		if err := <-causes; !errors.Is(err, ErrClosedByPeer) {
			t.Error(err)
		}
	}
}

func TestDataMessages(t *testing.T) {
	data := func(values ...amf.Value) []byte {
		b, err := amf.Append(nil, values...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	meta := amf.ECMAArray(object("width", 16.0))
	for _, tt := range []struct {
		name string
		typ  MessageType
		in   []byte
		want []byte // nil: dropped
		set  bool
	}{
		{"@setDataFrame", TypeData, data("@setDataFrame", "onMetaData", meta), data("onMetaData", meta), true},
		{"onMetaData itself", TypeData, data("onMetaData", meta), data("onMetaData", meta), false},
		{"AMF3 type", TypeDataAMF3, append([]byte{0}, data("@setDataFrame", "onMetaData", meta)...), data("onMetaData", meta), true},
		{"AMF3 type without format byte", TypeDataAMF3, data("onMetaData", meta), data("onMetaData", meta), false},
		{"@clearDataFrame", TypeData, data("@clearDataFrame", "onMetaData"), data("@clearDataFrame", "onMetaData"), false},
		{"|RtmpSampleAccess", TypeData, data("|RtmpSampleAccess", true, true), nil, false},
		{"onTextData", TypeData, data("onTextData", meta), data("onTextData", meta), false},
		{
			"C-277 additionalMedia", TypeData, append(data("additionalMedia"), unhexString("03000464617461110c0768690000000009")...),
			append(data("additionalMedia"), unhexString("03000464617461110c0768690000000009")...), false,
		},
		{"no name", TypeData, data(5.0), nil, false},
		{"empty", TypeData, []byte{}, nil, false},
		{"cut", TypeData, []byte{2, 0, 9, 'o'}, nil, false},
		{"@setDataFrame alone", TypeData, data("@setDataFrame"), nil, false},
		{"C-156 too long", TypeData, data("onMetaData", strings.Repeat("x", 65_000), strings.Repeat("x", 65_000)), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeHandler{}
			p := publishing(t, &Server{Handler: h})
			p.media(Message{Type: tt.typ, StreamID: 1, Timestamp: 7, Payload: tt.in}).send(blockVK).sync()
			got := h.received()
			if tt.want == nil {
				if len(got) != 1 || got[0].Type != TypeVideo {
					t.Fatalf("%+v", got)
				}
				if n := h.session().Stats().Data; n != 1 && tt.name != "|RtmpSampleAccess" {
					t.Errorf("%d counted", n)
				}
				return
			}
			if len(got) != 2 {
				t.Fatalf("%d messages", len(got))
			}
			if m := got[0]; string(m.Payload) != string(tt.want) || m.SetDataFrame != tt.set || m.Type != TypeData || m.Timestamp != 7 {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestC183_TooManyDataMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		block := encode(&Message{Type: TypeData, StreamID: 1, Payload: append([]byte("\x02\x00\x01x\x0c\x00\x00\xff\x00"), make([]byte, 0xff00)...)})
		for range 5 {
			for range 1000 {
				p.write(block)
			}
			p.send(blockVK)
			<-time.After(time.Second)
		}
		p.sync()
		video, data := 0, 0
		for _, m := range h.received() {
			if m.Type == TypeVideo {
				video++
			} else {
				data++
			}
		}
		if video != 5 || data < 5*200 || data > 400+5*200 {
			t.Errorf("%d video, %d data", video, data)
		}
		if n := h.session().Stats().Data; int(n)+data != 5000 {
			t.Errorf("%d dropped", n)
		}
	})
}

func TestHandlerEndsPublishing(t *testing.T) {
	h := &fakeHandler{onMessage: func(*Message) error { return &StatusError{Code: CodePublishFailed, Description: "too much"} }}
	p := publishing(t, &Server{Handler: h}).send(blockVK)
	if st := p.status(1, CodePublishFailed); st.Description != "too much" {
		t.Errorf("%+v", st)
	}
	<-p.end
}

func TestC272_KickedPublisher(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	s := h.session()
	kicked := &StatusError{Code: CodePublishFailed, Description: "another publisher took over"}
	s.Close(kicked)
	s.Close(errors.New("second cause"))
	p.status(1, CodePublishFailed)
	if err := <-p.end; !errors.Is(err, kicked) {
		t.Error(err)
	}
	if strings.Contains(p.transcript(), CodeUnpublishSuccess) {
		t.Error("an unsolicited Unpublish.Success")
	}
	h.waitFor(t, "unpublish live/cam: "+kicked.Error())
}
