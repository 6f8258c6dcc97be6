package codec

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/av"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// recording is one line of what ffprobe says, with the files of that name.
type recording struct {
	name                         string
	codec                        av.Codec
	kind                         av.Kind
	profile                      string
	level, width, height         int
	frameRate                    float64
	sampleRate, channels         int
	duration                     float64 // of the first packet, in seconds
	config, key, inter, recovery []byte
	nalLengthSize                int
}

// number reads a number or a fraction; 0 if there is none.
func number(s string) float64 {
	n, d, ok := strings.Cut(s, "/")
	v, _ := strconv.ParseFloat(n, 64)
	if ok {
		w, _ := strconv.ParseFloat(d, 64)
		v /= w
	}
	return v
}

func recordings(t testing.TB) []recording {
	t.Helper()
	f, err := os.Open("testdata/ffprobe.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []recording
	for _, l := range lines[1:] {
		r := recording{
			name: l[0], profile: l[2], level: int(number(l[3])), width: int(number(l[4])), height: int(number(l[5])), frameRate: number(l[6]),
			sampleRate: int(number(l[7])), channels: int(number(l[8])), duration: number(l[9]), kind: av.Audio,
		}
		for _, c := range []byte(l[1]) {
			r.codec = r.codec<<8 | av.Codec(c)
		}
		if r.width > 0 {
			r.kind = av.Video
		}
		for suffix, b := range map[string]*[]byte{"config": &r.config, "key": &r.key, "inter": &r.inter, "recovery": &r.recovery} {
			if *b, err = os.ReadFile("testdata/" + r.name + "." + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		r.nalLengthSize = NALLengthSize(r.codec, r.config)
		out = append(out, r)
	}
	if len(out) == 0 {
		t.Fatal("no recordings")
	}
	return out
}

// want returns the track that a recording should be described as.
func (r *recording) want() av.Track {
	t := av.Track{Kind: r.kind, Codec: r.codec, Profile: r.profile, Size: av.Size{Width: r.width, Height: r.height}, SampleRate: r.sampleRate, Channels: r.channels}
	switch r.codec {
	case av.H264:
		t.Level, t.FrameRate = fmt.Sprintf("%d.%d", r.level/10, r.level%10), r.frameRate
	case av.H265:
		t.Level, t.FrameRate = fmt.Sprintf("%d.%d", r.level/30, r.level%30/3), r.frameRate
		switch r.name { // ffprobe knows no more than "Rext"
		case "h265-422-10":
			t.Profile = "Main 4:2:2 10"
		case "h265-444":
			t.Profile = "Main 4:4:4"
		}
	case av.AV1: // the rate is the container's
		t.Level = fmt.Sprintf("%d.%d", r.level/4+2, r.level%4)
	case av.VP8:
		t.Profile = ""
	}
	return t
}

func TestRecordings(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			want := r.want()
			if r.config != nil {
				got, err := Describe(r.codec, r.kind, r.config)
				if err != nil {
					t.Fatal(err)
				}
				want := want
				want.Config = r.config
				if r.codec == av.VP9 { // the record has the level, but no size
					want.Size = av.Size{}
					want.Level = got.Level
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("record: %+v, want %+v", got, want)
				}
			}
			got, err := DescribeFrame(r.codec, r.kind, r.key)
			switch {
			case r.codec == av.H264 || r.codec == av.H265 || r.codec == av.AAC: // the record has it all
				if err == nil {
					t.Errorf("frame: %+v", got)
				}
			case r.codec == av.Opus && r.channels > 2: // of the first stream only
				want.Channels = 2
				fallthrough
			default:
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("frame: %+v, %v; want %+v", got, err, want)
				}
			}
			if r.kind == av.Audio {
				if d := FrameDuration(r.codec, r.config, r.key).Seconds(); math.Abs(d-r.duration) > 1e-6 {
					t.Errorf("lasts %v s, want %v", d, r.duration)
				}
				if _, known := IsKey(r.codec, r.key, 0); known {
					t.Error("sound was judged")
				}
				return
			}
			if key, known := IsKey(r.codec, r.key, r.nalLengthSize); !key || !known {
				t.Errorf("key frame: key %v, known %v", key, known)
			}
			if key, known := IsKey(r.codec, r.inter, r.nalLengthSize); key || !known {
				t.Errorf("inter frame: key %v, known %v", key, known)
			}
			if r.recovery != nil {
				irap := r.codec == av.H265
				if key, known := IsKey(r.codec, r.recovery, r.nalLengthSize); key != irap || known != irap {
					t.Errorf("recovery point: key %v, known %v", key, known)
				}
			}
		})
	}
}

