package mpegts

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
)

// source is the frames of one track, made of a record and packets in codec/testdata.
type source struct {
	name  string
	track av.Track
	media [][]byte
	step  time.Duration
}

// sources returns one source for each file of packets whose codec is one of those given.
func sources(t testing.TB) []source {
	t.Helper()
	codecs := []struct {
		prefix string
		codec  av.Codec
	}{
		{"h264-", av.H264},
		{"h265-", av.H265},
		{"aac-", av.AAC},
		{"mp3-", av.MP3},
		{"ac3-", av.AC3},
		{"eac3-", av.EAC3},
		{"opus-", av.Opus},
	}
	keys, err := filepath.Glob("../../codec/testdata/*.key")
	if err != nil || len(keys) == 0 {
		t.Fatal("no packets in codec/testdata", err)
	}
	var out []source
	for _, key := range keys {
		name := strings.TrimSuffix(filepath.Base(key), ".key")
		i := slices.IndexFunc(codecs, func(c struct {
			prefix string
			codec  av.Codec
		},
		) bool {
			return strings.HasPrefix(name, c.prefix)
		})
		if i < 0 {
			continue
		}
		c := codecs[i].codec
		s := source{name: name, track: av.Track{Kind: kindOf(c), Codec: c}, media: [][]byte{read(t, key)}}
		base := strings.TrimSuffix(key, ".key")
		s.track.Config, _ = os.ReadFile(base + ".config") // not all codecs have one
		if s.track.Kind == av.Video {
			s.step = 40 * time.Millisecond
			s.media = append(s.media, read(t, base+".inter"))
		} else {
			s.step = codec.FrameDuration(c, s.track.Config, s.media[0])
			if d, err := codec.DescribeFrame(c, av.Audio, s.media[0]); err == nil {
				s.track.SampleRate = d.SampleRate
			}
		}
		out = append(out, s)
	}
	return out
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sourceNamed returns the source of a name.
func sourceNamed(t testing.TB, name string) source {
	t.Helper()
	for _, s := range sources(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("no %s in codec/testdata", name)
	return source{}
}

// frames returns n media frames from a time on.
func (s *source) frames(n int, from time.Duration) []av.Frame {
	var out []av.Frame
	for i := range n {
		f := av.Frame{Kind: s.track.Kind, Track: s.track.ID, Codec: s.track.Codec, Payload: s.media[i%len(s.media)]}
		f.DTS = from + time.Duration(i)*s.step
		f.PTS = f.DTS
		if s.track.Kind == av.Video && i%len(s.media) == 0 {
			f.Flags = av.Key
		}
		out = append(out, f)
	}
	return out
}

// interleave merges frames by their decoding time.
func interleave(tracks ...[]av.Frame) []av.Frame {
	all := slices.Concat(tracks...)
	slices.SortStableFunc(all, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
	return all
}

// write muxes frames.
func write(t testing.TB, m *Muxer, frames []av.Frame) []byte {
	t.Helper()
	var b []byte
	for i := range frames {
		n := len(b)
		out, err := m.AppendFrame(b, &frames[i])
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if (len(out)-n)%PacketSize != 0 || !bytes.Equal(out[:n], b) {
			t.Fatalf("frame %d: %d bytes", i, len(out)-n)
		}
		b = out
	}
	return m.Flush(b)
}

func newMuxer(t testing.TB, o Options, tracks ...av.Track) *Muxer {
	t.Helper()
	m, err := NewMuxer(tracks, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// demux reads a whole stream.
func demux(b []byte) ([]av.Frame, Counters) {
	var d Demuxer
	fs := d.Flush(d.Demux(nil, b))
	return fs, d.Counters()
}

// media returns the media frames of a kind.
func media(fs []av.Frame, k av.Kind) []av.Frame {
	return slices.DeleteFunc(slices.Clone(fs), func(f av.Frame) bool { return f.Kind != k || f.Type != av.Media })
}
