package aac

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"reflect"
	"testing"

	"weir/codec/bits"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// testdata reads a file of the recorded records and frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fields writes fields of the widths given, each followed by its value.
func fields(v ...uint64) []byte {
	var w bits.Writer
	for i := 0; i < len(v); i += 2 {
		w.U(int(v[i]), v[i+1])
	}
	return w.Bytes()
}

// configs drive reading and, where written is true, writing. core is how many bytes must be there.
var configs = []struct {
	name     string
	in       []byte
	core     int
	written  bool
	want     Config
	channels int
	rate     int
	profile  string
}{
	{"LC", unhex("1210"), 2, true, Config{ObjectType: LC, SampleRate: 44100, ChannelConfig: 2, FrameLength: 1024}, 2, 44100, "LC"},
	{"LC, 48 kHz", unhex("1190"), 2, true, Config{ObjectType: LC, SampleRate: 48000, ChannelConfig: 2, FrameLength: 1024}, 2, 48000, "LC"},
	{"LC, 16 kHz, mono", unhex("1408"), 2, true, Config{ObjectType: LC, SampleRate: 16000, ChannelConfig: 1, FrameLength: 1024}, 1, 16000, "LC"},
	{"LC, 960 samples", unhex("1194"), 2, true, Config{ObjectType: LC, SampleRate: 48000, ChannelConfig: 2, FrameLength: 960}, 2, 48000, "LC"},
	{"LC, 7.1", unhex("11b8"), 2, true, Config{ObjectType: LC, SampleRate: 48000, ChannelConfig: 7, FrameLength: 1024}, 8, 48000, "LC"},
	{"LC without SBR, said so", unhex("121056e500"), 2, true, Config{ObjectType: LC, SampleRate: 44100, ChannelConfig: 2, FrameLength: 1024, Signalling: Compatible}, 2, 44100, "LC"},
	{"Main, rate in full", fields(5, 1, 4, 15, 24, 37800, 4, 6, 3, 0), 5, true, Config{ObjectType: Main, SampleRate: 37800, ChannelConfig: 6, FrameLength: 1024}, 6, 37800, "Main"},
	{
		"HE-AAC, hierarchical", unhex("2b920800"), 4, true,
		Config{ObjectType: LC, SampleRate: 22050, ChannelConfig: 2, FrameLength: 1024, SBR: true, Signalling: Hierarchical, ExtensionRate: 44100},
		2, 44100, "HE-AAC",
	},
	{
		"HE-AAC v2, hierarchical", unhex("eb8a0800"), 4, true,
		Config{ObjectType: LC, SampleRate: 22050, ChannelConfig: 1, FrameLength: 1024, SBR: true, PS: true, Signalling: Hierarchical, ExtensionRate: 44100},
		2, 44100, "HE-AACv2",
	},
	{
		"HE-AAC, compatible", unhex("139056e5a0"), 2, true,
		Config{ObjectType: LC, SampleRate: 22050, ChannelConfig: 2, FrameLength: 1024, SBR: true, Signalling: Compatible, ExtensionRate: 44100},
		2, 44100, "HE-AAC",
	},
	{
		"HE-AAC v2, compatible", unhex("138856e5a54880"), 2, true,
		Config{ObjectType: LC, SampleRate: 22050, ChannelConfig: 1, FrameLength: 1024, SBR: true, PS: true, Signalling: CompatiblePS, ExtensionRate: 44100},
		2, 44100, "HE-AACv2",
	},
	{
		"6.1 in a program", unhex("118004c848002000c440044c61766356e500"), 15, true,
		Config{
			ObjectType: LC, SampleRate: 48000, FrameLength: 1024, Signalling: Compatible,
			Program: &Program{Channels: 7, Comment: []byte("Lavc"), fields: unhex("04c848002000c440"), bits: 59},
		},
		7, 48000, "LC",
	},
	{"LD, 480 samples", fields(5, 23, 4, 3, 4, 2, 2, 2, 1, 1, 4, 0), 3, false, Config{ObjectType: LD, SampleRate: 48000, ChannelConfig: 2, FrameLength: 480}, 2, 48000, "LD"},
	{"ELD", fields(5, 31, 6, 7, 4, 4, 4, 1, 4, 0, 1, 0), 3, false, Config{ObjectType: ELD, SampleRate: 44100, ChannelConfig: 1, FrameLength: 512}, 1, 44100, "ELD"},
	{
		"ELD with SBR", fields(5, 31, 6, 7, 4, 7, 4, 2, 4, 8, 2, 3), 4, false,
		Config{ObjectType: ELD, SampleRate: 22050, ChannelConfig: 2, FrameLength: 480, SBR: true, ExtensionRate: 44100},
		2, 44100, "ELD",
	},
	{"USAC", fields(5, 31, 6, 10, 4, 3, 4, 2), 3, false, Config{ObjectType: USAC, SampleRate: 48000, ChannelConfig: 2}, 2, 48000, "xHE-AAC"},
	{"scalable on a core coder", fields(5, 20, 4, 3, 4, 1, 1, 0, 1, 1, 14, 7, 1, 1, 3, 1, 3, 0, 1, 0), 5, false, Config{ObjectType: 20, SampleRate: 48000, ChannelConfig: 1, FrameLength: 1024}, 1, 48000, "20"},
	{"reserved channels", fields(5, 2, 4, 3, 4, 8, 3, 0), 2, true, Config{ObjectType: LC, SampleRate: 48000, ChannelConfig: 8, FrameLength: 1024}, 0, 48000, "LC"},
}

