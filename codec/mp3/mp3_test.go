package mp3

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

// headers drive reading and writing.
var headers = []struct {
	name, in string
	want     Header
}{
	{"MPEG-1 layer III", "fffb90c0", Header{Version: MPEG1, Layer: 3, BitRate: 128000, SampleRate: 44100, Channels: 1, Samples: 1152, Size: 417, Mode: 3}},
	{"padded, joint stereo", "fffb9260", Header{Version: MPEG1, Layer: 3, BitRate: 128000, SampleRate: 44100, Channels: 2, Samples: 1152, Size: 418, Padding: true, Mode: 1, ModeExtension: 2}},
	{"MPEG-2 layer III", "fff34000", Header{Version: MPEG2, Layer: 3, BitRate: 32000, SampleRate: 22050, Channels: 2, Samples: 576, Size: 104}},
	{"MPEG-2.5 layer III", "ffe318c0", Header{Version: MPEG25, Layer: 3, BitRate: 8000, SampleRate: 8000, Channels: 1, Samples: 576, Size: 72, Mode: 3}},
	{"MPEG-1 layer II with checksum", "fffc4480", Header{Version: MPEG1, Layer: 2, BitRate: 64000, SampleRate: 48000, Channels: 2, Samples: 1152, Size: 192, CRC: true, Mode: 2}},
	{"MPEG-1 layer I", "ffff9a00", Header{Version: MPEG1, Layer: 1, BitRate: 288000, SampleRate: 32000, Channels: 2, Samples: 384, Size: 436, Padding: true}},
	{"free format", "fffb0000", Header{Version: MPEG1, Layer: 3, SampleRate: 44100, Channels: 2, Samples: 1152}},
}

func TestHeader(t *testing.T) {
	for _, c := range headers {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseHeader(in)
			if err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			out, err := c.want.Append([]byte{7})
			if err != nil || !bytes.Equal(out[1:], in) {
				t.Errorf("written %x, %v", out, err)
			}
			for n := range in {
				if _, err := ParseHeader(in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	for _, in := range []string{"fffbf000", "fffb9c00", "ffeb9000", "fff99000", "fedb9000", "ffdb9000"} {
		if h, err := ParseHeader(unhex(in)); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %+v, %v", in, h, err)
		}
	}
	for _, h := range []Header{{}, {Version: MPEG1, Layer: 3, SampleRate: 8000}, {Version: 1, Layer: 3, SampleRate: 44100}, {Version: MPEG1, Layer: 3, SampleRate: 44100, BitRate: 1}} {
		if out, err := h.Append(nil); err == nil {
			t.Errorf("%+v: %x", h, out)
		}
	}
}

func TestSamples(t *testing.T) {
	one := testdata(t, "mp3-44100-1.key")
	for _, c := range []struct {
		name          string
		in            []byte
		samples, rate int
	}{
		{"one frame", one, 1152, 44100},
		{"three frames", bytes.Repeat(one, 3), 3456, 44100},
		{"one and a half", append(bytes.Clone(one), one[:50]...), 1152, 44100},
		{"two rates", append(bytes.Clone(one), testdata(t, "mp3-22050-2.key")...), 1152, 44100},
		{"free format", unhex("fffb0000ffff"), 1152, 44100},
		{"half a frame", one[:50], 0, 0},
		{"nothing", nil, 0, 0},
	} {
		if samples, rate := Samples(c.in); samples != c.samples || rate != c.rate {
			t.Errorf("%s: %d at %d Hz, want %d at %d", c.name, samples, rate, c.samples, c.rate)
		}
	}
}

// FuzzMP3 reads b as a packet. A header that was read can be written and reads the same.
func FuzzMP3(f *testing.F) {
	for _, c := range headers {
		f.Add(unhex(c.in))
	}
	f.Add(testdata(f, "mp3-8000-1.key"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHeader(b); err == nil {
			out, err := h.Append(nil)
			if err != nil {
				t.Fatalf("%+v: %v", h, err)
			}
			if again, err := ParseHeader(out); err != nil || again != h {
				t.Fatalf("%+v reads %+v again, %v", h, again, err)
			}
		}
		if samples, rate := Samples(b); samples < 0 || (samples > 0) != (rate > 0) {
			t.Fatal(samples, rate)
		}
	})
}

func BenchmarkSamples(b *testing.B) {
	in := testdata(b, "mp3-44100-1.key")
	b.ReportAllocs()
	for b.Loop() {
		Samples(in)
	}
}
