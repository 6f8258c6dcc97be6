package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/rtmp"
)

func TestC132_SilentPublisherGivesWay(t *testing.T) {
	r := start(t, nil)
	old := r.mustPublish("live/a")
	publishSome(old, 0, 5)
	read := players["rtmp"](r, "live/a")
	collect(t, read, 5)
	p := r.mustPublish("live/a")
	want := publishSome(p, 0, 10)
	isRun(t, "the new publisher's video", collect(t, read, 10).video, want.video)
	select {
	case <-old.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the old publisher was not told")
	}
	var st *rtmp.StatusError
	if err := old.Err(); !errors.As(err, &st) || st.Code != rtmp.CodePublishFailed {
		t.Error(err)
	}
}

func TestC162_CodecChange(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 10)
	play := r.mustPlay("live/a")
	hevc := append([]byte("\x90hvc1"), make([]byte, 23)...)
	p.must(p.video(400, hevc))
	key := []byte("\x91hvc1\x00\x00\x00\x00\x00\x00\x02\x26\x01")
	p.must(p.video(400, key))
	for {
		m := next(t, play, rtmp.TypeVideo)
		if bytes.Equal(m.Payload, hevc) {
			break
		}
	}
	if m := next(t, play, rtmp.TypeVideo); !bytes.Equal(m.Payload, key) {
		t.Fatalf("%x", m.Payload)
	}
	if m := next(t, r.mustPlay("live/a"), rtmp.TypeVideo); !bytes.Equal(m.Payload, hevc) {
		t.Fatalf("a new player is given %x", m.Payload)
	}
}

func TestC163_KeyFrameBeforeItsHeader(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoFrame(true, 1, 100)))
	p.must(p.video(40, videoHeader))
	want := videoFrame(true, 2, 100)
	p.must(p.video(40, want))
	play := r.mustPlay("live/a")
	if m := next(t, play, rtmp.TypeVideo); !bytes.Equal(m.Payload, videoHeader) {
		t.Fatalf("%x", m.Payload)
	}
	if m := next(t, play, rtmp.TypeVideo); !bytes.Equal(m.Payload, want) {
		t.Fatalf("%x", m.Payload)
	}
}

func TestC179_HugeKeyFrame(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	want := videoFrame(true, 1, 6<<20)
	p.must(p.video(0, want))
	for name, open := range players {
		if got := collect(t, open(r, "live/a"), 1); !bytes.Equal(got.video[0], want) {
			t.Error(name, "differs")
		}
	}
}

func TestC182_CuesAreRelayedInOrderAndNotKept(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 5)
	play := r.mustPlay("live/a")
	next(t, play, rtmp.TypeVideo)
	names := []string{"onAdCue", "onScte35", "onCaptionInfo", "onFI", "onTextData"}
	for i, n := range names {
		body, err := amf.Append(nil, n, amf.Object{{Key: "i", Value: float64(i)}})
		if err != nil {
			t.Fatal(err)
		}
		p.must(p.WriteMessage(&rtmp.Message{Type: rtmp.TypeData, Timestamp: 200, Payload: body}))
	}
	p.must(p.video(240, videoFrame(true, 99, 100)))
	for _, want := range names {
		m := next(t, play, rtmp.TypeData)
		if v, _ := amf.DecodeAll(m.Payload, amf.Limits{}); v[0] == "onMetaData" {
			m = next(t, play, rtmp.TypeData)
			v, _ = amf.DecodeAll(m.Payload, amf.Limits{})
			if v[0] != want {
				t.Errorf("%v, want %s", v[0], want)
			}
		} else if v[0] != want {
			t.Errorf("%v, want %s", v[0], want)
		}
	}
	late := r.mustPlay("live/a")
	for {
		m, err := late.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == rtmp.TypeData && !bytes.Contains(m.Payload, []byte("onMetaData")) {
			t.Fatalf("a late player is given %q", m.Payload)
		}
		if m.Type == rtmp.TypeVideo && m.Payload[1] == 1 {
			return
		}
	}
}

