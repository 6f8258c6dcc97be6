package fmp4

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"weir/av"
	"weir/codec"
)

// testdata reads a file of the codecs' test data; nil if there is none.
func testdata(name string) []byte {
	b, err := os.ReadFile("../../codec/testdata/" + name)
	if err != nil {
		return nil
	}
	return b
}

// described returns the track of a configuration, or of a first frame.
func described(t *testing.T, c av.Codec, kind av.Kind, name string) Track {
	t.Helper()
	if config := testdata(name + ".config"); config != nil {
		d, err := codec.Describe(c, kind, config)
		if err != nil {
			t.Fatal(err)
		}
		return Track{Track: d, ID: 1}
	}
	key := testdata(name + ".key")
	d, err := codec.DescribeFrame(c, kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return Track{Track: d, ID: 1, First: key}
}

// TestInit describes a track of each codec; the names of the codecs are those that
// browsers are asked for.
func TestInit(t *testing.T) {
	for _, c := range []struct {
		codec  av.Codec
		kind   av.Kind
		name   string
		entry  string
		box    string
		string string
	}{
		{av.H264, av.Video, "h264-high", "avc1", "avcC", "avc1."},
		{av.H265, av.Video, "h265-main", "hvc1", "hvcC", "hvc1.1.6.L"},
		{av.AV1, av.Video, "av1-main", "av01", "av1C", "av01.0."},
		{av.AAC, av.Audio, "aac-44100-2", "mp4a", "esds", "mp4a.40.2"},
	} {
		tr := described(t, c.codec, c.kind, c.name)
		b, err := AppendInit(nil, []Track{tr})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		checkBoxes(t, b)
		if !bytes.Contains(b, []byte(c.entry)) || !bytes.Contains(b, []byte(c.box)) {
			t.Errorf("%s: no %s with %s", c.name, c.entry, c.box)
		}
		if s, err := CodecString(tr.Track); err != nil || len(s) < len(c.string) || s[:len(c.string)] != c.string {
			t.Errorf("%s: %q, %v", c.name, s, err)
		}
	}
}

// containers are the boxes that hold boxes.
var containers = map[string]bool{"moov": true, "trak": true, "mdia": true, "minf": true, "dinf": true, "stbl": true, "mvex": true, "moof": true, "traf": true}

// checkBoxes checks that sizes add up, down to the boxes that hold no others.
func checkBoxes(t *testing.T, b []byte) (types []string) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("%d bytes are left", len(b))
		}
		n := int(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
		typ := string(b[4:8])
		if n < 8 || n > len(b) {
			t.Fatalf("%s of %d bytes, there are %d", typ, n, len(b))
		}
		types = append(types, typ)
		if containers[typ] {
			types = append(types, checkBoxes(t, b[8:n])...)
		}
		b = b[n:]
	}
	return types
}

// TestCodecStrings_Golden are names that others give for the same records.
func TestCodecStrings_Golden(t *testing.T) {
	for _, c := range []struct {
		track av.Track
		want  string
	}{
		{av.Track{Codec: av.H264, Config: []byte("\x01\x64\x00\x1f\xff\xe0\x00")}, "avc1.64001f"},
		{av.Track{Codec: av.H264, Config: []byte("\x01\x42\xc0\x1e\xff\xe0\x00")}, "avc1.42c01e"},
		{av.Track{Codec: av.H265, Config: append([]byte("\x01\x01\x60\x00\x00\x00\xb0\x00\x00\x00\x00\x00\x5d\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f"), 0)}, "hvc1.1.6.L93.B0"},
		{av.Track{Codec: av.H265, Config: append([]byte("\x01\x22\x20\x00\x00\x00\x90\x00\x00\x00\x00\x00\x99\xf0\x00\xfc\xfd\xfa\xfa\x00\x00\x0f"), 0)}, "hvc1.2.4.H153.90"},
		{av.Track{Codec: av.AV1, Config: []byte("\x81\x04\x0c\x00")}, "av01.0.04M.08"},
		{av.Track{Codec: av.AV1, Config: []byte("\x81\x08\xcc\x00")}, "av01.0.08H.10"},
		{av.Track{Codec: av.VP9, Size: av.Size{Width: 256, Height: 144}}, "vp09.00.10.08"},
		{av.Track{Codec: av.VP9, Size: av.Size{Width: 1920, Height: 1080}}, "vp09.00.40.08"},
		{av.Track{Codec: av.AAC, Config: []byte("\x12\x10")}, "mp4a.40.2"},
		{av.Track{Codec: av.MP3}, "mp4a.40.34"},
		{av.Track{Codec: av.Opus}, "Opus"},
		{av.Track{Codec: av.FLAC}, "fLaC"},
		{av.Track{Codec: av.AC3}, "ac-3"},
		{av.Track{Codec: av.EAC3}, "ec-3"},
	} {
		if got, err := CodecString(c.track); err != nil || got != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
	if _, err := CodecString(av.Track{Codec: av.Speex}); !errors.Is(err, ErrCodec) {
		t.Error(err)
	}
	if _, err := CodecString(av.Track{Codec: av.H264}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// TestInitRefused are tracks of which nothing is written.
func TestInitRefused(t *testing.T) {
	aac := av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte("\x12\x10")}
	for _, c := range []struct {
		tracks []Track
		want   error
	}{
		{[]Track{{Track: aac}}, ErrTrack},
		{[]Track{{Track: aac, ID: 1}, {Track: aac, ID: 1}}, ErrTrack},
		{[]Track{{Track: av.Track{Codec: av.Speex}, ID: 1}}, ErrCodec},
		{[]Track{{Track: av.Track{Codec: av.H264}, ID: 1}}, ErrConfig},
		{[]Track{{Track: av.Track{Codec: av.Opus, Kind: av.Audio}, ID: 1}}, ErrConfig},
	} {
		b, err := AppendInit([]byte("x"), c.tracks)
		if !errors.Is(err, c.want) || string(b) != "x" {
			t.Errorf("%q, %v, want %v", b, err, c.want)
		}
	}
}
