package httpts

import (
	"testing"

	"weir/av"
	"weir/codec"
	"weir/internal/fanout"
	"weir/internal/stream"
)

// taken is an output that keeps what it is given.
type taken struct {
	list  [][]byte
	syncs []bool
}

// Reserve implements mux.Output.
func (m *taken) Reserve(n int) []byte { return make([]byte, 0, n) }

// Commit implements mux.Output.
func (m *taken) Commit(b []byte, msg fanout.Message) {
	m.list, m.syncs = append(m.list, b), append(m.syncs, msg.Sync)
}

// TestPlayersMayStartWithSoundWhileTheVideoStandsStill: where the stream says so, tables come
// before the sound, and players may start there.
func TestPlayersMayStartWithSoundWhileTheVideoStandsStill(t *testing.T) {
	h := &stream.Headers{}
	for _, c := range []struct {
		kind  av.Kind
		codec av.Codec
		name  string
	}{{av.Video, av.H264, "h264-high.config"}, {av.Audio, av.AAC, "aac-44100-2.config"}} {
		track, err := codec.Describe(c.codec, c.kind, testFrame(t, c.name))
		if err != nil {
			t.Fatal(err)
		}
		h.Tracks = append(h.Tracks, stream.TrackHeader{Track: track})
	}
	sound := av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: testFrame(t, "aac-44100-2.key")}
	var out taken
	e := variant{}.NewEncoder()
	for _, sync := range []bool{false, true, false} {
		e.Append(&stream.Entry{Frame: sound, Sync: sync, Headers: h}, &out)
	}
	if len(out.syncs) != 3 {
		t.Fatal(len(out.syncs), "messages")
	}
	for i, want := range []bool{false, true, false} {
		if out.syncs[i] != want {
			t.Errorf("message %d: players may start there: %t, want %t", i, out.syncs[i], want)
		}
	}
	if b := out.list[1]; b[1]&0x1f != 0 || b[2] != 0 {
		t.Error("tables do not come first")
	}
}
