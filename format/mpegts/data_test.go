package mpegts

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// tag is an ID3v2.4 tag with one text frame.
var tag = []byte("ID3\x04\x00\x00\x00\x00\x00\x15TXXX\x00\x00\x00\x0b\x00\x00\x03name\x00value")

// splice returns a splice_null of SCTE-35, padded to n bytes at least.
func splice(n int) []byte {
	body := append([]byte{0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0, 0}, bytes.Repeat([]byte{0}, max(n-20, 2))...)
	b := append([]byte{tableSCTE35, 0x30 | byte((len(body)+4)>>8), byte(len(body) + 4)}, body...)
	return binary.BigEndian.AppendUint32(b, crc(b))
}

// TestData writes and reads data beside video; ffprobe finds both.
func TestData(t *testing.T) {
	v := sourceNamed(t, "h264-high")
	m := newMuxer(t, Options{}, v.track, av.Track{Kind: av.Data, Codec: ID3}, av.Track{Kind: av.Data, ID: 1, Codec: SCTE35})
	var in []av.Frame
	for _, f := range v.frames(50, 0) {
		in = append(in, f)
		switch f.DTS {
		case 400 * time.Millisecond:
			in = append(in, av.Frame{Kind: av.Data, Codec: ID3, DTS: f.DTS, PTS: f.PTS, Payload: tag})
		case 600 * time.Millisecond, 800 * time.Millisecond:
			in = append(in, av.Frame{Kind: av.Data, Track: 1, Codec: SCTE35, DTS: f.DTS, PTS: f.PTS, Payload: splice(int(f.DTS / time.Millisecond))})
		}
	}
	b := write(t, m, in)
	checkCadence(t, b, 100*time.Millisecond)
	fs, c := demux(b)
	if c != (Counters{Packets: c.Packets}) {
		t.Errorf("%+v", c)
	}
	got := media(fs, av.Data)
	if len(got) != 3 {
		t.Fatalf("%d frames of data", len(got))
	}
	if f := got[0]; f.Codec != ID3 || f.Track != 0 || !bytes.Equal(f.Payload, tag) || f.PTS != 600*time.Millisecond {
		t.Errorf("%v %d at %v: %q", f.Codec, f.Track, f.PTS, f.Payload)
	}
	for i, f := range got[1:] {
		if f.Codec != SCTE35 || f.Track != 1 || !bytes.Equal(f.Payload, splice(600+200*i)) {
			t.Errorf("%v %d at %v: %q", f.Codec, f.Track, f.PTS, f.Payload)
		}
	}
	probe := run(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", save(t, "data.ts", b))
	for _, name := range []string{"h264", "timed_id3", "scte_35"} {
		if !strings.Contains(probe, name) {
			t.Errorf("ffprobe finds no %s: %q", name, probe)
		}
	}
}
