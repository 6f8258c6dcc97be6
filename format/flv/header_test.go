package flv

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/av"
)

// TestForms says how one body is written for each kind of player; "" means not at all.
func TestForms(t *testing.T) {
	const hvc1, avc1, av01, opus, mp4a = "68766331", "61766331", "61763031", "4f707573", "6d703461"
	for _, c := range []struct {
		name                                     string
		typ                                      TagType
		in                                       string
		needed, private, always, never, received string
		hevc12, single, noModEx                  string
	}{
		{
			"AVC", TagVideo, "1701000028aa",
			"1701000028aa", "1701000028aa", "91" + avc1 + "000028aa", "1701000028aa", "1701000028aa",
			"1701000028aa", "1701000028aa", "1701000028aa",
		},
		{
			"AVC, generated key", TagVideo, "4701000000aa",
			"4701000000aa", "4701000000aa", "c3" + avc1 + "aa", "4701000000aa", "4701000000aa",
			"4701000000aa", "4701000000aa", "4701000000aa",
		},
		{
			"AVC sequence header", TagVideo, "1700000000aa",
			"1700000000aa", "1700000000aa", "90" + avc1 + "aa", "1700000000aa", "1700000000aa",
			"1700000000aa", "1700000000aa", "1700000000aa",
		},
		{
			"AVC command", TagVideo, "5700",
			"5700", "5700", "d100", "5700", "5700", "5700", "5700", "5700",
		},
		{
			"avc1", TagVideo, "a3" + avc1 + "aa",
			"2701000000aa", "2701000000aa", "a3" + avc1 + "aa", "2701000000aa", "a3" + avc1 + "aa",
			"2701000000aa", "2701000000aa", "2701000000aa",
		},
		{
			"avc1 Metadata has no legacy form", TagVideo, "94" + avc1 + "aa",
			"", "", "94" + avc1 + "aa", "", "94" + avc1 + "aa", "", "", "",
		},
		{
			"HEVC 12", TagVideo, "2c01000028aa",
			"2c01000028aa", "a1" + hvc1 + "000028aa", "a1" + hvc1 + "000028aa", "2c01000028aa", "2c01000028aa",
			"2c01000028aa", "2c01000028aa", "2c01000028aa",
		},
		{
			"hvc1", TagVideo, "a3" + hvc1 + "aa",
			"a3" + hvc1 + "aa", "a3" + hvc1 + "aa", "a3" + hvc1 + "aa", "", "a3" + hvc1 + "aa",
			"2c01000000aa", "a3" + hvc1 + "aa", "a3" + hvc1 + "aa",
		},
		{
			"hvc1 SequenceStart", TagVideo, "90" + hvc1 + "aa",
			"90" + hvc1 + "aa", "90" + hvc1 + "aa", "90" + hvc1 + "aa", "", "90" + hvc1 + "aa",
			"1c00000000aa", "90" + hvc1 + "aa", "90" + hvc1 + "aa",
		},
		{
			"hvc1 SequenceEnd", TagVideo, "92" + hvc1,
			"92" + hvc1, "92" + hvc1, "92" + hvc1, "", "92" + hvc1, "1c02000000", "92" + hvc1, "92" + hvc1,
		},
		{
			"hvc1 Metadata", TagVideo, "94" + hvc1 + "aa",
			"94" + hvc1 + "aa", "94" + hvc1 + "aa", "94" + hvc1 + "aa", "", "94" + hvc1 + "aa",
			"", "94" + hvc1 + "aa", "94" + hvc1 + "aa",
		},
		{
			"hvc1, half a millisecond", TagVideo, "a7" + "0207a12001" + hvc1 + "000002" + "aa",
			"a7" + "0207a12001" + hvc1 + "000002aa", "a7" + "0207a12001" + hvc1 + "000002aa", "a7" + "0207a12001" + hvc1 + "000002aa", "",
			"a7" + "0207a12001" + hvc1 + "000002aa",
			"2c01000003aa", "a7" + "0207a12001" + hvc1 + "000002aa", "a1" + hvc1 + "000003aa",
		},
		{
			"AV1 13", TagVideo, "1d01000000aa",
			"1d01000000aa", "91" + av01 + "aa", "91" + av01 + "aa", "1d01000000aa", "1d01000000aa",
			"1d01000000aa", "1d01000000aa", "1d01000000aa",
		},
		{
			"Sorenson H.263", TagVideo, "22aa",
			"22aa", "22aa", "22aa", "22aa", "22aa", "22aa", "22aa", "22aa",
		},
		{
			"unknown codec id", TagVideo, "28aa",
			"28aa", "28aa", "28aa", "28aa", "28aa", "28aa", "28aa", "28aa",
		},
		{
			"C-173 OneTrack of track 0", TagVideo, "a6" + "01" + av01 + "00" + "aa",
			"a1" + av01 + "aa", "a1" + av01 + "aa", "a1" + av01 + "aa", "", "a601" + av01 + "00aa",
			"a1" + av01 + "aa", "a1" + av01 + "aa", "a1" + av01 + "aa",
		},
		{
			"C-173 OneTrack of track 1", TagVideo, "a6" + "03" + avc1 + "01" + "aa",
			"a603" + avc1 + "01aa", "a603" + avc1 + "01aa", "a603" + avc1 + "01aa", "", "a603" + avc1 + "01aa",
			"a603" + avc1 + "01aa", "", "a603" + avc1 + "01aa",
		},
		{
			"C-173 ManyTracks of track 0", TagVideo, "a6" + "11" + avc1 + "00" + "000004" + "000028" + "aa",
			"2701000028aa", "2701000028aa", "a1" + avc1 + "000028aa", "2701000028aa", "a601" + avc1 + "00000028aa",
			"2701000028aa", "2701000028aa", "2701000028aa",
		},
		{
			"AAC", TagAudio, "ae01aa",
			"ae01aa", "ae01aa", "91" + mp4a + "aa", "ae01aa", "ae01aa", "ae01aa", "ae01aa", "ae01aa",
		},
		{
			"mp4a", TagAudio, "91" + mp4a + "aa",
			"af01aa", "af01aa", "91" + mp4a + "aa", "af01aa", "91" + mp4a + "aa", "af01aa", "af01aa", "af01aa",
		},
		{
			"mp4a SequenceEnd has no legacy form", TagAudio, "92" + mp4a,
			"", "", "92" + mp4a, "", "92" + mp4a, "", "", "",
		},
		{
			"Opus", TagAudio, "91" + opus + "aa",
			"91" + opus + "aa", "91" + opus + "aa", "91" + opus + "aa", "", "91" + opus + "aa",
			"91" + opus + "aa", "91" + opus + "aa", "91" + opus + "aa",
		},
		{
			"G.711", TagAudio, "72aa",
			"72aa", "72aa", "72aa", "72aa", "72aa", "72aa", "72aa", "72aa",
		},
		{
			"script", TagScript, "02000161",
			"02000161", "02000161", "02000161", "02000161", "02000161", "02000161", "02000161", "02000161",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Demuxer
			fs, err := d.Demux(nil, c.typ, start, unhex(c.in))
			if err != nil || len(fs) != 1 {
				t.Fatal(fs, err)
			}
			for _, w := range []struct {
				name string
				form Form
				want string
			}{
				{"WhenNeeded", Form{}, c.needed},
				{"ForPrivate", Form{Enhanced: ForPrivate}, c.private},
				{"Always", Form{Enhanced: Always}, c.always},
				{"Never", Form{Enhanced: Never}, c.never},
				{"AsReceived", Form{Enhanced: AsReceived}, c.received},
				{"HEVC12", Form{HEVC12: true}, c.hevc12},
				{"SingleTrack", Form{SingleTrack: true}, c.single},
				{"NoModEx", Form{NoModEx: true}, c.noModEx},
			} {
				out, ok := body(&fs[0], w.form)
				if ok != (w.want != "") || ok && !bytes.Equal(out, unhex(w.want)) {
					t.Errorf("%s: %x, %v, want %q", w.name, out, ok, w.want)
				}
				if prefix, ok := AppendHeader([]byte("x"), &fs[0], w.form); prefix[0] != 'x' || !ok && len(prefix) != 1 {
					t.Errorf("%s: dst became %x", w.name, prefix)
				}
			}
		})
	}
}

