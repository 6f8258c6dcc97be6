package mpegts

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec/ac3"
)

// pes makes the packets of one PES packet of sound on the first PID.
func pes(o *output, pts int64, payload []byte) []byte {
	w := pesWriter{out: o}
	w.begin(pts, pts, len(payload))
	w.write(payload)
	return w.dst
}

// TestFramesAcrossPES cuts sound into PES packets without regard for its frames, as
// broadcast multiplexers do: each frame comes out once, at its time.
func TestFramesAcrossPES(t *testing.T) {
	for _, name := range []string{"aac-48000-1", "mp3-44100-1", "ac3-48000-2", "eac3-48000-2"} {
		for _, size := range []int{50, 333, 1000, 5000} {
			s := sourceNamed(t, name)
			m := newMuxer(t, Options{}, s.track)
			o := m.outputs[0]
			frames := s.frames(60, 0)
			var stream []byte
			var starts []int
			for i := range frames {
				starts = append(starts, len(stream))
				stream = append(o.appendControl(stream, &frames[i]), frames[i].Payload...)
			}
			b := m.AppendTables(nil)
			for at := 0; at < len(stream); at += size {
				i, _ := slices.BinarySearch(starts, at) // the first that begins in this PES packet
				pts := frames[min(i, len(frames)-1)].DTS
				b = append(b, pes(o, ticks(pts), stream[at:min(at+size, len(stream))])...)
			}
			got, c := demux(b)
			got = media(got, av.Audio)
			if len(got) != len(frames) || c.BadFrames > 0 {
				t.Errorf("%s in %d bytes: %d frames, %+v", name, size, len(got), c)
				continue
			}
			for i, f := range got {
				if d := f.DTS - frames[i].DTS; max(d, -d) > time.Second/clockRate+1 || !bytes.Equal(f.Payload, frames[i].Payload) {
					t.Errorf("%s in %d bytes: frame %d at %v, not %v", name, size, i, f.DTS, frames[i].DTS)
					break
				}
			}
		}
	}
}

// TestSoundResync puts rubbish between frames of sound.
func TestSoundResync(t *testing.T) {
	for _, name := range []string{"aac-48000-1", "mp3-44100-1", "ac3-48000-2"} {
		s := sourceNamed(t, name)
		m := newMuxer(t, Options{}, s.track)
		o := m.outputs[0]
		frames := s.frames(6, 0)
		rubbish := []byte("\xff\xf1\x50rubbish\x0b\x77\xff\xfb")
		var stream []byte
		for i := range frames {
			if i%3 == 0 {
				stream = append(stream, rubbish...)
			}
			stream = append(o.appendControl(stream, &frames[i]), frames[i].Payload...)
		}
		got, c := demux(append(m.AppendTables(nil), pes(o, 0, stream)...))
		if got = media(got, av.Audio); len(got) != len(frames) || c.BadFrames == 0 {
			t.Errorf("%s: %d frames, %+v", name, len(got), c)
		}
	}
}

// TestDependentSubstreams keeps the substreams of an E-AC-3 frame together.
func TestDependentSubstreams(t *testing.T) {
	s := sourceNamed(t, "eac3-48000-2")
	dependent := bytes.Clone(s.media[0])
	dependent[2] |= 0x40 // strmtyp 1
	if f, err := ac3.ParseFrame(dependent); err != nil || !f.Dependent {
		t.Fatal(f, err)
	}
	both := slices.Concat(s.media[0], dependent)
	m := newMuxer(t, Options{}, s.track)
	b := append(m.AppendTables(nil), pes(m.outputs[0], 0, slices.Concat(both, both, s.media[0]))...)
	got, c := demux(b)
	if got = media(got, av.Audio); len(got) != 3 || !bytes.Equal(got[0].Payload, both) || !bytes.Equal(got[2].Payload, s.media[0]) || got[2].DTS != 64*time.Millisecond {
		t.Errorf("%d frames, %+v", len(got), c)
	}
}

// TestOpusControl drives writing and reading of the control header by one table.
func TestOpusControl(t *testing.T) {
	for _, n := range []int{0, 1, 254, 255, 256, 510, 511, 2000} {
		unit := bytes.Repeat([]byte{7}, n)
		b := append(appendOpusControl(nil, n), unit...)
		if len(b) != opusControlSize(n)+n {
			t.Errorf("%d: header of %d bytes, not %d", n, len(b)-n, opusControlSize(n))
		}
		got, rest, trim, ok := nextOpus(append(b, 1, 2))
		if !ok || !bytes.Equal(got, unit) || len(rest) != 2 || trim != 0 {
			t.Errorf("%d: %d, %d, %d, %v", n, len(got), len(rest), trim, ok)
		}
		for i := range b {
			if _, _, _, ok := nextOpus(b[:i]); ok {
				t.Errorf("%d: a prefix of %d bytes is whole", n, i)
			}
		}
	}
	full := []byte{0x7f, 0xe0 | opusStartTrim | opusEndTrim | opusExtension, 1, 0x01, 0x38, 0, 5, 2, 9, 9, 42}
	got, rest, trim, ok := nextOpus(full)
	if !ok || string(got) != "*" || len(rest) != 0 || trim != 312 {
		t.Errorf("%q, %q, %d, %v", got, rest, trim, ok)
	}
	for i := range full {
		if _, _, _, ok := nextOpus(full[:i]); ok {
			t.Errorf("a prefix of %d bytes is whole", i)
		}
	}
	if _, _, _, ok := nextOpus([]byte{0x3f, 0xe0, 0}); ok {
		t.Error("a wrong prefix was taken")
	}
}

// TestOpusChannels maps identification headers to channel configurations and back.
func TestOpusChannels(t *testing.T) {
	for code := range byte(9) {
		h, ok := opusHead(code, 312)
		if !ok || h.PreSkip != 312 {
			t.Fatalf("%d: %+v", code, h)
		}
		if got, ok := opusChannelCode(&h); !ok || got != code {
			t.Errorf("%d became %d, %v", code, got, ok)
		}
		if _, err := h.AppendBinary(nil); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
	if _, ok := opusHead(9, 0); ok {
		t.Error("9 is a channel configuration")
	}
	h, _ := opusHead(6, 0)
	h.Mapping = []byte{5, 4, 3, 2, 1, 0}
	if _, ok := opusChannelCode(&h); ok {
		t.Error("another order of channels was taken")
	}
}
