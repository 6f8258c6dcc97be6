package flv

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"weir/av"
)

func TestTimestampsUnwrap(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []uint32
		want []time.Duration // ms
	}{
		{"wrap at 2^32", []uint32{0x7FFFFFF0, 0xFFFFFFE0, 0xFFFFFFFF, 3, 20}, []time.Duration{0x7FFFFFF0, 0xFFFFFFE0, 0xFFFFFFFF, 0x100000003, 0x100000014}},
		{"back and forth over it", []uint32{0x7FFFFFF0, 0xFFFFFFE0, 10, 0xFFFFFFF8, 30}, []time.Duration{0x7FFFFFF0, 0xFFFFFFE0, 0x10000000A, 0xFFFFFFF8, 0x10000001E}},
		{"begins below 0", []uint32{0xFFFFFFD8, 0, 40}, []time.Duration{-40, 0, 40}},
		{"steps back", []uint32{1000, 960, 1040}, []time.Duration{1000, 960, 1040}},
	} {
		in := AppendFileHeader(nil, true, false)
		for _, ts := range c.in {
			in = AppendTag(in, TagAudio, ts, []byte{0x72}, []byte{1})
		}
		r := NewFrameReader(bytes.NewReader(in))
		for i, want := range c.want {
			f, err := r.ReadFrame()
			if err != nil || f.DTS != want*ms || f.PTS != want*ms {
				t.Errorf("%s, frame %d: %+v, %v, want %d", c.name, i, f, err, want)
			}
		}
	}
}

func TestFrameReaderGoesOn(t *testing.T) {
	in := AppendFileHeader(nil, true, true)
	for _, b := range []string{"af01aa", "af02aa", "af", "91" + "78797a77" + "00"} {
		in = AppendTag(in, TagAudio, 0, nil, unhex(b))
	}
	in = AppendTag(in, TagVideo, 0, nil, unhex("961361766331"+"00000001aa"+"01000001bb"+"0200ff"))
	in = AppendTag(in, TagVideo|0x20, 0, nil, unhex("1701"))
	in = append(in, "rubbish"...)
	in = AppendTag(in, TagAudio, 0, nil, unhex("af01bb"))
	r := NewFrameReader(bytes.NewReader(in))
	var got []*av.Frame
	for {
		f, err := r.ReadFrame()
		if err != nil {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		got = append(got, f)
	}
	if len(got) != 4 || got[0].Payload[0] != 0xAA || got[1].Track != 0 || got[2].Track != 1 || got[3].Payload[0] != 0xBB {
		t.Errorf("%+v", got)
	}
	if r.Dropped() != 5 || r.Skipped() != 7 {
		t.Errorf("%d dropped, %d skipped", r.Dropped(), r.Skipped())
	}
}

type failing struct{ n int }

func (w *failing) Write(p []byte) (int, error) {
	if w.n--; w.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestWriterErrors(t *testing.T) {
	w := NewWriter(&failing{1}, Form{SingleTrack: true}, true, false)
	f := &av.Frame{Kind: av.Audio, Codec: av.PCMA, Payload: []byte{1}}
	if err := w.WriteFrame(f); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFrame(&av.Frame{Kind: av.Audio, Codec: av.AAC, Track: 1}); !errors.Is(err, ErrForm) {
		t.Error(err)
	}
	for range 2 {
		if err := w.WriteFrame(f); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
}

func TestWriterWritesOnceATag(t *testing.T) {
	var out writes
	w := NewWriter(&out, Form{}, true, true)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, tag := range someTags(2) {
		if err := w.WriteTag(tag.Type, tag.Timestamp, tag.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil || len(out) != 3 || out[0] != 13 {
		t.Errorf("writes of %v bytes, %v", out, err)
	}
}

type writes []int

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, len(p))
	return len(p), nil
}
