package bench

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"weir/codec/aac"
	"weir/codec/h264"
)

func TestLoad(t *testing.T) {
	for _, rate := range []int{minBitrate, 600_000, usualBitrate, 8_000_000} {
		l, err := newLoad(rate)
		if err != nil {
			t.Fatal(err)
		}
		w := newMediaWriter(l, 1, 0)
		bytes := 0
		for {
			kind, at := w.due()
			if at >= int64(20*time.Second) {
				break
			}
			bytes += len(w.next(kind, 0))
		}
		if got := float64(bytes) * 8 / 20; math.Abs(got/float64(rate)-1) > 0.03 {
			t.Errorf("%d bit/s: %.0f were made", rate, got)
		}
		if w.frames[video] != 600 || w.frames[audio] < 860 || w.frames[audio] > 862 {
			t.Errorf("%d bit/s: %d frames in 20 s", rate, w.frames)
		}
	}
	for _, rate := range []int{0, minBitrate - 1, maxBitrate + 1} {
		if _, err := newLoad(rate); err == nil {
			t.Errorf("%d bit/s was taken", rate)
		}
	}
	// Days on, the times are still exact.
	if got, want := audioAt(44100*1000), 1024*1000*time.Second+time.Second/videoRate/2; got != want {
		t.Errorf("audio frame 44100000 is due at %v, want %v", got, want)
	}
}

// mediaCheck decodes what a publisher sends.
type mediaCheck struct {
	t    *testing.T
	keys []uint32
	seen [kinds]uint32
	all  int
}

func (m *mediaCheck) message(typ byte, head []byte, length int, tail uint32) error {
	m.all++
	kind, at := video, stampVideo
	if typ == typeAudio {
		kind, at = audio, stampAudio
	}
	if typ == typeData || head[1] == 0 {
		return nil
	}
	s, ok := parseStamp(head[at:])
	want := stamp{run: 77, stream: 3, seq: m.seen[kind], sent: 1000}
	if !ok || s != want || tail != want.tail() {
		m.t.Errorf("stamp %+v, %v, tail %x; want %+v, %x", s, ok, tail, want, want.tail())
	}
	if kind == video {
		if n := int(binary.BigEndian.Uint32(head[5:])); n != length-9 {
			m.t.Errorf("a NAL unit of %d in a frame of %d bytes", n, length)
		}
		key := head[0]>>4 == 1
		if key {
			m.keys = append(m.keys, s.seq)
		}
	}
	m.seen[kind]++
	return nil
}

func TestMediaWriter(t *testing.T) {
	for _, rate := range []int{minBitrate, usualBitrate, usualBitrate + 4999} {
		l, err := newLoad(rate)
		if err != nil {
			t.Fatal(err)
		}
		m := &mediaCheck{t: t}
		f := newRTMPFollower(m)
		f.chunkSize = publishChunk
		w := newMediaWriter(l, 77, 3)
		head, err := w.headers()
		if err == nil {
			err = f.feed(head)
		}
		for i := 0; err == nil && i < 400; i++ {
			kind, _ := w.due()
			err = f.feed(w.next(kind, 1000))
			if !f.atBoundary() || m.all != 4+i {
				t.Fatalf("after frame %d: %d messages", i, m.all)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(m.keys) < 3 || m.keys[0] != 0 || m.keys[1] != 60-21 || m.keys[2] != 120-21 {
			t.Errorf("key frames %v", m.keys)
		}
	}
}

func TestSequenceHeaders(t *testing.T) {
	c, err := h264.ParseConfig(videoHeader[5:])
	if err != nil {
		t.Fatal(err)
	}
	sps, err := h264.ParseSPS(c.SPS[0])
	if err != nil || sps.Width != 1280 || sps.Height != 720 {
		t.Errorf("SPS: %+v, %v", sps, err)
	}
	for _, key := range []bool{false, true} {
		b := videoFrame(900, key)
		got, known := h264.IsKey(b[5:], 4)
		if n := len(slices.Collect(h264.NALUs(b[5:], 4))); got != key || !known || n != 1 || b[0]>>4 == 1 != key {
			t.Errorf("key %v: is one %v, %v; %d units", key, got, known, n)
		}
	}
	a, err := aac.ParseConfig(audioHeader[2:])
	if err != nil || a.SampleRate != 44100 || a.Channels() != 2 {
		t.Errorf("AAC: %+v, %v", a, err)
	}
}