// annexB turns units behind lengths of 4 bytes into ones behind start codes.
func annexB(units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		b = append(append(b, 0, 0, 0, 1), u...)
	}
	return b
}

func TestInBand(t *testing.T) {
	for _, r := range recordings(t) {
		if r.codec != av.H264 && r.codec != av.H265 {
			continue
		}
		var in []byte // a set behind a length and behind a start code
		switch r.codec {
		case av.H264:
			n := int(r.config[6])<<8 | int(r.config[7])
			in = r.config[8 : 8+n]
		case av.H265:
			i := bytes.Index(r.config, []byte{33, 0, 1})
			n := int(r.config[i+3])<<8 | int(r.config[i+4])
			in = r.config[i+5 : i+5+n]
		}
		lengths := append([]byte{0, 0, 0, 2, 0x4c, 1, 0, 0, 0, byte(len(in))}, in...)
		for _, b := range [][]byte{annexB([]byte{0x4c, 1}, in, r.key[4:]), append(lengths, r.key...)} {
			got, err := DescribeFrame(r.codec, av.Video, b)
			if want := r.want(); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %+v, %v; want %+v", r.name, got, err, want)
			}
		}
		if key, known := IsKey(r.codec, annexB(in, r.key[4:]), 4); r.name[:8] == "h264-high" && (!key || !known) {
			t.Errorf("C-166 %s: key %v, known %v", r.name, key, known)
		}
	}
}

func TestDescribeRefused(t *testing.T) {
	for _, r := range recordings(t) {
		if r.config == nil {
			continue
		}
		for n := range r.config {
			got, err := Describe(r.codec, r.kind, r.config[:n])
			bare := av.Track{Kind: r.kind, Codec: r.codec, Config: r.config[:n]}
			if err != nil && !reflect.DeepEqual(got, bare) {
				t.Errorf("%s, %d bytes: %+v, %v", r.name, n, got, err)
			}
		}
		if _, err := Describe(r.codec, av.Data, r.config); err == nil {
			t.Errorf("%s was described as data", r.name)
		}
		if _, err := DescribeFrame(r.codec, av.Data, r.key); err == nil {
			t.Errorf("%s was described as data by a frame", r.name)
		}
	}
	for _, c := range []av.Codec{0, av.MP3, av.AC3, av.EAC3, av.PCMA, av.PCM, av.Speex} {
		if got, err := Describe(c, av.Audio, []byte{1, 2, 3}); err == nil {
			t.Errorf("%s: %+v", c, got)
		}
	}
	for _, c := range []av.Codec{0, av.VP6, av.VVC, av.SorensonH263} {
		if got, err := DescribeFrame(c, av.Video, []byte{1, 2, 3}); err == nil || !reflect.DeepEqual(got, av.Track{Codec: c}) {
			t.Errorf("%s: %+v, %v", c, got, err)
		}
	}
	if _, err := DescribeFrame(av.VP9, av.Video, []byte{0x86, 0, 0x40}); err == nil {
		t.Error("an inter frame of VP9 told its size")
	}
	if _, err := DescribeFrame(av.VP8, av.Video, []byte{0x11, 0, 0}); err == nil {
		t.Error("an inter frame of VP8 told its size")
	}
}

func TestC164_Configurations(t *testing.T) {
	for _, c := range []struct {
		name   string
		codec  av.Codec
		config string
		size   int
		ok     bool
	}{
		{"lengths of 1 byte", av.H264, "0142001efce000", 1, true},
		{"lengths of 2 bytes", av.H264, "0142001efde000", 2, true},
		{"lengths of 3 bytes", av.H264, "0142001efee000", 0, false},
		{"lengths of 4 bytes", av.H264, "0142001effe000", 4, true},
		{"31 sets that are not there", av.H264, "0142001effff", 4, false},
		{"cut short behind the lengths", av.H264, "0142001eff", 4, false},
		{"cut short before", av.H264, "0142001e", 0, false},
		{"nothing", av.H264, "", 0, false},
		{"an H.265 record", av.H265, "0101600000009000000000001ef000fcfdf8f800000d00", 2, true},
		{"an H.265 record with lengths of 3 bytes", av.H265, "0101600000009000000000001ef000fcfdf8f800000e00", 0, false},
		{"an H.266 record", av.VVC, "fe00", 4, true},
		{"an H.266 record with lengths of 3 bytes", av.VVC, "fc00", 0, true},
		{"an H.266 record in its box", av.VVC, "00000000fa00", 2, true},
		{"an H.266 record that is none", av.VVC, "0100", 0, false},
		{"an AV1 record", av.AV1, "81000c00", 0, true},
	} {
		b := unhex(c.config)
		if got := NALLengthSize(c.codec, b); got != c.size {
			t.Errorf("C-164 %s: lengths of %d bytes", c.name, got)
		}
		if _, err := Describe(c.codec, av.Video, b); (err == nil) != c.ok {
			t.Errorf("C-164 %s: %v", c.name, err)
		}
	}
}

