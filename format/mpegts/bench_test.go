package mpegts

import (
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec/nal"
)

// live is a second of video of 2.5 Mbit/s and sound, as frames.
func live(tb testing.TB) (fs []av.Frame, tracks []av.Track) {
	tb.Helper()
	v, a := sourceNamed(tb, "h264-high"), sourceNamed(tb, "aac-48000-1")
	slice := slices.Repeat([]byte{0x41, 0x9a, 0x5e}, 4000)
	v.media = [][]byte{v.media[0]}
	for range 24 {
		payload, err := nal.Append(nil, slice, 4)
		if err != nil {
			tb.Fatal(err)
		}
		v.media = append(v.media, payload)
	}
	a.media = [][]byte{slices.Repeat([]byte{0x21, 0x7f}, 170)}
	return interleave(v.frames(25, 0), a.frames(46, 0)), []av.Track{v.track, a.track}
}

// TestMuxerAllocations checks that a Muxer does not allocate once its buffers have their size.
func TestMuxerAllocations(t *testing.T) {
	for _, o := range []Options{{}, {Gather: MaxGather}} {
		fs, tracks := live(t)
		m := newMuxer(t, o, tracks...)
		b := make([]byte, 0, 1<<20)
		round := func() {
			for i := range fs {
				fs[i].DTS += time.Second
				fs[i].PTS += time.Second
				b, _ = m.AppendFrame(b[:0], &fs[i])
			}
		}
		round()
		if n := testing.AllocsPerRun(20, round); n > 0 {
			t.Errorf("%+v: %v allocations for %d frames", o, n, len(fs))
		}
	}
}

// TestHostileLengths checks that what declares itself large makes a Demuxer allocate
// little before it is there.
func TestHostileLengths(t *testing.T) {
	v := sourceNamed(t, "h264-high")
	m := newMuxer(t, Options{}, v.track, av.Track{Kind: av.Data, Codec: SCTE35})
	b := m.AppendTables(nil)
	for range 5 {
		o := m.outputs[0]
		p := appendHeader(nil, o.pid, true, payloadOnly, o.counter)
		o.counter++
		p = appendPESHeader(p, idVideo, 0, 0, 65000)
		b = append(append(b, p...), stuffing[:PacketSize-len(p)]...)
		s := m.outputs[1]
		p = append(appendHeader(nil, s.pid, true, payloadOnly, s.counter), 0, tableSCTE35, 0x3f, 0xfd)
		s.counter++
		b = append(append(b, p...), make([]byte, PacketSize-len(p))...)
	}
	r := testing.Benchmark(func(bench *testing.B) {
		bench.ReportAllocs()
		for bench.Loop() {
			var d Demuxer
			d.Flush(d.Demux(nil, b))
		}
	})
	if made := r.AllocedBytesPerOp(); made > 64<<10 {
		t.Errorf("%d bytes allocated for %d", made, len(b))
	}
}

func BenchmarkMuxer(b *testing.B) {
	fs, tracks := live(b)
	m := newMuxer(b, Options{}, tracks...)
	buf := make([]byte, 0, 1<<20)
	n := 0
	b.ReportAllocs()
	for b.Loop() { // one op is a second of media
		n = 0
		for i := range fs {
			fs[i].DTS += time.Second
			fs[i].PTS += time.Second
			buf, _ = m.AppendFrame(buf[:0], &fs[i])
			n += len(buf)
		}
	}
	b.SetBytes(int64(n))
}

func BenchmarkDemuxer(b *testing.B) {
	fs, tracks := live(b)
	m := newMuxer(b, Options{}, tracks...)
	in := write(b, m, fs)
	var d Demuxer
	var out []av.Frame
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		for piece := range slices.Chunk(in, 1316) {
			out = d.Demux(out[:0], piece)
		}
	}
}
