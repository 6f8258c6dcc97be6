package flv

import (
	"bytes"
	"io"
	"testing"

	"weir/amf"
	"weir/av"
)

var benchBodies = []struct{ name, body string }{
	{"AVC", "2701000050" + "00000002419a"},
	{"hvc1", "a1" + "68766331" + "000028" + "000000022601"},
	{"ModEx", "a7" + "020c350001" + "68766331" + "000028" + "000000022601"},
	{"OneTrack", "a6" + "01" + "68766331" + "01" + "000028" + "000000022601"},
}

func BenchmarkDemux(b *testing.B) {
	for _, c := range benchBodies {
		b.Run(c.name, func(b *testing.B) {
			in := append(unhex(c.body), make([]byte, 10000)...)
			var d Demuxer
			dst := make([]av.Frame, 0, 16)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Demux(dst, TagVideo, start, in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendHeader(b *testing.B) {
	for _, c := range benchBodies {
		b.Run(c.name, func(b *testing.B) {
			var d Demuxer
			fs, err := d.Demux(nil, TagVideo, start, unhex(c.body))
			if err != nil {
				b.Fatal(err)
			}
			out := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := AppendHeader(out, &fs[0], Form{}); !ok {
					b.Fatal("not written")
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, size := range []int{100, 10_000, 1_000_000} {
		b.Run(amount(size), func(b *testing.B) {
			tags := make([]Tag, 20)
			for i := range tags {
				tags[i] = Tag{TagVideo, uint32(i), make([]byte, size)}
			}
			in := writeAll(tags)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if got, err := readAll(NewReader(bytes.NewReader(in))); err != io.EOF || len(got) != len(tags) {
					b.Fatal(len(got), err)
				}
			}
		})
	}
	b.Run("rubbish", func(b *testing.B) {
		in := append(AppendFileHeader(nil, true, true), bytes.Repeat([]byte{9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0}, 1<<20/11)...)
		b.ReportAllocs()
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			if _, err := readAll(NewReader(bytes.NewReader(in))); err != io.ErrUnexpectedEOF {
				b.Fatal(err)
			}
		}
	})
}

func amount(n int) string {
	switch {
	case n >= 1_000_000:
		return "1MB"
	case n >= 10_000:
		return "10kB"
	}
	return "100B"
}

func BenchmarkWriter(b *testing.B) {
	f := &av.Frame{Kind: av.Video, Codec: av.H264, Payload: make([]byte, 10_000)}
	w := NewWriter(io.Discard, Form{}, true, true)
	b.ReportAllocs()
	b.SetBytes(int64(len(f.Payload)))
	for b.Loop() {
		if err := w.WriteFrame(f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuildMetadata(b *testing.B) {
	tracks := []av.Track{
		{Kind: av.Video, Codec: av.H264, Size: av.Size{Width: 1920, Height: 1080}, FrameRate: 30},
		{Kind: av.Audio, Codec: av.AAC, SampleRate: 48000, Channels: 2},
	}
	extra := amf.Object{prop("width", 1920.0), prop("height", 1080.0), prop("videodatarate", 6000.0), prop("encoder", "obs-output")}
	b.ReportAllocs()
	for b.Loop() {
		BuildMetadata(tracks, extra)
	}
}