// TestCorrectedFlags says that a frame's flags win over the frame type that it came with.
func TestCorrectedFlags(t *testing.T) {
	for _, c := range []struct {
		in    string
		flags av.Flags
		first byte
	}{
		{"2701000000aa", av.Key, 0x17},
		{"1701000000aa", 0, 0x27},
		{"4701000000aa", av.Disposable, 0x37},
		{"3701000000aa", av.Key | av.Disposable, 0x17},
		{"4701000000aa", av.Key | av.Discontinuity, 0x47},
		{"6701000000aa", 0, 0x67},
		{"91" + "61763031" + "aa", 0, 0xA1},
	} {
		var d Demuxer
		fs, err := d.Demux(nil, TagVideo, 0, unhex(c.in))
		if err != nil {
			t.Fatal(err)
		}
		fs[0].Flags = c.flags
		h, ok := AppendHeader(nil, &fs[0], Form{})
		if !ok || h[0] != c.first {
			t.Errorf("%s with flags %b: %x, want %x", c.in, c.flags, h, c.first)
		}
	}
}

func TestInexpressible(t *testing.T) {
	for name, f := range map[string]av.Frame{
		"unknown codec":               {Kind: av.Video, Codec: 'n'},
		"no codec":                    {Kind: av.Audio},
		"audio codec as video":        {Kind: av.Video, Codec: av.AAC},
		"configuration of G.711":      {Kind: av.Audio, Codec: av.PCMA, Type: av.Config},
		"configuration of Sorenson":   {Kind: av.Video, Codec: av.SorensonH263, Type: av.Config},
		"second track of G.711":       {Kind: av.Audio, Codec: av.PCMA, Track: 1},
		"command of a second track":   {Kind: av.Video, Codec: av.H264, Type: av.Command, Track: 1},
		"command of audio":            {Kind: av.Audio, Codec: av.Opus, Type: av.Command},
		"silence of video":            {Kind: av.Video, Type: av.Silence},
		"silence of a second track":   {Kind: av.Audio, Type: av.Silence, Track: 1},
		"silence with a payload":      {Kind: av.Audio, Type: av.Silence, Payload: []byte{1}},
		"script as video":             {Kind: av.Video, Codec: av.H265, Type: av.Script},
		"media as data":               {Kind: av.Data},
		"unknown kind":                {Kind: 9},
		"unknown type":                {Kind: av.Video, Codec: av.H264, Type: 99},
		"composition time, legacy":    {Kind: av.Video, Codec: av.H264, PTS: (1 << 23) * ms},
		"composition time, enhanced":  {Kind: av.Video, Codec: av.H265, PTS: -(1<<23 + 1) * ms},
		"command of a wrong wire":     {Kind: av.Video, Type: av.Command, Wire: wireOf(0x97, packetModEx)},
		"silence with a track's wire": {Kind: av.Video, Type: av.Silence, Wire: wireOf(0x96, 0) | wireMultitrack},
	} {
		for e := WhenNeeded; e <= AsReceived; e++ {
			if h, ok := AppendHeader(nil, &f, Form{Enhanced: e}); ok || len(h) > 0 {
				t.Errorf("%s in form %d: %x, %v", name, e, h, ok)
			}
		}
	}
}