func TestC193_CompositionTimesPassUnchanged(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	var want [][]byte
	for i, cts := range []int32{0, -40, 15000, 8388607} {
		b := videoFrame(i == 0, uint32(i), 100)
		b[2], b[3], b[4] = byte(cts>>16), byte(cts>>8), byte(cts)
		want = append(want, b)
		p.must(p.video(uint32(i*40), b))
	}
	isRun(t, "video", collect(t, players["rtmp"](r, "live/a"), 4).video, want)
}

func TestC194_ReturnWithTimesFromZero(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 10)
	play := r.mustPlay("live/a")
	next(t, play, rtmp.TypeVideo) // it has joined
	p.must(p.Close())
	publishSome(r.mustPublish("live/a"), 0, 10)
	last, frames := uint32(0), 0
	for frames < 20 {
		m := next(t, play, rtmp.TypeVideo)
		if m.Timestamp < last {
			t.Fatalf("time falls from %d to %d", last, m.Timestamp)
		}
		last = m.Timestamp
		if m.Payload[1] == 1 {
			frames++
		}
	}
}

func TestC195_HeadersOfALatePlayerHaveTheTimeOfItsFirstFrame(t *testing.T) {
	r := start(t, nil)
	publishSome(r.mustPublish("live/a"), 0, 25)
	r.arrived("live/a", 25)
	play := r.mustPlay("live/a")
	header := next(t, play, rtmp.TypeVideo)
	frame := next(t, play, rtmp.TypeVideo)
	if header.Payload[1] != 0 || header.Timestamp != frame.Timestamp || frame.Timestamp == 0 {
		t.Fatal(header.Timestamp, frame.Timestamp)
	}
}

func TestC215_HTTPFLVHead(t *testing.T) {
	r := start(t, nil)
	publishSome(r.mustPublish("live/a"), 0, 15)
	c, err := net.Dial("tcp", r.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, b := range []byte("GET /live/a.flv HTTP/1.0\r\n\r\n") { // byte by byte, and HTTP/1.0
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 13)
	if _, err := io.ReadFull(res.Body, head); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 || len(res.TransferEncoding) > 0 || res.ContentLength >= 0 || string(head[:5]) != "FLV\x01\x05" {
		t.Errorf("%v %x", res, head)
	}
}

func TestC216_LargeRequestHeads(t *testing.T) {
	r := start(t, nil)
	for name, head := range map[string]string{
		"one of 64 KiB": "X: " + strings.Repeat("x", 64<<10) + "\r\n",
		"10,000":        strings.Repeat("X: y\r\n", 10000),
	} {
		c, err := net.Dial("tcp", r.Addr("http").String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(c, "GET /live/a.flv HTTP/1.1\r\nHost: h\r\n%s\r\n", head)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(name, res, err)
		}
		c.Close()
	}
}

func TestC220_WebSocketMisbehaviour(t *testing.T) {
	for name, c := range map[string]struct {
		send   func(*websocket.Conn, *testing.T) error
		status websocket.StatusCode
	}{
		"text": {func(c *websocket.Conn, t *testing.T) error {
			return c.Write(t.Context(), websocket.MessageText, []byte("hello"))
		}, websocket.StatusUnsupportedData},
		"too large": {func(c *websocket.Conn, t *testing.T) error {
			return c.Write(t.Context(), websocket.MessageBinary, make([]byte, 8<<10))
		}, websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			publishSome(r.mustPublish("live/a"), 0, 15)
			ws, _, err := websocket.Dial(t.Context(), strings.Replace(r.httpURL("live/a.flv"), "http", "ws", 1), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			err = c.send(ws, t)
			for err == nil {
				_, _, err = ws.Read(t.Context())
			}
			// What the player had still under way may reset the connection before it reads why.
			if got := websocket.CloseStatus(err); got != c.status && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("closed with %v: %v", got, err)
			}
		})
	}
}

