package flac

import (
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

// testdata reads a file of the recorded records and frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// infos drive reading and writing.
var infos = []struct {
	name, in string
	want     StreamInfo
}{
	{
		"44100 Hz by ffmpeg", "664c614380000022" + "12001200" + "00040700050a" + "0ac442f000005622" + "8eb4f38c6d95c20efdc6beee632a277b",
		StreamInfo{
			MinBlock: 4608, MaxBlock: 4608, MinFrame: 1031, MaxFrame: 1290, SampleRate: 44100, Channels: 2, BitDepth: 16, Samples: 22050,
			MD5: [16]byte(unhex("8eb4f38c6d95c20efdc6beee632a277b")),
		},
	},
	{
		"live, the largest of all", "664c614380000022" + "0010ffff" + "000000ffffff" + "ffffffffffffffff" + "00000000000000000000000000000000",
		StreamInfo{MinBlock: 16, MaxBlock: 65535, MaxFrame: 1<<24 - 1, SampleRate: 1<<20 - 1, Channels: 8, BitDepth: 32, Samples: 1<<36 - 1},
	},
}

func TestStreamInfo(t *testing.T) {
	for _, c := range infos {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseStreamInfo(in)
			if err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
			if bare, err := ParseStreamInfo(in[4:]); err != nil || bare != got {
				t.Errorf("without magic: %+v, %v", bare, err)
			}
			out, err := c.want.AppendBinary([]byte{7})
			if err != nil || hex.EncodeToString(out) != "07"+c.in {
				t.Errorf("written %x, %v", out, err)
			}
			for n := range in {
				if _, err := ParseStreamInfo(in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	rate0 := unhex(infos[0].in)
	rate0[18], rate0[19], rate0[20] = 0, 0, 0x02
	for name, in := range map[string][]byte{
		"another block":  unhex("664c614384000022" + infos[0].in[16:]),
		"another length": unhex("664c614380000023" + infos[0].in[16:]),
		"a rate of 0":    rate0,
		"another magic":  []byte("OggS" + string(make([]byte, 60))),
	} {
		if s, err := ParseStreamInfo(in); !errors.Is(err, ErrStreamInfo) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, s := range []StreamInfo{{}, {SampleRate: 44100, Channels: 9, BitDepth: 16}, {SampleRate: 1 << 20, Channels: 1, BitDepth: 16}} {
		if out, err := s.AppendBinary([]byte{7}); !errors.Is(err, ErrStreamInfo) || len(out) != 1 {
			t.Errorf("%+v: %x, %v", s, out, err)
		}
	}
}

// checked appends the checksum.
func checked(s string) []byte {
	b := unhex(s)
	return append(b, crc8(b))
}

func TestFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want Frame
		ends bool // the header ends b
	}{
		{"recorded, stereo", testdata(t, "flac-44100-2.key"), Frame{BlockSize: 4608, SampleRate: 44100, Channels: 2, BitDepth: 16, Size: 6}, false},
		{"recorded, 24 bit", testdata(t, "flac-96000-1-24.key"), Frame{BlockSize: 8192, SampleRate: 96000, Channels: 1, BitDepth: 24, Size: 6}, false},
		{"all of STREAMINFO", checked("fff8100000"), Frame{BlockSize: 192, Channels: 1, Size: 6}, true},
		{"block size of 1 byte, rate in kHz", checked("fff86c7e05ff30"), Frame{BlockSize: 256, SampleRate: 48000, Channels: 8, BitDepth: 32, Number: 5, Size: 8}, true},
		{"block size of 2 bytes, rate in Hz", checked("fff97da2c280ffff2b11"), Frame{BlockSize: 65536, SampleRate: 11025, Channels: 2, BitDepth: 8, Number: 128, Variable: true, Size: 11}, true},
		{"the largest number, rate in 10 Hz", checked("fff9fe0afebfbfbfbfbfbf1388"), Frame{BlockSize: 32768, SampleRate: 50000, Channels: 1, BitDepth: 20, Number: 1<<36 - 1, Variable: true, Size: 14}, true},
	} {
		got, err := ParseFrame(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
		for n := range c.want.Size {
			if _, err := ParseFrame(c.in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
		damaged := append([]byte{}, c.in...)
		damaged[4] ^= 1
		if f, err := ParseFrame(damaged); !errors.Is(err, ErrFrame) {
			t.Errorf("%s, damaged: %+v, %v", c.name, f, err)
		}
	}
	for name, in := range map[string]string{
		"no sync":               "fff0100000",
		"reserved block size":   "fff8000000",
		"reserved rate":         "fff81f0000",
		"reserved channels":     "fff810b000",
		"reserved bit depth":    "fff8100600",
		"reserved bit":          "fff8100100",
		"a number that is none": "fff8100080",
		"a number without end":  "fff81000c200",
		"a number of 8 bytes":   "fff81000ff8080808080808080",
	} {
		if f, err := ParseFrame(checked(in)); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// FuzzFLAC reads b as everything that this package reads. A block that was read can be
// written and reads the same again.
func FuzzFLAC(f *testing.F) {
	for _, c := range infos {
		f.Add(unhex(c.in))
	}
	f.Add(checked("fff97da2c280ffff2b11"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStreamInfo(b); err == nil {
			out, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatalf("%+v: %v", s, err)
			}
			if again, err := ParseStreamInfo(out); err != nil || again != s {
				t.Fatalf("%+v reads %+v again, %v", s, again, err)
			}
		}
		if h, err := ParseFrame(b); err == nil && (h.BlockSize < 1 || h.BlockSize > 65536 || h.Size > len(b)) {
			t.Fatalf("%+v", h)
		}
	})
}

func BenchmarkParseFrame(b *testing.B) {
	in := checked("fff97da2c280ffff2b11")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParseFrame(in)
	}
}
