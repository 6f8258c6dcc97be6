package fmp4

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"weir/av"
	"weir/codec"
)

// codecOf is the codec of a file in the codecs' test data, by the beginning of its name.
var codecOf = map[string]av.Codec{
	"h264": av.H264, "h265": av.H265, "av1": av.AV1, "vp9": av.VP9,
	"aac": av.AAC, "mp3": av.MP3, "opus": av.Opus, "flac": av.FLAC, "ac3": av.AC3, "eac3": av.EAC3,
}

// eachCodec runs a test for each stream in the codecs' test data that MP4 can carry.
func eachCodec(t *testing.T, test func(t *testing.T, tr Track, key []byte)) {
	names, err := filepath.Glob("../../codec/testdata/*.key")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".key")
		prefix, _, _ := strings.Cut(name, "-")
		c, ok := codecOf[prefix]
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			kind := av.Audio
			if c == av.H264 || c == av.H265 || c == av.AV1 || c == av.VP9 {
				kind = av.Video
			}
			key := testdata(name + ".key")
			tr := described(t, c, kind, name)
			if c == av.VP9 { // its record holds no size
				d, err := codec.DescribeFrame(c, kind, key)
				if err != nil {
					t.Fatal(err)
				}
				tr.Size = d.Size
			}
			test(t, tr, key)
		})
	}
}

// TestEveryCodec writes each codec and reads it again: the description, the record and the
// sample are the same.
func TestEveryCodec(t *testing.T) {
	eachCodec(t, func(t *testing.T, tr Track, key []byte) {
		b, err := AppendInit(nil, []Track{tr})
		if err != nil {
			t.Fatal(err)
		}
		checkBoxes(t, b)
		payload, ok := SamplePayload(tr.Track, &av.Frame{Codec: tr.Codec, Payload: key})
		if !ok {
			t.Fatal("no sample")
		}
		b, err = AppendFragment(b, 1, []Run{{ID: 1, DTS: 1000, Samples: []Sample{{Duration: 960, CTS: 10, Key: true, Payload: payload}}}})
		if err != nil {
			t.Fatal(err)
		}
		r, frames := open(t, b)
		got := r.Tracks()
		if len(got) != 1 || got[0].Timescale != Timescale(tr.Track) {
			t.Fatalf("tracks %+v", got)
		}
		media := frames[len(frames)-1]
		if !bytes.Equal(media.Payload, payload) || media.Codec != tr.Codec || media.Kind != tr.Kind {
			t.Errorf("another sample: %v %v of %d bytes, not %d", media.Kind, media.Codec, len(media.Payload), len(payload))
		}
		if media.IsKey() != (tr.Kind == av.Video) {
			t.Errorf("key: %v", media.IsKey())
		}
		want := tr.Track
		if len(want.Config) > 0 {
			if len(frames) != 2 || frames[0].Type != av.Config || !bytes.Equal(frames[0].Payload, got[0].Config) {
				t.Fatalf("%d frames, the first a %v", len(frames), frames[0].Type)
			}
		} else if len(frames) != 1 {
			t.Fatalf("%d frames", len(frames))
		}
		a, b2 := want, got[0].Track
		a.Config, b2.Config = nil, nil // records are written anew
		if len(want.Config) == 0 {     // the entry tells no more than these
			a = av.Track{Kind: a.Kind, Codec: a.Codec, SampleRate: a.SampleRate, Channels: a.Channels}
			b2 = av.Track{Kind: b2.Kind, Codec: b2.Codec, SampleRate: b2.SampleRate, Channels: b2.Channels}
		}
		if !reflect.DeepEqual(a, b2) {
			t.Errorf("\n%+v became\n%+v", a, b2)
		}
		if x, err := CodecString(want); err != nil {
			t.Error(err)
		} else if y, err := CodecString(got[0].Track); err != nil || x != y {
			t.Errorf("%q became %q, %v", x, y, err)
		}
	})
}

// TestEveryCodec_FFprobe has ffprobe read each codec's entry without a complaint.
func TestEveryCodec_FFprobe(t *testing.T) {
	names := map[av.Codec]string{
		av.H264: "h264", av.H265: "hevc", av.AV1: "av1", av.VP9: "vp9", av.AAC: "aac",
		av.MP3: "mp3", av.Opus: "opus", av.FLAC: "flac", av.AC3: "ac3", av.EAC3: "eac3",
	}
	eachCodec(t, func(t *testing.T, tr Track, key []byte) {
		t.Parallel()
		b, err := AppendInit(nil, []Track{tr})
		if err != nil {
			t.Fatal(err)
		}
		payload, _ := SamplePayload(tr.Track, &av.Frame{Codec: tr.Codec, Payload: key})
		if b, err = AppendFragment(b, 1, []Run{{ID: 1, Samples: slices.Repeat([]Sample{{Duration: 960, Key: true, Payload: payload}}, 3)}}); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "one.mp4")
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got := strings.TrimRight(ffprobe(t, name), ",\n")
		if got != names[tr.Codec] {
			t.Errorf("ffprobe sees %q", got)
		}
		if list := sums(t, name, "0", false); len(list) != 3 {
			t.Errorf("%d packets", len(list))
		}
	})
}
