package mpegts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/av"
)

// readMap has a demuxer read a program map of so many streams of a type.
func readMap(n int, streamType uint8) *Demuxer {
	body := []byte{0xe1, 0, 0xf0, 0}
	for i := range n {
		body = appendStream(body, streamType, firstPID+uint16(i), nil)
	}
	d := &Demuxer{program: program}
	d.readPMT(appendLongSection(nil, tablePMT, program, 0, body))
	return d
}

// TestStreamsBounds: 64 streams of a program are read, and of those that are left out 64 are named.
func TestStreamsBounds(t *testing.T) {
	const mpeg2 = 0x02
	for n, want := range map[int]int{64: 64, 65: 64} {
		d := readMap(n, typeADTS)
		if got := len(d.Tracks()); got != want || d.Counters().Unsupported != uint64(n-want) || len(d.LeftOut()) != n-want {
			t.Errorf("of %d streams %d are read, %+v", n, got, d.Counters())
		}
		d = readMap(n, mpeg2)
		if got := len(d.LeftOut()); got != want || d.Counters().Unsupported != uint64(n) {
			t.Errorf("of %d streams that are left out %d are named, %+v", n, got, d.Counters())
		}
	}
}

// startPES gives a stream the beginning of a PES packet that does not say its length, and then the rest of so many bytes in all.
func startPES(d *Demuxer, size int) *stream {
	s := &stream{kind: av.Video, codec: av.H264}
	head := appendPESHeader(nil, idVideo, 0, 0, 1<<20)
	d.readPES(s, &packet{start: true, hasPayload: true, payload: head})
	d.readPES(s, &packet{hasPayload: true, counter: 1, payload: make([]byte, size-len(head))})
	return s
}

// TestPESBounds: a PES packet may have 8 MiB, and all that are in progress 16 MiB.
func TestPESBounds(t *testing.T) {
	for size, dropped := range map[int]uint64{8 << 20: 0, 8<<20 + 1: 1} {
		var d Demuxer
		if s := startPES(&d, size); d.counters.DroppedPES != dropped || s.pes.active != (dropped == 0) {
			t.Errorf("%d bytes: %+v", size, d.counters)
		}
	}
	var d Demuxer
	a, b := startPES(&d, 8<<20), startPES(&d, 8<<20-1)
	if d.held != 16<<20-1 || !a.pes.active || !b.pes.active {
		t.Fatalf("%d bytes are held, %+v", d.held, d.counters)
	}
	third := &stream{kind: av.Video, codec: av.H264}
	d.readPES(third, &packet{start: true, hasPayload: true, payload: []byte{0}})
	if d.held != 16<<20 || !third.pes.active || d.counters.DroppedPES != 0 {
		t.Errorf("of 16 MiB %d bytes are held, %+v", d.held, d.counters)
	}
	d.readPES(third, &packet{hasPayload: true, counter: 1, payload: []byte{0}})
	if d.held != 16<<20-1 || third.pes.active || d.counters.DroppedPES != 1 {
		t.Errorf("a byte more: %d bytes are held, %+v", d.held, d.counters)
	}
}

// TestSectionBound: a section of 4,096 bytes is read and written, and a longer one is not.
func TestSectionBound(t *testing.T) {
	m := newMuxer(t, Options{}, av.Track{Kind: av.Data, Codec: SCTE35})
	for n, want := range map[int]error{4096: nil, 4097: ErrFrame} {
		section := append([]byte{tableSCTE35, 0x30 | byte((n-3)>>8), byte(n - 3)}, make([]byte, n-3-crcSize)...)
		section = binary.BigEndian.AppendUint32(section, crc(section))
		var r sectionReader
		var counters Counters
		got := 0
		r.packet(&packet{start: true, hasPayload: true, payload: append([]byte{0}, section...)}, &counters, func(b []byte) {
			if bytes.Equal(b, section) {
				got++
			}
		})
		if ok := want == nil; (got == 1) != ok || (counters.BadSections == 0) != ok {
			t.Errorf("%d bytes: %d sections, %+v", n, got, counters)
		}
		if _, err := m.AppendFrame(nil, &av.Frame{Kind: av.Data, Codec: SCTE35, Payload: section}); !errors.Is(err, want) {
			t.Errorf("%d bytes are written: %v, want %v", n, err, want)
		}
	}
}

// TestSoundBound: a PES packet of sound has a payload of 65,527 bytes at most, of one frame or of several.
func TestSoundBound(t *testing.T) {
	track := av.Track{Kind: av.Audio, Codec: av.MP3, SampleRate: 48000}
	frame := func(n int, at time.Duration) *av.Frame {
		return &av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: make([]byte, n), DTS: at, PTS: at}
	}
	for n, want := range map[int]error{65527: nil, 65528: ErrFrame} {
		if _, err := newMuxer(t, Options{}, track).AppendFrame(nil, frame(n, 0)); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
	}
	for second, want := range map[int]int{25527: 1, 25528: 2} {
		m := newMuxer(t, Options{Gather: MaxGather}, track)
		b, err := m.AppendFrame(nil, frame(40000, 0))
		if err == nil {
			b, err = m.AppendFrame(b, frame(second, 24*time.Millisecond))
		}
		if err != nil {
			t.Fatal(err)
		}
		if hs, _ := stamps(t, m.Flush(b), firstPID); len(hs) != want {
			t.Errorf("40,000 bytes and %d: %d packets, want %d", second, len(hs), want)
		}
	}
}

// TestDelayBound: frames are said to arrive 5 s before they are decoded, at most.
func TestDelayBound(t *testing.T) {
	v := sourceNamed(t, "h264-high")
	for delay, want := range map[time.Duration]int64{4 * time.Second: 360_000, 5 * time.Second: 450_000, 6 * time.Second: 450_000} {
		m := newMuxer(t, Options{Delay: delay}, v.track)
		hs, _ := stamps(t, write(t, m, []av.Frame{{Codec: av.H264, Payload: v.media[1]}}), firstPID)
		if len(hs) != 1 || hs[0].dts != want {
			t.Errorf("%v: %+v, want %d", delay, hs, want)
		}
	}
}

// TestUnitsBound: a PES packet of 4,096 NAL units is read, and one of more is not.
func TestUnitsBound(t *testing.T) {
	slice := []byte{0x41, 0x9a, 1}
	for n, want := range map[int]int{4096: 1, 4097: 0} {
		var d Demuxer
		s := &stream{codec: av.H264, config: []byte{1}}
		frames := demuxVideo(&d, s, times{known: true}, slices.Repeat([][]byte{slice}, n)...)
		if len(frames) != want || d.counters.DroppedPES != uint64(1-want) {
			t.Errorf("%d units: %d frames, %+v", n, len(frames), d.counters)
		}
	}
}
