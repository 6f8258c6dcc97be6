package flv

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"weir/amf"
	"weir/av"
)

func script(t *testing.T, vs ...amf.Value) []byte {
	t.Helper()
	b, err := amf.Append(nil, vs...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseMetadata(t *testing.T) {
	props := amf.Object{{Key: "width", Value: 16.0}, {Key: "encoder", Value: "x"}}
	for _, c := range []struct {
		name     string
		in       []byte
		wantName string
		want     amf.Object
		err      error
	}{
		{"C-155 object", script(t, "onMetaData", props), "onMetaData", props, nil},
		{"ECMA array", script(t, "onMetaData", amf.ECMAArray(props)), "onMetaData", props, nil},
		{"behind @setDataFrame", script(t, "@setDataFrame", "onMetaData", props), "onMetaData", props, nil},
		{"values before it", script(t, "onCuePoint", 1.0, nil, props), "onCuePoint", props, nil},
		{"no object", script(t, "onTextData", 1.0), "onTextData", nil, nil},
		{"name only", script(t, "onTextData"), "onTextData", nil, nil},
		{
			"end marker missing", unhex("02000a6f6e4d65746144617461" + "08000000000005" + "7769647468" + "004030000000000000"),
			"onMetaData",
			amf.Object{{Key: "width", Value: 16.0}},
			nil,
		},
		{"no name", script(t, 1.0, props), "", nil, ErrReserved},
		{"empty name", script(t, "", props), "", nil, ErrReserved},
		{"truncated", script(t, "onMetaData", "long enough")[:20], "onMetaData", nil, amf.ErrTruncated},
		{"C-156 too long", script(t, "onMetaData", strings.Repeat("x", 65536)), "", nil, ErrLimit},
		{"value at the end", script(t, "onMetaData", nil, true), "onMetaData", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, got, err := ParseMetadata(c.in)
			if name != c.wantName || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("%q, %v, want %q, %v", name, err, c.wantName, c.err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, _, err := ParseMetadata(nil); err == nil {
		t.Error("nothing is metadata")
	}
}

func prop(key string, v amf.Value) amf.Property { return amf.Property{Key: key, Value: v} }

func TestBuildMetadata(t *testing.T) {
	h264 := av.Track{Kind: av.Video, Codec: av.H264, Profile: "High", Size: av.Size{Width: 1280, Height: 720}, FrameRate: 25}
	aac := av.Track{Kind: av.Audio, Codec: av.AAC, SampleRate: 48000, Channels: 2}
	aacFacts := amf.Object{prop("audiocodecid", 10.0), prop("audiosamplerate", 48000.0), prop("audiosamplesize", 16.0), prop("stereo", true), prop("audiochannels", 2.0)}
	h264Facts := amf.Object{prop("width", 1280.0), prop("height", 720.0), prop("framerate", 25.0), prop("videocodecid", 7.0)}
	with := func(parts ...amf.Object) (o amf.Object) {
		for _, p := range parts {
			o = append(o, p...)
		}
		return o
	}
	for _, c := range []struct {
		name   string
		tracks []av.Track
		extra  amf.Object
		want   amf.Object
	}{
		{"nothing", nil, nil, nil},
		{"C-154 from the tracks alone", []av.Track{h264, aac}, nil, with(h264Facts, aacFacts)},
		{
			"publisher's codec and size are not believed",
			[]av.Track{aac, h264},
			amf.Object{
				prop("duration", 0.0), prop("fileSize", 0.0), prop("width", 1.0), prop("height", 1.0), prop("displayWidth", 1.0),
				prop("videocodecid", "avc1"), prop("videodatarate", 2500.0), prop("framerate", 60.0), prop("avclevel", 31.0),
				prop("audiocodecid", "mp4a"), prop("audiodatarate", 160.0), prop("audiosamplerate", 1.0), prop("audiochannels", 6.0),
				prop("stereo", false), prop("5.1", false), prop("hasVideo", true), prop("keyframes", amf.Object{}), prop("encoder", "obs"),
			},
			with(h264Facts, aacFacts, amf.Object{prop("videodatarate", 2500.0), prop("audiodatarate", 160.0), prop("5.1", false), prop("encoder", "obs")}),
		},
		{
			"publisher fills in what tracks do not tell",
			[]av.Track{{Kind: av.Video, Codec: av.H264}, {Kind: av.Audio, Codec: av.MP3}},
			amf.Object{
				prop("width", 640.0), prop("height", 480.0), prop("fps", 30.0), prop("displayWidth", 854.0), prop("avclevel", 31.0),
				prop("audiosamplerate", 44100.0), prop("audiosamplesize", 24.0), prop("stereo", true),
			},
			amf.Object{
				prop("width", 640.0), prop("height", 480.0), prop("framerate", 30.0), prop("videocodecid", 7.0),
				prop("audiocodecid", 2.0), prop("audiosamplerate", 44100.0), prop("audiosamplesize", 24.0), prop("stereo", true),
				prop("displayWidth", 854.0), prop("avclevel", 31.0),
			},
		},
		{
			"publisher's nonsense does not",
			[]av.Track{{Kind: av.Video, Codec: av.H264}, {Kind: av.Audio, Codec: av.MP3}},
			amf.Object{
				prop("width", math.NaN()), prop("height", 480.0), prop("framerate", math.Inf(1)), prop("fps", "30"),
				prop("audiosamplerate", -1.0), prop("audiosamplesize", 0.0), prop("audiochannels", 1e300), prop("stereo", 1.0),
			},
			amf.Object{prop("videocodecid", 7.0), prop("audiocodecid", 2.0), prop("audiosamplesize", 16.0)},
		},
		{
			"C-157 C-158 audio is not there",
			[]av.Track{h264},
			amf.Object{prop("audiocodecid", 10.0), prop("audiodatarate", 128.0), prop("stereo", true), prop("aacaot", 2.0), prop("2.1", false), prop("hasAudio", true), prop("title", "t")},
			with(h264Facts, amf.Object{prop("title", "t")}),
		},
		{
			"C-158 video is not there",
			[]av.Track{aac},
			amf.Object{prop("width", 1.0), prop("height", 1.0), prop("framerate", 1.0), prop("videocodecid", 7.0), prop("videodatarate", 1.0), prop("frameHeight", 1.0), prop("avcprofile", 66.0)},
			aacFacts,
		},
		{
			"FourCC numbers",
			[]av.Track{{Kind: av.Video, Codec: av.H265}, {Kind: av.Audio, Codec: av.Opus, Channels: 6}},
			nil,
			amf.Object{prop("videocodecid", 1752589105.0), prop("audiocodecid", 1332770163.0), prop("audiosamplesize", 16.0), prop("stereo", false), prop("audiochannels", 6.0)},
		},
		{
			"AV1 and AC-3",
			[]av.Track{{Kind: av.Video, Codec: av.AV1}, {Kind: av.Audio, Codec: av.AC3}},
			nil,
			amf.Object{prop("videocodecid", 1635135537.0), prop("audiocodecid", 1633889587.0), prop("audiosamplesize", 16.0)},
		},
		{
			"codecs without a name",
			[]av.Track{{Kind: av.Video, Codec: opaque("vid", 8)}, {Kind: av.Audio, Codec: opaque("aud", 12)}},
			nil,
			amf.Object{prop("videocodecid", 8.0), prop("audiocodecid", 12.0), prop("audiosamplesize", 16.0)},
		},
		{
			"more tracks",
			[]av.Track{
				h264,
				{Kind: av.Video, ID: 1, Codec: av.H265, Size: av.Size{Width: 640, Height: 360}},
				aac,
				{Kind: av.Audio, ID: 2, Codec: av.AAC, SampleRate: 44100, Channels: 1},
			},
			amf.Object{
				prop("videoTrackIdInfoMap", amf.ECMAArray{
					prop("1", amf.Object{prop("videodatarate", 500.0), prop("width", 1.0), prop("videocodecid", 7.0)}),
					prop("5", amf.Object{prop("videodatarate", 1.0)}),
				}),
				prop("audioTrackIdInfoMap", "nonsense"),
			},
			with(h264Facts, aacFacts, amf.Object{
				prop("videoTrackIdInfoMap", amf.Object{prop("1", amf.Object{prop("width", 640.0), prop("height", 360.0), prop("videocodecid", 1752589105.0), prop("videodatarate", 500.0)})}),
				prop("audioTrackIdInfoMap", amf.Object{prop("2", amf.Object{prop("audiocodecid", 10.0), prop("samplerate", 44100.0), prop("channels", 1.0)})}),
			}),
		},
		{
			"last duplicate wins",
			[]av.Track{aac},
			amf.Object{prop("a", 1.0), prop("b", 2.0), prop("a", 3.0), prop("", 4.0)},
			with(aacFacts, amf.Object{prop("a", 3.0), prop("b", 2.0)}),
		},
		{
			"C-156 what does not fit",
			[]av.Track{aac},
			amf.Object{prop("big", strings.Repeat("x", 65536)), prop(strings.Repeat("k", 1<<16), 1.0), prop("odd", struct{}{}), prop("small", "x")},
			with(aacFacts, amf.Object{prop("small", "x")}),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := BuildMetadata(c.tracks, c.extra)
			vs, err := amf.DecodeAll(b, amf.Limits{})
			if err != nil || len(vs) != 2 || vs[0] != "onMetaData" {
				t.Fatalf("%v, %v", vs, err)
			}
			got, ok := vs[1].(amf.ECMAArray)
			if !ok {
				t.Fatalf("%T", vs[1])
			}
			if diff := cmp.Diff(c.want, amf.Object(got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if b[13] != 8 || int(b[16])<<8|int(b[17]) != len(got) {
				t.Errorf("array head %x for %d properties", b[13:18], len(got))
			}
		})
	}
}

// TestMetadataIsBounded builds from whatever a publisher may have sent.
func TestMetadataIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var extra amf.Object
		for range rapid.IntRange(0, 200).Draw(t, "n") {
			extra = append(extra, prop(rapid.String().Draw(t, "key"), strings.Repeat("v", rapid.IntRange(0, 2000).Draw(t, "len"))))
		}
		b := BuildMetadata([]av.Track{{Kind: av.Audio, Codec: av.AAC}}, extra)
		if len(b) > 65536 {
			t.Fatalf("%d bytes", len(b))
		}
		name, props, err := ParseMetadata(b)
		if err != nil || name != "onMetaData" {
			t.Fatal(name, err)
		}
		if again := BuildMetadata([]av.Track{{Kind: av.Audio, Codec: av.AAC}}, props); string(again) != string(b) {
			t.Fatal("building from what was built gives something else")
		}
	})
}
