package fmp4

import (
	"bytes"
	"encoding/binary"
	"testing"

	"weir/av"
)

// avcConfig is a configuration record of H.264 whose lengths take n bytes.
func avcConfig(n byte) []byte { return []byte{1, 0x64, 0, 0x1f, 0xfc | n - 1, 0xe0, 0} }

// TestSamplePayload repairs what encoders send, and leaves alone what is right.
func TestSamplePayload(t *testing.T) {
	h264 := func(n byte) av.Track { return av.Track{Codec: av.H264, Config: avcConfig(n)} }
	h265 := av.Track{Kind: av.Video, Codec: av.H265, Config: testdata("h265-main.config")}
	aac := av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte("\x11\x90")}
	adts := "\xff\xf1\x4c\x80\x01\x7f\xfc" + "\x21\x10\x04\x60"
	for _, c := range []struct {
		name     string
		track    av.Track
		in, want string
		same     bool // it is the payload itself
	}{
		{"units of H.264", h264(4), "\x00\x00\x00\x02\x65\x88\x00\x00\x00\x01\x41", "\x00\x00\x00\x02\x65\x88\x00\x00\x00\x01\x41", true},
		{"units behind two bytes", h264(2), "\x00\x02\x65\x88\x00\x01\x41", "\x00\x02\x65\x88\x00\x01\x41", true},
		{"units behind one byte", h264(1), "\x02\x65\x88\x01\x41", "\x02\x65\x88\x01\x41", true},
		{"an access unit delimiter", h264(4), "\x00\x00\x00\x02\x09\xf0\x00\x00\x00\x02\x65\x88", "\x00\x00\x00\x02\x65\x88", false},
		{"nothing but a delimiter", h264(4), "\x00\x00\x00\x02\x09\xf0", "", false},
		{"C-166 a unit of no bytes", h264(4), "\x00\x00\x00\x00\x00\x00\x00\x02\x65\x88\x00\x00\x00\x02\x09\xf0", "\x00\x00\x00\x02\x65\x88", false},
		{"C-166 start codes", h264(4), "\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65\x88\x84", "\x00\x00\x00\x03\x65\x88\x84", false},
		{"C-166 start codes for two bytes", h264(2), "\x00\x00\x00\x01\x65\x88\x00\x00\x01\x41\x9a", "\x00\x02\x65\x88\x00\x02\x41\x9a", false},
		{"C-166 a unit that is cut off", h264(4), "\x00\x00\x00\x02\x65\x88\x00\x00\x00\x09\x41", "\x00\x00\x00\x02\x65\x88", false},
		{"a delimiter of H.265", h265, "\x00\x00\x00\x03\x46\x01\x50\x00\x00\x00\x03\x26\x01\xaf", "\x00\x00\x00\x03\x26\x01\xaf", false},
		{"units of H.265", h265, "\x00\x00\x00\x03\x26\x01\xaf", "\x00\x00\x00\x03\x26\x01\xaf", true},
		{"no configuration", av.Track{Codec: av.H264}, "\x00\x00\x00\x02\x65\x88", "", false},
		{"AAC", aac, "\x21\x10\x04\x60", "\x21\x10\x04\x60", true},
		{"C-176 AAC behind ADTS", aac, adts, "\x21\x10\x04\x60", false},
		{"AV1", av.Track{Codec: av.AV1}, "\x32\x02\x10\x20", "\x32\x02\x10\x20", true},
		{"AV1 behind a temporal delimiter", av.Track{Codec: av.AV1}, "\x12\x00\x32\x02\x10\x20", "\x32\x02\x10\x20", false},
		{"VP9", av.Track{Codec: av.VP9}, "\x12\x00", "\x12\x00", true},
		{"nothing", av.Track{Codec: av.VP9}, "", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &av.Frame{Codec: c.track.Codec, Payload: []byte(c.in)}
			got, ok := SamplePayload(c.track, f)
			if ok != (c.want != "") || ok && string(got) != c.want {
				t.Fatalf("% x, %v, want % x", got, ok, c.want)
			}
			if string(f.Payload) != c.in {
				t.Error("the frame was changed")
			}
			if c.same && &got[0] != &f.Payload[0] {
				t.Error("it was copied")
			}
			if n := testing.AllocsPerRun(20, func() { SamplePayload(c.track, f) }); c.same && n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	// Two frames of ADTS are two samples, which one payload cannot be.
	if got, ok := SamplePayload(aac, &av.Frame{Payload: []byte(adts + adts)}); ok {
		t.Errorf("two frames of ADTS became % x", got)
	}
}

// TestLengthSize keeps the size of the lengths that a record tells.
func TestLengthSize(t *testing.T) {
	for _, n := range []byte{1, 2, 4} {
		b, err := AppendInit(nil, []Track{{Track: av.Track{Codec: av.H264, Config: avcConfig(n)}, ID: 1}})
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte("avcC"))
		if got := b[at+4+4]&3 + 1; got != n {
			t.Errorf("lengths of %d bytes became %d", n, got)
		}
	}
}

// TestEmsg lays out event messages (ISO/IEC 23009-1, 5.10.3.3.3).
func TestEmsg(t *testing.T) {
	e := Emsg{Scheme: SchemeSCTE35, Value: "v", Timescale: 90000, Time: 1 << 33, Duration: 0xffffffff, ID: 7, Data: []byte("\xfc\x30")}
	b := AppendEmsg([]byte("before"), e)[len("before"):]
	want := "emsg\x01\x00\x00\x00" + "\x00\x01\x5f\x90" + "\x00\x00\x00\x02\x00\x00\x00\x00" + "\xff\xff\xff\xff" + "\x00\x00\x00\x07" +
		"urn:scte:scte35:2013:bin\x00v\x00\xfc\x30"
	if int(binary.BigEndian.Uint32(b)) != len(b) || string(b[4:]) != want {
		t.Errorf("% x", b)
	}
	e.Time = -1
	if b := AppendEmsg(nil, e); binary.BigEndian.Uint64(b[16:]) != 0 {
		t.Error("a time below 0")
	}
}

// payloadOfVideo is a key frame of H.264 and its track.
func payloadOfVideo(tb testing.TB) (av.Track, *av.Frame) {
	tb.Helper()
	config, key := testdata("h264-high.config"), testdata("h264-high.key")
	if config == nil || key == nil {
		tb.Fatal("no test data")
	}
	return av.Track{Codec: av.H264, Config: config}, &av.Frame{Codec: av.H264, Payload: key}
}