func TestC165_DamagedParameterSet(t *testing.T) {
	got, err := Describe(av.H264, av.Video, unhex("0164001fffe1000867640000000000000100"+"0168"))
	if err != nil || got.Profile != "High" || got.Level != "3.1" || got.Size != (av.Size{}) {
		t.Errorf("C-165 %+v, %v", got, err)
	}
}

func TestC174_OpusWithoutHeader(t *testing.T) {
	for _, config := range [][]byte{nil, {}} {
		got, err := Describe(av.Opus, av.Audio, config)
		if err != nil || got.SampleRate != 48000 || got.Channels != 2 {
			t.Errorf("C-174 %+v, %v", got, err)
		}
	}
	if got, err := Describe(av.Opus, av.Audio, []byte("OpusHe")); err == nil || got.SampleRate != 0 {
		t.Errorf("C-174 half a header: %+v, %v", got, err)
	}
}

func TestC176_ADTS(t *testing.T) {
	one := unhex("fff150800" + "17ffc21100400")
	got, err := DescribeFrame(av.AAC, av.Audio, one)
	if err != nil || got.SampleRate != 44100 || got.Channels != 2 || got.Profile != "LC" {
		t.Errorf("C-176 %+v, %v", got, err)
	}
	for n, want := range map[int]time.Duration{1: 23219955, 2: 46439909} {
		if d := FrameDuration(av.AAC, unhex("1210"), bytes.Repeat(one, n)); d != want {
			t.Errorf("C-176 %d frames last %v", n, d)
		}
	}
}

