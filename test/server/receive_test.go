package server_test

import (
	"testing"

	"weir/rtmp"
)

// TestReceiveNothing has a player ask for neither sound nor video, and then for video again:
// it is sent nothing in between, and goes on at a key frame.
func TestReceiveNothing(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	p.must(p.video(0, videoHeader))
	p.must(p.video(0, videoFrame(true, 0, 50)))
	r.arrived("live/a", 1)
	peer := r.raw().connect("live")
	peer.command(1, "play", 3.0, nil, "a").status(rtmp.CodePlayReset)
	peer.status(rtmp.CodePlayStart)
	peer.command(1, "receiveAudio", 4.0, nil, false)
	peer.command(1, "receiveVideo", 5.0, nil, false)
	// An answer may overtake what the command before it asked the worker for; not so the
	// last of several.
	for tid := 10.0; tid < 20; tid++ {
		peer.command(0, "createStream", tid, nil)
		peer.result(tid)
	}
	p.must(p.video(40, videoFrame(true, 1, 50)))
	p.must(p.video(80, videoFrame(false, 2, 50)))
	r.arrived("live/a", 3)
	peer.command(1, "receiveVideo", 7.0, nil, true)
	peer.command(0, "createStream", 8.0, nil)
	for done := false; !done; {
		m, err := peer.next()
		p.must(err)
		if m.Type == rtmp.TypeVideo && len(m.Payload) >= 50 {
			if n, _ := numberOf(m.Payload); n != 0 {
				t.Fatalf("frame %d was sent to a player that wanted nothing", n)
			}
		}
		done = m.Type == rtmp.TypeCommand && len(m.Payload) > 8 && string(m.Payload[3:10]) == "_result"
	}
	p.must(p.video(120, videoFrame(false, 3, 50)))
	p.must(p.video(160, videoFrame(true, 4, 50)))
	for {
		m, err := peer.next()
		p.must(err)
		if m.Type != rtmp.TypeVideo || len(m.Payload) < 50 {
			continue
		}
		if n, key := numberOf(m.Payload); n != 4 || !key {
			t.Fatalf("frame %d, key %v, comes first", n, key)
		}
		return
	}
}
