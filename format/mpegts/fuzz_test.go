package mpegts

import (
	"bytes"
	"slices"
	"testing"

	"weir/av"
	"weir/codec/nal"
)

// FuzzDemux checks that bytes split elsewhere mean the same, that what is held and made is
// bounded by what came, that frames are whole, and that a Muxer takes them.
func FuzzDemux(f *testing.F) {
	b, _ := sample(f)
	f.Add(b[:40*PacketSize], uint16(100))
	for _, name := range []string{"h265-main", "opus-2", "eac3-48000-2", "mp3-44100-1"} {
		s := sourceNamed(f, name)
		f.Add(write(f, newMuxer(f, Options{}, s.track), s.frames(4, 0)), uint16(1316))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint16) {
		kept := bytes.Clone(in)
		whole, counters := demux(in)
		if !bytes.Equal(in, kept) {
			t.Fatal("the bytes were changed")
		}
		var d Demuxer
		var split []av.Frame
		for piece := range slices.Chunk(in, int(size)+1) {
			split = d.Demux(split, piece)
		}
		split = d.Flush(split)
		if !slices.EqualFunc(whole, split, sameFrame) || counters != d.counters {
			t.Fatalf("%d frames in pieces of %d, %d at once\n%+v\n%+v", len(split), size, len(whole), d.counters, counters)
		}
		if d.held != 0 || counters.Packets*PacketSize+counters.Skipped > uint64(len(in)) {
			t.Fatalf("%d held, %+v of %d bytes", d.held, counters, len(in))
		}
		made := 0
		for i := range whole {
			f := &whole[i]
			made += len(f.Payload)
			if len(f.Payload) == 0 {
				t.Fatal("empty frame")
			}
			if f.Kind == av.Video && f.Type == av.Media && !nal.Valid(f.Payload, 4) {
				t.Fatalf("%x", f.Payload)
			}
		}
		if made > 2*len(in)+1000*len(whole) {
			t.Fatalf("%d bytes made of %d", made, len(in))
		}
		checkRemux(t, whole)
	})
}

// checkRemux writes frames again, as far as a Muxer takes their tracks.
func checkRemux(t *testing.T, fs []av.Frame) {
	tracks := slices.DeleteFunc(tracksOf(fs), func(t av.Track) bool { return CheckTrack(&t) != nil })
	if len(tracks) == 0 || len(tracks) > maxTracks {
		return
	}
	m := newMuxer(t, Options{Gather: MaxGather}, tracks...)
	var b []byte
	for i := range fs {
		b, _ = m.AppendFrame(b, &fs[i]) // a frame that contradicts its configuration is refused
	}
	b = m.Flush(b)
	if len(b)%PacketSize != 0 {
		t.Fatalf("%d bytes", len(b))
	}
	if _, c := demux(b); c.Gaps+c.Malformed+c.Resyncs+c.Skipped+c.BadSections+c.Errors > 0 {
		t.Fatalf("%+v", c)
	}
}
