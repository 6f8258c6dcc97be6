package flvbody

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/fanout"
	"weir/internal/stream"
)

// bodies implements Framing and mux.Output: it notes what is written.
type bodies struct{ list []string }

// Size implements Framing.
func (*bodies) Size(_ time.Duration, n int) int { return n + 100 }

// Append implements Framing.
func (b *bodies) Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	if t != flv.TagScript {
		b.list = append(b.list, fmt.Sprintf("%v %x %x", dts, header, payload))
	}
	return append(dst, header...)
}

// AppendEnd implements Framing.
func (*bodies) AppendEnd(dst []byte) []byte { return dst }

// Reserve implements mux.Output.
func (*bodies) Reserve(n int) []byte { return make([]byte, 0, n) }

// Commit implements mux.Output.
func (b *bodies) Commit(_ []byte, m fanout.Message) {
	if m.Sync {
		b.list = append(b.list, "players may start")
	}
}

// TestRepair: with it a picture that comes in pieces is one body, without it each piece is passed on
// as it came.
func TestRepair(t *testing.T) {
	config := []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	frame := &av.Frame{Type: av.Config, Codec: av.H264, Payload: config}
	h := &stream.Headers{Tracks: []stream.TrackHeader{{
		Track: av.Track{Codec: av.H264, Config: config}, ConfigFrame: frame, Media: true,
	}}}
	sei, idr := []byte{0, 0, 0, 2, 6, 5}, []byte{0, 0, 0, 3, 0x65, 0x88, 0x84}
	for _, repair := range []bool{false, true} {
		var b bodies
		e := NewEncoder(Options{Repair: repair}, &b)
		for i, p := range [][]byte{sei, idr} {
			e.Append(&stream.Entry{Frame: av.Frame{Codec: av.H264, Flags: av.Key, Payload: p}, Sync: i == 0, Headers: h}, &b)
		}
		e.End(&b)
		first := "0s 1700000000 " + fmt.Sprintf("%x", config)
		want := []string{first, "0s 1701000000 000000020605", "players may start", "0s 1701000000 00000003658884"}
		if repair {
			want = []string{first, first, "0s 1701000000 00000002060500000003658884", "players may start"} // also in the preamble
		}
		if !slices.Equal(b.list, want) {
			t.Errorf("repair %v: %q", repair, b.list)
		}
	}
}