func TestFrameDuration(t *testing.T) {
	for _, c := range []struct {
		name            string
		codec           av.Codec
		config, payload string
		want            time.Duration
	}{
		{"AAC", av.AAC, "1190", "2110", 21333333},
		{"AAC, 960 samples", av.AAC, "1194", "2110", 20 * time.Millisecond},
		{"HE-AAC, by the core's rate", av.AAC, "2b920800", "2110", 46439909},
		{"AAC without configuration", av.AAC, "", "2110", 0},
		{"AAC, empty", av.AAC, "1190", "", 0},
		{"USAC", av.AAC, "f9464000", "2110", 0},
		{"G.711", av.PCMU, "", strings.Repeat("ff", 160), 20 * time.Millisecond},
		{"FLAC, rate in the record", av.FLAC, "664c614380000022120012000004070005" + "0a0ac442f0000056228eb4f38c6d95c20efdc6beee632a277b", "fff810000028", 4353741},
		{"FLAC without record", av.FLAC, "", "fff810000028", 0},
		{"FLAC, damaged", av.FLAC, "", "fff810000029", 0},
		{"Opus, damaged", av.Opus, "", "03", 0},
		{"MP3, damaged", av.MP3, "", "fffb", 0},
		{"H.264", av.H264, "", "000000", 0},
	} {
		if got := FrameDuration(c.codec, unhex(c.config), unhex(c.payload)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// codecs are all that are described, and some that are not. Seeds of the fuzz target hold
// places in it: append only.
var codecs = []av.Codec{
	av.H264, av.H265, av.VVC, av.AV1, av.VP8, av.VP9, av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3, av.PCMA, av.PCMU,
	av.VP6, av.Speex, 0,
}

func TestNeedsConfig(t *testing.T) {
	want := map[av.Codec]bool{av.H264: true, av.H265: true, av.VVC: true, av.AV1: true, av.AAC: true, av.FLAC: true}
	for _, c := range codecs {
		if got := NeedsConfig(c); got != want[c] {
			t.Errorf("%s: %v", c, got)
		}
	}
}

func TestVVC(t *testing.T) {
	record := "ff" + "003d" + "5f" + "01" + "02" + "53" + "c0" + "80" + "43" + "01" + "00000001" + "0f000870" + "3c00" + "00"
	for _, prefix := range []string{"", "00000000"} {
		in := unhex(prefix + record)
		got, err := Describe(av.VVC, av.Video, in)
		want := av.Track{Codec: av.VVC, Config: in, Profile: "Main 10", Level: "5.1", Size: av.Size{Width: 3840, Height: 2160}, FrameRate: 60}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		for n := range len(in) - 1 {
			if _, err := Describe(av.VVC, av.Video, in[:n]); err == nil || n > 4 && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes: %v", n, err)
			}
		}
	}
	for _, c := range []struct {
		name, in   string
		key, known bool
	}{
		{"IDR", "\x00\x00\x00\x02\x00\x79\x00\x00\x00\x03\x00\x39\x80", true, true},
		{"CRA", "\x00\x00\x00\x03\x00\x49\x80", true, true},
		{"gradual refresh", "\x00\x00\x00\x03\x00\x51\x80", false, false},
		{"inter", "\x00\x00\x00\x03\x00\x01\x80", false, true},
		{"Annex B", "\x00\x00\x00\x01\x00\xa1\x00\x00\x01\x00\x41\x80", true, true},
		{"no slice", "\x00\x00\x00\x02\x00\x79\x00\x00\x00\x01\x00", false, false},
	} {
		if key, known := IsKey(av.VVC, []byte(c.in), 4); key != c.key || known != c.known {
			t.Errorf("%s: key %v, known %v", c.name, key, known)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, r := range recordings(t) {
		if n := testing.AllocsPerRun(20, func() {
			IsKey(r.codec, r.key, r.nalLengthSize)
			IsKey(r.codec, r.recovery, r.nalLengthSize)
		}); n != 0 {
			t.Errorf("%s: IsKey makes %v allocations", r.name, n)
		}
		if n := testing.AllocsPerRun(20, func() { FrameDuration(r.codec, r.config, r.key) }); n != 0 && r.name != "aac-48000-7" {
			t.Errorf("%s: FrameDuration makes %v allocations", r.name, n)
		}
	}
}

// FuzzCodec gives b to the whole door, as every codec.
func FuzzCodec(f *testing.F) {
	for _, r := range recordings(f) {
		f.Add(uint8(slices.Index(codecs, r.codec)), r.config, r.key)
	}
	f.Add(uint8(slices.Index(codecs, av.VVC)), unhex("fe00"), []byte("\x00\x00\x00\x03\x00\x51\x80"))
	f.Fuzz(func(t *testing.T, codec uint8, config, payload []byte) {
		c := codecs[int(codec)%len(codecs)]
		for _, kind := range []av.Kind{av.Video, av.Audio} {
			for i, describe := range []func(av.Codec, av.Kind, []byte) (av.Track, error){Describe, DescribeFrame} {
				tr, err := describe(c, kind, [][]byte{config, payload}[i])
				if tr.Size.Width < 0 || tr.Size.Width > 16384 || tr.Size.Height < 0 || tr.Size.Height > 16384 || tr.FrameRate < 0 || tr.FrameRate > 1000 || tr.SampleRate < 0 || tr.Channels < 0 {
					t.Fatalf("%+v", tr)
				}
				if tr.Config = nil; err != nil && !reflect.DeepEqual(tr, av.Track{Kind: kind, Codec: c}) {
					t.Fatalf("%+v, %v", tr, err)
				}
			}
		}
		size := NALLengthSize(c, config)
		if size != 0 && size != 1 && size != 2 && size != 4 {
			t.Fatal(size)
		}
		if key, known := IsKey(c, payload, size); key && !known {
			t.Fatal("key, but not known")
		}
		if d := FrameDuration(c, config, payload); d < 0 {
			t.Fatal(d)
		}
	})
}

func BenchmarkIsKey(b *testing.B) {
	for _, r := range recordings(b) {
		switch r.name {
		case "h264-high", "h265-main", "av1-main", "vp8", "vp9-0":
			for suffix, in := range map[string][]byte{"key": r.key, "inter": r.inter} {
				b.Run(r.name+"."+suffix, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						IsKey(r.codec, in, r.nalLengthSize)
					}
				})
			}
		}
	}
}

func BenchmarkFrameDuration(b *testing.B) {
	for _, r := range recordings(b) {
		switch r.name {
		case "aac-44100-2", "mp3-44100-1", "opus-2", "flac-44100-2", "ac3-48000-2":
			b.Run(r.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					FrameDuration(r.codec, r.config, r.key)
				}
			})
		}
	}
}
