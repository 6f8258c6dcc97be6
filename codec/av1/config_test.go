package av1

import (
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// configs drive reading and writing.
var configs = []struct {
	name, in string
	want     Config
}{
	{"Main by libaom", "81000c000a0a00000002afff9b5f2008", Config{BitDepth: 8, SubsamplingX: true, SubsamplingY: true, OBUs: unhex("0a0a00000002afff9b5f2008")}},
	{"Main by libaom, 1080", "81080c000a0b00000042abbfc3732be401", Config{Level: 8, BitDepth: 8, SubsamplingX: true, SubsamplingY: true, OBUs: unhex("0a0b00000042abbfc3732be401")}},
	{"Main, 10 bit, by SVT-AV1", "81004c000a0b000000043d06cc02f84040", Config{BitDepth: 10, SubsamplingX: true, SubsamplingY: true, OBUs: unhex("0a0b000000043d06cc02f84040")}},
	{"High by libaom", "812000000a0a20000003b4fd936be408", Config{Profile: 1, BitDepth: 8, OBUs: unhex("0a0a20000003b4fd936be408")}},
	{"every field", "814dfe1f", Config{Profile: 2, Level: 13, HighTier: true, BitDepth: 12, Monochrome: true, SubsamplingX: true, SubsamplingY: true, SamplePosition: 2, PresentationDelay: 16}},
}

func TestConfig(t *testing.T) {
	for _, c := range configs {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseConfig(in)
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
				c, err := ParseConfig(in[:n])
				if n < 4 && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
				if _, err := c.SequenceHeader(); err == nil {
					t.Errorf("%d bytes: there is a sequence header", n)
				}
			}
		})
	}
	if _, err := ParseConfig(unhex("01000c00")); err == nil {
		t.Error("a record without marker was accepted")
	}
	for _, c := range []Config{{}, {BitDepth: 9}, {BitDepth: 8, Level: 32}, {BitDepth: 8, PresentationDelay: 17}} {
		if out, err := c.AppendBinary([]byte{7}); err == nil || len(out) != 1 {
			t.Errorf("%+v: %x, %v", c, out, err)
		}
	}
}

func TestNewConfig(t *testing.T) {
	for _, name := range []string{"av1-main", "av1-main-1080", "av1-high"} {
		c, err := NewConfig(testdata(t, name+".key"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := c.AppendBinary(nil)
		if want := testdata(t, name+".config"); err != nil || !cmp.Equal(out, want) {
			t.Errorf("%s: %x, %v; want %x", name, out, err, want)
		}
	}
	if _, err := NewConfig(testdata(t, "av1-main.inter")); !errors.Is(err, ErrNoSequenceHeader) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for level, want := range map[uint8]string{0: "2.0", 5: "3.1", 8: "4.0", 13: "5.1", 19: "6.3", 31: ""} {
		if got := LevelName(level); got != want {
			t.Errorf("%d: %q, want %q", level, got, want)
		}
	}
	for profile, want := range map[uint8]string{0: "Main", 1: "High", 2: "Professional", 7: "7"} {
		if got := ProfileName(profile); got != want {
			t.Errorf("%d: %q, want %q", profile, got, want)
		}
	}
}

func BenchmarkParseConfig(b *testing.B) {
	in := unhex(configs[0].in)
	b.ReportAllocs()
	for b.Loop() {
		c, _ := ParseConfig(in)
		_, _ = c.SequenceHeader()
	}
}
