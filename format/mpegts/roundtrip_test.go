package mpegts

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
	"weir/codec/opus"
)

// TestRoundTrip writes what the codecs' test data hold and reads it again.
func TestRoundTrip(t *testing.T) {
	for _, s := range sources(t) {
		for _, gather := range []time.Duration{0, MaxGather} {
			t.Run(s.name+"/"+gather.String(), func(t *testing.T) {
				in := s.frames(50, 0)
				b := write(t, newMuxer(t, Options{Gather: gather}, s.track), in)
				out, c := demux(b)
				if want := (Counters{Packets: uint64(len(b) / PacketSize)}); c != want {
					t.Errorf("counters %+v", c)
				}
				if out[0].Type == av.Config {
					checkConfig(t, &s.track, out[0].Payload)
				} else if s.track.Config != nil {
					t.Error("no configuration")
				}
				out = media(out, s.track.Kind)
				if len(out) != len(in) {
					t.Fatalf("%d frames became %d", len(in), len(out))
				}
				delta := out[0].DTS - in[0].DTS
				for i, f := range out {
					if d := f.DTS - in[i].DTS - delta; max(d, -d) > time.Second/clockRate+1 {
						t.Errorf("frame %d at %v, not %v", i, f.DTS, in[i].DTS+delta)
					}
					if f.Codec != in[i].Codec || f.Flags&av.Key != in[i].Flags&av.Key {
						t.Errorf("frame %d is %v %b", i, f.Codec, f.Flags)
					}
					if want := expected(&s.track, in[i].Payload); !bytes.Equal(f.Payload, want) {
						t.Fatalf("frame %d: %d bytes became %d", i, len(want), len(f.Payload))
					}
				}
			})
		}
	}
}

// expected is a payload as a Demuxer gives it: behind lengths of 4 bytes, without
// delimiters and parameter sets.
func expected(t *av.Track, payload []byte) []byte {
	if t.Kind != av.Video {
		return payload
	}
	var out []byte
	for u := range nal.Units(payload, 4) {
		if r := codec.RoleOf(t.Codec, u); !r.IsSet() && r != codec.UnitDelimiter {
			out, _ = nal.Append(out, u, 4)
		}
	}
	return out
}

// checkConfig compares what matters of two records.
func checkConfig(t *testing.T, track *av.Track, got []byte) {
	t.Helper()
	switch track.Codec {
	case av.H264:
		want, err := h264.ParseConfig(track.Config)
		c, err2 := h264.ParseConfig(got)
		if err != nil || err2 != nil || !slices.EqualFunc(c.SPS, want.SPS, bytes.Equal) || !slices.EqualFunc(c.PPS, want.PPS, bytes.Equal) {
			t.Errorf("configuration %x became %x", track.Config, got)
		}
	case av.H265:
		want, err := h265.ParseConfig(track.Config)
		c, err2 := h265.ParseConfig(got)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, typ := range []int{h265.TypeVPS, h265.TypeSPS, h265.TypePPS} {
			if !bytes.Equal(c.Unit(typ), want.Unit(typ)) {
				t.Errorf("unit %d: %x became %x", typ, want.Unit(typ), c.Unit(typ))
			}
		}
	case av.AAC:
		want, err := aac.ParseConfig(track.Config)
		c, err2 := aac.ParseConfig(got)
		if err != nil || err2 != nil || c.SampleRate != want.SampleRate || c.ChannelConfig != want.ChannelConfig || c.ObjectType != want.ObjectType {
			t.Errorf("configuration %x became %x", track.Config, got)
		}
	case av.Opus:
		want, err := opus.ParseHead(track.Config)
		c, err2 := opus.ParseHead(got)
		if err != nil || err2 != nil || c.Channels != want.Channels || c.Streams != want.Streams || !bytes.Equal(c.Mapping, want.Mapping) {
			t.Errorf("configuration %x became %x", track.Config, got)
		}
	}
}

// TestSplit feeds a stream in pieces of all sizes; the frames are the same.
func TestSplit(t *testing.T) {
	v, a := sourceNamed(t, "h264-high"), sourceNamed(t, "aac-44100-2")
	b := write(t, newMuxer(t, Options{}, v.track, a.track), interleave(v.frames(20, 0), a.frames(30, 0)))
	want, _ := demux(b)
	for _, size := range []int{1, 2, 3, 7, 187, 188, 189, 1316, 4096} {
		var d Demuxer
		var got []av.Frame
		for piece := range slices.Chunk(b, size) {
			got = d.Demux(got, piece)
		}
		got = d.Flush(got)
		if !slices.EqualFunc(got, want, sameFrame) {
			t.Errorf("pieces of %d bytes: %d frames, not %d", size, len(got), len(want))
		}
	}
}

func sameFrame(a, b av.Frame) bool {
	return a.Kind == b.Kind && a.Type == b.Type && a.Codec == b.Codec && a.DTS == b.DTS && a.PTS == b.PTS &&
		a.Flags == b.Flags && a.Track == b.Track && bytes.Equal(a.Payload, b.Payload)
}

// TestPacketSizes reads packets with a time code before or check bytes behind each.
func TestPacketSizes(t *testing.T) {
	v := sourceNamed(t, "h265-main")
	b := write(t, newMuxer(t, Options{}, v.track), v.frames(20, 0))
	want, _ := demux(b)
	for _, c := range []struct{ before, behind int }{{4, 0}, {0, 16}} {
		var wide []byte
		for p := range slices.Chunk(b, PacketSize) {
			wide = append(wide, make([]byte, c.before)...)
			wide = append(append(wide, p...), bytes.Repeat([]byte{syncByte}, c.behind)...)
		}
		for _, size := range []int{len(wide), 1, 100} {
			var d Demuxer
			var got []av.Frame
			for piece := range slices.Chunk(wide, size) {
				got = d.Demux(got, piece)
			}
			if got = d.Flush(got); !slices.EqualFunc(got, want, sameFrame) {
				t.Errorf("%+v in pieces of %d: %d frames, not %d, %+v", c, size, len(got), len(want), d.Counters())
			}
		}
	}
}
