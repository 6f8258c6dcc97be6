package probe

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/format/flv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fileSource is a file as a source.
type fileSource struct {
	*flv.FrameReader
	io.Closer
}

func (fileSource) Live() bool { return false }

// look reports on a file.
func look(t *testing.T, name string) *Report {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Run(t.Context(), fileSource{flv.NewFrameReader(f), f}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSample(t *testing.T) {
	r := look(t, "../demo/sample.flv")
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"video 0: H.264 Main@3.0, 640x360, 30 frames/s", "GOP 60 frames (2 s), B-frames",
		"audio 0: AAC LC, 48000 Hz, 2 channels", "no faults found",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, b.String())
		}
	}
}

// TestFaults makes a file with each fault.
func TestFaults(t *testing.T) {
	cfg := []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	vh := &av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: cfg}
	ah := &av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0x12, 0x10}}
	video := func(ms int, key bool) *av.Frame {
		f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: time.Duration(ms) * time.Millisecond, Payload: []byte{0, 0, 0, 2, 0x41, 0x9a}}
		if key {
			f.Flags, f.Payload = av.Key, []byte{0, 0, 0, 2, 0x65, 0x88}
		}
		f.PTS = f.DTS
		return f
	}
	audio := func(ms int) *av.Frame {
		d := time.Duration(ms) * time.Millisecond
		return &av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: d, PTS: d, Payload: []byte{0x21}}
	}
	mislabeled := video(40, true)
	mislabeled.Flags = 0
	metadata := &av.Frame{Kind: av.Data, Type: av.Script, Payload: flv.BuildMetadata([]av.Track{
		{Kind: av.Video, Codec: av.H264}, {Kind: av.Audio, Codec: av.AAC},
	}, nil)}
	for _, c := range []struct {
		code   string
		frames []*av.Frame
	}{
		{"no_sequence_header", []*av.Frame{video(0, true), video(40, false)}},
		{"dts_backward", []*av.Frame{vh, video(80, true), video(40, false)}},
		{"gap", []*av.Frame{vh, video(0, true), video(5000, false)}},
		{"key_flag", []*av.Frame{vh, video(0, true), mislabeled}},
		{"long_gop", []*av.Frame{vh, video(0, true), video(900, false), video(1800, false), video(11000, false)}},
		{"av_offset", []*av.Frame{vh, ah, audio(0), video(500, true), audio(510)}},
		{"missing_track", []*av.Frame{metadata, vh, video(0, true), video(40, false)}},
		{"empty_track", []*av.Frame{vh, ah, video(0, true), video(40, false)}},
	} {
		t.Run(c.code, func(t *testing.T) {
			var b bytes.Buffer
			w := flv.NewWriter(&b, flv.Form{}, true, true)
			for _, f := range c.frames {
				if err := w.WriteFrame(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "x.flv")
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			r := look(t, file)
			for _, f := range r.Faults {
				if f.Code == c.code && f.Detail != "" && f.Advice != "" {
					return
				}
			}
			t.Errorf("found %+v", r.Faults)
		})
	}
}