func TestC247_StopWithManySessions(t *testing.T) {
	r := start(t, nil)
	for i := range 20 {
		path := fmt.Sprintf("live/s%d", i)
		publishSome(r.mustPublish(path), 0, 12)
		for _, open := range players {
			collect(t, open(r, path), 1)
		}
	}
	begin := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("stopping took %v", d)
	}
	if n := r.sessions.Len(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestC265_MetadataIsAnECMAArray(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	body, err := amf.Append(nil, "onMetaData", amf.Object{{Key: "width", Value: 16.0}, {Key: "title", Value: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	p.must(p.WriteMessage(&rtmp.Message{Type: rtmp.TypeData, Payload: body}))
	publishSome(p, 0, 15)
	m := next(t, r.mustPlay("live/a"), rtmp.TypeData)
	vs, err := amf.DecodeAll(m.Payload, amf.Limits{})
	if err != nil || len(vs) != 2 {
		t.Fatal(vs, err)
	}
	a, ok := vs[1].(amf.ECMAArray)
	if title, _ := a.GetString("title"); !ok || vs[0] != "onMetaData" || title != "x" {
		t.Fatalf("%#v", vs)
	}
}

func TestC274_FLVFlagsTellTheTracks(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	body, err := amf.Append(nil, "onMetaData", amf.Object{{Key: "videocodecid", Value: 7.0}})
	if err != nil {
		t.Fatal(err)
	}
	p.must(p.WriteMessage(&rtmp.Message{Type: rtmp.TypeData, Payload: body}))
	p.must(p.video(0, videoHeader))
	p.must(p.video(0, videoFrame(true, 0, 100)))
	res, err := http.Get(r.httpURL("live/a.flv"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h, err := flv.NewReader(res.Body).Header()
	if err != nil || h.HasAudio || !h.HasVideo {
		t.Fatal(h, err)
	}
}

// TestC268_ReturnWithinASecondKeepsTheGap publishes again at once with times that go on.
func TestC268_ReturnWithinASecondKeepsTheGap(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 10)
	play := r.mustPlay("live/a")
	p.must(p.Close())
	p = r.mustPublish("live/a")
	p.must(p.video(10000, videoHeader))
	p.must(p.audio(10000, audioHeader))
	for i := range uint32(10) {
		p.must(p.video(10000+i*40, videoFrame(i%10 == 0, 10+i, 100)))
	}
	var last uint32
	for {
		m := next(t, play, rtmp.TypeVideo)
		if m.Payload[1] == 0 {
			continue
		}
		if last > 0 && m.Timestamp-last > 2000 {
			t.Fatalf("a gap from %d to %d", last, m.Timestamp)
		}
		last = m.Timestamp
		if binary.BigEndian.Uint32(m.Payload[10:]) == 19 {
			return
		}
	}
}

// A player that has said which codecs it knows is told when the stream changes to another;
// one that has said nothing goes on.
func TestC162_PlayerThatLacksTheNewCodec(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 10)
	c, err := rtmp.Dial(t.Context(), r.url("live/a"), rtmp.DialOptions{Caps: &rtmp.Caps{FourCCs: []string{"av01"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	choosy, err := c.Play(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := r.mustPlay("live/a")
	next(t, choosy, rtmp.TypeVideo)
	next(t, other, rtmp.TypeVideo)
	p.must(p.video(400, append([]byte("\x90hvc1"), make([]byte, 23)...)))
	key := []byte("\x91hvc1\x00\x00\x00\x00\x00\x00\x02\x26\x01")
	p.must(p.video(400, key))
	for {
		if _, err = choosy.ReadMessage(); err != nil {
			break
		}
	}
	var st *rtmp.StatusError
	if !errors.As(err, &st) || st.Code != rtmp.CodePlayFailed || !strings.Contains(st.Description, av.H265.String()) {
		t.Errorf("the player was told %v", err)
	}
	for !bytes.Equal(next(t, other, rtmp.TypeVideo).Payload, key) {
	}
	r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="unsupported",role="play"}`, "1")
}