// TestForeignSide says that ModEx blocks that are none are left out.
func TestForeignSide(t *testing.T) {
	for _, side := range []string{"00", "020c3500", "00001700", "000013ff"} {
		f := av.Frame{Kind: av.Video, Codec: av.H265, Side: unhex(side), Payload: []byte{1}}
		out, ok := body(&f, Form{})
		if !ok || !bytes.Equal(out, unhex("a36876633101")) {
			t.Errorf("side %s: %x, %v", side, out, ok)
		}
	}
}

// TestLegacyCodecs writes media of codecs that only legacy headers know.
func TestLegacyCodecs(t *testing.T) {
	for k, codecs := range map[av.Kind][]av.Codec{
		av.Video: {av.SorensonH263, av.ScreenVideo, av.ScreenVideo2, av.VP6, av.VP6Alpha, opaque("vid", 15)},
		av.Audio: {av.PCM, av.ADPCM, av.Nellymoser, av.PCMA, av.PCMU, av.Speex, opaque("aud", 12), opaque("aud", 13), opaque("aud", 15)},
	} {
		for _, codec := range codecs {
			for e := WhenNeeded; e <= AsReceived; e++ {
				f := av.Frame{Kind: k, Codec: codec, Payload: []byte{1, 2}}
				out, ok := body(&f, Form{Enhanced: e})
				var d Demuxer
				fs, err := d.Demux(nil, TagTypeOf(&f), 0, out)
				if !ok || err != nil || fs[0].Codec != codec || !bytes.Equal(fs[0].Payload, f.Payload) {
					t.Errorf("%v in form %d: %x, %v, %v, %v", codec, e, out, ok, fs, err)
				}
			}
		}
	}
}

