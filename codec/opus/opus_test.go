package opus

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// testdata reads a file of the recorded packets.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const head = "4f70757348656164"

// heads drive reading and writing.
var heads = []struct {
	name, in string
	want     Head
}{
	{"mono", head + "0101380180bb0000000000", Head{Channels: 1, PreSkip: 312, InputRate: 48000, Streams: 1}},
	{"stereo with gain", head + "01023801401f000000ff00", Head{Channels: 2, PreSkip: 312, InputRate: 8000, Gain: -256, Streams: 1, Coupled: 1}},
	{"5.1", head + "0106380180bb0000000001" + "0402" + "000401020305", Head{Channels: 6, PreSkip: 312, InputRate: 48000, Family: 1, Streams: 4, Coupled: 2, Mapping: []byte{0, 4, 1, 2, 3, 5}}},
	{"a silent channel", head + "0102000080bb00000000ff" + "0100" + "00ff", Head{Channels: 2, InputRate: 48000, Family: 255, Streams: 1, Mapping: []byte{0, 255}}},
	{"ambisonics with matrix", head + "0102000080bb0000000003" + "0100" + "00017fff", Head{Channels: 2, InputRate: 48000, Family: 3, Streams: 1, Mapping: []byte{0, 1, 0x7f, 0xff}}},
}

func TestHead(t *testing.T) {
	for _, c := range heads {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseHead(in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			out, err := c.want.AppendBinary([]byte{7})
			if err != nil || hex.EncodeToString(out) != "07"+c.in {
				t.Errorf("written %x, %v", out, err)
			}
			for n := range in {
				if _, err := ParseHead(in[:n]); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"another magic", "4f70757354616773" + "0101380180bb0000000000", ErrHead},
		{"version 16", head + "1001380180bb0000000000", ErrHead},
		{"no channels", head + "0100380180bb0000000000", ErrChannels},
		{"three channels of family 0", head + "0103380180bb0000000000", ErrChannels},
		{"nine channels of family 1", head + "0109380180bb0000000001" + "0900" + "000102030405060708", ErrChannels},
		{"more coupled than streams", head + "0102380180bb0000000001" + "0102" + "0001", ErrChannels},
		{"256 decoded channels", head + "0102380180bb00000000ff" + "8080" + "0001", ErrChannels},
		{"a decoded channel too high", head + "0102380180bb0000000001" + "0101" + "0002", ErrChannels},
		{"a matrix of 130050 bytes", head + "01ff000080bb0000000003" + "ff00" + "0001", io.ErrUnexpectedEOF},
	} {
		if h, err := ParseHead(unhex(c.in)); !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v; want %v", c.name, h, err, c.err)
		}
	}
	for _, h := range []Head{{}, {Channels: 3}, {Channels: 6, Family: 1}, {Channels: 2, Family: 1, Streams: 1, Coupled: 1, Mapping: []byte{1}}} {
		if out, err := h.AppendBinary([]byte{7}); !errors.Is(err, ErrChannels) || len(out) != 1 {
			t.Errorf("%+v: %x, %v", h, out, err)
		}
	}
}

func TestPacket(t *testing.T) {
	ms := time.Millisecond
	for _, c := range []struct {
		name string
		in   []byte
		want Packet
		err  error
	}{
		{"recorded, 20 ms", testdata(t, "opus-2.key"), Packet{true, 1, 20 * ms}, nil},
		{"recorded, 60 ms", testdata(t, "opus-1-60ms.key"), Packet{false, 3, 60 * ms}, nil},
		{"recorded, 2.5 ms", testdata(t, "opus-1-2.5ms.key"), Packet{false, 1, 2500 * time.Microsecond}, nil},
		{"recorded, 120 ms", testdata(t, "opus-2-120ms.key"), Packet{true, 6, 120 * ms}, nil},
		{"recorded, of four streams", testdata(t, "opus-6.key"), Packet{true, 1, 20 * ms}, nil},
		{"SILK, two frames", []byte{3<<3 | 1}, Packet{false, 2, 120 * ms}, nil},
		{"SILK, 40 ms", []byte{6 << 3}, Packet{false, 1, 40 * ms}, nil},
		{"hybrid, 10 ms", []byte{14 << 3}, Packet{false, 1, 10 * ms}, nil},
		{"hybrid, 20 ms twice", []byte{15<<3 | 2}, Packet{false, 2, 40 * ms}, nil},
		{"48 frames", []byte{16<<3 | 3, 48}, Packet{false, 48, 120 * ms}, nil},
		{"49 frames", []byte{16<<3 | 3, 49}, Packet{}, ErrPacket},
		{"180 ms", []byte{3<<3 | 3, 3}, Packet{}, ErrPacket},
		{"no frames", []byte{3, 0}, Packet{}, ErrPacket},
		{"no count", []byte{3}, Packet{}, io.ErrUnexpectedEOF},
		{"nothing", nil, Packet{}, io.ErrUnexpectedEOF},
	} {
		if got, err := ParsePacket(c.in); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// FuzzOpus reads b as everything that this package reads. A header that was read can be
// written and reads the same again.
func FuzzOpus(f *testing.F) {
	for _, c := range heads {
		f.Add(unhex(c.in))
	}
	f.Add([]byte{3, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := ParseHead(b); err == nil {
			out, err := h.AppendBinary(nil)
			if err != nil {
				t.Fatalf("%+v: %v", h, err)
			}
			if again, err := ParseHead(out); err != nil || !cmp.Equal(h, again) {
				t.Fatalf("%+v reads %+v again, %v", h, again, err)
			}
		}
		if p, err := ParsePacket(b); err == nil && (p.Duration <= 0 || p.Duration > maxPacket) {
			t.Fatalf("%+v", p)
		}
	})
}

func BenchmarkParsePacket(b *testing.B) {
	in := []byte{3<<3 | 3, 2}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ParsePacket(in)
	}
}
