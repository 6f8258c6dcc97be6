package ac3

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// testdata reads a file of the recorded frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var frames = []struct {
	name string
	in   []byte
	want Frame
}{
	{"AC-3 5.1", unhex("0b7751591440eb"), Frame{SampleRate: 48000, Channels: 6, LFE: true, Samples: 1536, Size: 768, Mode: 7, ID: 8, BitRate: 192000}},
	{"AC-3 mono, 44.1 kHz", unhex("0b77f5b040402f"), Frame{SampleRate: 44100, Channels: 1, Samples: 1536, Size: 138, Mode: 1, ID: 8, BitRate: 32000}},
	{"AC-3 mono, 44.1 kHz, the longer frame", unhex("0b77f5b041402f"), Frame{SampleRate: 44100, Channels: 1, Samples: 1536, Size: 140, Mode: 1, ID: 8, BitRate: 32000}},
	{"AC-3 stereo with low frequencies, half rate", unhex("0b7700009e4844"), Frame{SampleRate: 16000, Channels: 3, LFE: true, Samples: 1536, Size: 2688, Mode: 2, ID: 9, BitRate: 224000}},
	{"AC-3 dual mono", unhex("0b770000004010"), Frame{SampleRate: 48000, Channels: 3, LFE: true, Samples: 1536, Size: 128, ID: 8, BitRate: 32000}},
	{"E-AC-3 5.1", unhex("0b7700bf3f87c0"), Frame{Enhanced: true, SampleRate: 48000, Channels: 6, LFE: true, Samples: 1536, Size: 384, Mode: 7, ID: 16, BitRate: 96000}},
	{"E-AC-3, one block", unhex("0b7700bf048000"), Frame{Enhanced: true, SampleRate: 48000, Channels: 2, Samples: 256, Size: 384, Mode: 2, ID: 16, BitRate: 576000}},
	{"E-AC-3, half rate", unhex("0b7700bfd48000"), Frame{Enhanced: true, SampleRate: 22050, Channels: 2, Samples: 1536, Size: 384, Mode: 2, ID: 16, BitRate: 44100}},
	{"E-AC-3, dependent", unhex("0b7748bf348000"), Frame{Enhanced: true, Dependent: true, Substream: 1, SampleRate: 48000, Channels: 2, Samples: 1536, Size: 384, Mode: 2, ID: 16, BitRate: 96000}},
}

func TestFrame(t *testing.T) {
	for _, c := range frames {
		got, err := ParseFrame(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
		for n := range c.in {
			if _, err := ParseFrame(c.in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
	}
	for name, in := range map[string]string{
		"bytes swapped":         "770b51591440eb",
		"reserved rate":         "0b770000c04000",
		"reserved size":         "0b770000264000",
		"unknown version":       "0b770000008800",
		"reserved stream type":  "0b77c0bf348000",
		"reserved reduced rate": "0b7700bff48000",
		"shorter than itself":   "0b770002348000",
	} {
		if f, err := ParseFrame(unhex(in)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	for name, size := range map[string]int{"ac3-48000-2": 256, "ac3-48000-6": 768, "ac3-44100-1": 138, "eac3-48000-2": 256, "eac3-48000-6": 384} {
		if f, err := ParseFrame(testdata(t, name+".key")); err != nil || f.Size != size {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestSamples(t *testing.T) {
	one := testdata(t, "eac3-48000-2.key")
	dependent := bytes.Clone(one)
	dependent[2] |= 0x40
	for _, c := range []struct {
		name          string
		in            []byte
		samples, rate int
	}{
		{"one frame", one, 1536, 48000},
		{"three frames", bytes.Repeat(one, 3), 4608, 48000},
		{"with a dependent substream", append(bytes.Clone(one), dependent...), 1536, 48000},
		{"one and a half", append(bytes.Clone(one), one[:50]...), 1536, 48000},
		{"two rates", append(bytes.Clone(one), testdata(t, "ac3-44100-1.key")...), 1536, 48000},
		{"half a frame", one[:50], 0, 0},
		{"nothing", nil, 0, 0},
	} {
		if samples, rate := Samples(c.in); samples != c.samples || rate != c.rate {
			t.Errorf("%s: %d at %d Hz, want %d at %d", c.name, samples, rate, c.samples, c.rate)
		}
	}
}

// FuzzAC3 reads b as a packet.
func FuzzAC3(f *testing.F) {
	for _, c := range frames {
		f.Add(c.in)
	}
	f.Add(testdata(f, "ac3-44100-1.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := ParseFrame(b); err == nil && (f.Size < 7 || f.Size > 4096 || f.SampleRate < 8000 || f.Channels < 1 || f.Channels > 6) {
			t.Fatalf("%+v", f)
		}
		if samples, rate := Samples(b); samples < 0 || (samples > 0) != (rate > 0) {
			t.Fatal(samples, rate)
		}
	})
}

func BenchmarkSamples(b *testing.B) {
	in := testdata(b, "ac3-44100-1.key")
	b.ReportAllocs()
	for b.Loop() {
		Samples(in)
	}
}