// TestRoundTripOfFrames writes any frame that other ingests may make and reads it back.
func TestRoundTripOfFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFrame(t)
		form := Form{
			Enhanced:    rapid.SampledFrom([]Enhanced{WhenNeeded, ForPrivate, Always, AsReceived}).Draw(t, "enhanced"),
			HEVC12:      rapid.Bool().Draw(t, "hevc12"),
			SingleTrack: rapid.Bool().Draw(t, "single"),
		}
		out, ok := body(&f, form)
		if !ok {
			if !form.SingleTrack && form.Enhanced == Always && !form.HEVC12 {
				t.Fatalf("%+v cannot be written", f)
			}
			return
		}
		var d Demuxer
		fs, err := d.Demux(nil, TagTypeOf(&f), f.DTS, out)
		if err != nil || len(fs) != 1 {
			t.Fatalf("%x: %v, %v", out, fs, err)
		}
		g := fs[0]
		if g.Kind != f.Kind || g.Type != f.Type || g.Flags != f.Flags || g.Track != f.Track || g.Codec != f.Codec ||
			g.DTS != f.DTS || g.PTS != f.PTS || !bytes.Equal(g.Payload, f.Payload) {
			t.Fatalf("%x:\n%+v became\n%+v", out, f, g)
		}
		again, ok := body(&g, Form{Enhanced: AsReceived})
		if !ok || !bytes.Equal(again, out) {
			t.Fatalf("%x became %x", out, again)
		}
		if same, ok := body(&g, form); !ok || !bytes.Equal(same, out) {
			t.Fatalf("%x became %x in the same form", out, same)
		}
	})
}

func drawFrame(t *rapid.T) av.Frame {
	f := av.Frame{DTS: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "dts")) * ms}
	f.PTS = f.DTS
	f.Payload = rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "payload")
	f.Track = rapid.SampledFrom([]uint8{0, 0, 1, 255}).Draw(t, "track")
	if rapid.Bool().Draw(t, "video") {
		f.Kind = av.Video
		f.Codec = rapid.SampledFrom([]av.Codec{av.H264, av.H265, av.VVC, av.AV1, av.VP8, av.VP9}).Draw(t, "codec")
		f.Type = rapid.SampledFrom([]av.Type{av.Media, av.Media, av.Config, av.End, av.Meta}).Draw(t, "type")
		if f.Type == av.Media {
			f.Flags = rapid.SampledFrom([]av.Flags{0, av.Key, av.Disposable}).Draw(t, "flags")
			if hasCompositionTime(f.Codec) {
				f.PTS += time.Duration(rapid.IntRange(-1<<23, 1<<23-1).Draw(t, "cts")) * ms
			}
		}
	} else {
		f.Kind = av.Audio
		f.Codec = rapid.SampledFrom([]av.Codec{av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3}).Draw(t, "codec")
		f.Type = rapid.SampledFrom([]av.Type{av.Media, av.Media, av.Config, av.End}).Draw(t, "type")
	}
	return f
}