func TestConfig(t *testing.T) {
	for _, c := range configs {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseConfig(c.in)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("%+v, want %+v; program %+v", got, c.want, got.Program)
			}
			if got.Channels() != c.channels || got.OutputRate() != c.rate || got.Profile() != c.profile {
				t.Errorf("%d channels, %d Hz, %q", got.Channels(), got.OutputRate(), got.Profile())
			}
			if out, err := c.want.AppendBinary([]byte{7}); c.written && (err != nil || hex.EncodeToString(out[1:]) != hex.EncodeToString(c.in)) {
				t.Errorf("written %x, %v; want %x", out, err, c.in)
			} else if !c.written && (!errors.Is(err, ErrObjectType) || len(out) != 1) {
				t.Errorf("written %x, %v", out, err)
			}
			for n := range c.in {
				_, err := ParseConfig(c.in[:n])
				if n < c.core && !errors.Is(err, io.ErrUnexpectedEOF) || n >= c.core && err != nil {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

func TestDamagedConfig(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		err  error
	}{
		{"reserved rate", unhex("1690"), ErrRate},
		{"rate of 0", fields(5, 2, 4, 15, 24, 0, 4, 2, 3, 0), ErrRate},
		{"no object type", unhex("0190"), ErrObjectType},
		{"SBR upon SBR", fields(5, 5, 4, 7, 4, 2, 4, 4, 5, 5, 8, 0), ErrObjectType},
		{"program past the end", fields(5, 2, 4, 3, 4, 0, 3, 0, 10, 0, 12, 0xfff, 9, 0x1ff), io.ErrUnexpectedEOF},
	} {
		if got, err := ParseConfig(c.in); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v; want %v", c.name, got, err, c.err)
		}
	}
}

func TestWriteRefused(t *testing.T) {
	good := Config{ObjectType: LC, SampleRate: 44100, ChannelConfig: 2, FrameLength: 1024}
	for i, change := range []func(*Config){
		func(c *Config) { c.SampleRate = 0 },
		func(c *Config) { c.SampleRate = 1 << 24 },
		func(c *Config) { c.FrameLength = 512 },
		func(c *Config) { c.ChannelConfig = 16 },
		func(c *Config) { c.ChannelConfig = 0 },
		func(c *Config) { c.SBR = true },
		func(c *Config) { c.SBR, c.ExtensionRate = true, 48000 },
		func(c *Config) { c.Signalling = Hierarchical },
		func(c *Config) { c.Signalling = CompatiblePS },
		func(c *Config) { c.Signalling = 4 },
		func(c *Config) { c.PS = true },
		func(c *Config) { c.ChannelConfig, c.Program = 0, &Program{Comment: make([]byte, 256)} },
	} {
		c := good
		change(&c)
		if out, err := c.AppendBinary([]byte{7}); err == nil || len(out) != 1 {
			t.Errorf("change %d: %x, %v", i, out, err)
		}
	}
}

func BenchmarkParseConfig(b *testing.B) {
	in := unhex("121056e500")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseConfig(in)
	}
}
