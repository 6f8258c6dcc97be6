package aac

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
)

// headers drive reading and, without checksum and with one block, writing.
var headers = []struct {
	name    string
	in      string
	want    ADTS
	written bool
}{
	{"LC", "fff15080017ffc" + "21100400", ADTS{LC, 44100, 2, 7, 11, 1}, true},
	{"empty", "fff14c4000fffc", ADTS{LC, 48000, 1, 7, 7, 1}, true},
	{"MPEG-2, with checksum", "fff84c4001600c" + "abcd" + "2100", ADTS{LC, 48000, 1, 9, 11, 1}, false},
	{"two blocks", "fff15080017ffd" + "21100400", ADTS{LC, 44100, 2, 7, 11, 2}, false},
	{"7.1, LTP", "fff1e1c0017ffc" + "21100400", ADTS{LTP, 16000, 7, 7, 11, 1}, true},
}

func TestC176_ADTS(t *testing.T) {
	for _, c := range headers {
		t.Run("C-176 "+c.name, func(t *testing.T) {
			in := unhex(c.in)
			got, err := ParseADTS(in)
			if err != nil || got != c.want {
				t.Fatalf("%+v, %v; want %+v", got, err, c.want)
			}
			for n := range in {
				if _, err := ParseADTS(in[:n]); n < 7 && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%d bytes: %v", n, err)
				}
				if raw, ok := StripADTS(in[:n]); ok || len(raw) != n || IsADTS(in[:n]) {
					t.Errorf("%d bytes: taken for a frame", n)
				}
			}
			raw, ok := StripADTS(in)
			if ok != (got.Blocks == 1) || ok && !bytes.Equal(raw, in[got.HeaderSize:]) || !IsADTS(in) {
				t.Errorf("stripped %x, %v", raw, ok)
			}
			if c.written {
				config := got.Config()
				out, err := config.AppendADTS([]byte{7}, len(raw))
				if err != nil || !bytes.Equal(out[1:], in[:7]) {
					t.Errorf("written %x, %v", out, err)
				}
			}
		})
	}
}

func TestADTSFrames(t *testing.T) {
	one, other := unhex(headers[0].in), unhex(headers[2].in)
	in := append(append([]byte{}, one...), other...)
	var raw []byte
	for h, data := range ADTSFrames(append(in, 0xff, 0xf1)) {
		if h.SampleRate == 0 {
			t.Errorf("%+v", h)
		}
		raw = append(raw, data...)
	}
	if !bytes.Equal(raw, unhex("211004002100")) {
		t.Errorf("frames %x", raw)
	}
	if !IsADTS(in) || IsADTS(append(in, 0)) || IsADTS(nil) {
		t.Error("two frames were not told from what is none")
	}
	if _, ok := StripADTS(in); ok {
		t.Error("two frames were stripped as one")
	}
	for range ADTSFrames(in) {
		break
	}
}

func TestC176_RawIsNotADTS(t *testing.T) {
	for _, name := range []string{"aac-44100-2.key", "aac-48000-6.key", "aac-16000-1.key"} {
		in := testdata(t, name)
		if raw, ok := StripADTS(in); ok || IsADTS(in) || len(raw) != len(in) {
			t.Errorf("C-176 %s was taken for ADTS", name)
		}
	}
	for _, in := range []string{"fff17480017ffc21100400", "fff35080017ffc21100400", "fef15080017ffc21100400", "fff15080001ffc"} {
		if h, err := ParseADTS(unhex(in)); !errors.Is(err, ErrADTS) {
			t.Errorf("C-176 %s: %+v, %v", in, h, err)
		}
	}
}

func TestAppendADTSRefused(t *testing.T) {
	good := Config{ObjectType: LC, SampleRate: 44100, ChannelConfig: 2, FrameLength: 1024}
	if out, err := good.AppendADTS(nil, 8184); err != nil || len(out) != 7 {
		t.Error(out, err)
	}
	for _, size := range []int{-1, 8185} {
		if _, err := good.AppendADTS(nil, size); err == nil {
			t.Errorf("%d bytes were accepted", size)
		}
	}
	for _, c := range []Config{
		{ObjectType: LD, SampleRate: 44100, ChannelConfig: 2},
		{ObjectType: LC, SampleRate: 44101, ChannelConfig: 2},
		{ObjectType: LC, SampleRate: 44100},
		{ObjectType: LC, SampleRate: 44100, ChannelConfig: 2, Program: &Program{}},
		{ObjectType: LC, SampleRate: 44100, ChannelConfig: 11},
	} {
		if out, err := c.AppendADTS(nil, 10); err == nil || len(out) > 0 {
			t.Errorf("%+v: %x, %v", c, out, err)
		}
	}
}

// FuzzAAC reads b as everything that this package reads. A record that was read and can
// be written reads the same again.
func FuzzAAC(f *testing.F) {
	for _, c := range configs {
		f.Add(c.in)
	}
	for _, c := range headers {
		f.Add(unhex(c.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil {
			out, err := c.AppendBinary(nil)
			if err != nil && !errors.Is(err, ErrObjectType) {
				t.Fatalf("%+v: %v", c, err)
			}
			if again, err2 := ParseConfig(out); err == nil && (err2 != nil || !reflect.DeepEqual(c, again)) {
				t.Fatalf("%+v reads %+v again, %v", c, again, err2)
			}
			if c.SampleRate <= 0 || c.OutputRate() <= 0 || c.Channels() < 0 || c.Channels() > 256 {
				t.Fatalf("%+v", c)
			}
		}
		if raw, ok := StripADTS(b); ok && len(raw) > len(b)-7 {
			t.Fatal("nothing was stripped")
		}
		IsADTS(b)
	})
}

func BenchmarkStripADTS(b *testing.B) {
	in := unhex(headers[0].in)
	b.ReportAllocs()
	for b.Loop() {
		StripADTS(in)
	}
}

// TestADTSProgram tells channels that have no configuration by an element in the frame.
func TestADTSProgram(t *testing.T) {
	config, err := os.ReadFile("../testdata/aac-48000-7.config")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(config)
	if err != nil || c.Program == nil || c.Channels() != 7 {
		t.Fatalf("%+v, %v", c, err)
	}
	frame := []byte{0x21, 0x10, 5}
	raw := append(c.Program.AppendFrame(nil), frame...)
	out, err := c.AppendADTS(nil, len(raw))
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseADTS(out)
	if err != nil || h.ChannelConfig != 0 || // there is no configuration of 7 channels
		h.Size != len(out)+len(raw) {
		t.Fatalf("%+v, %v", h, err)
	}
	back, ok := h.FrameConfig(raw)
	if !ok || back.Channels() != 7 || back.SampleRate != c.SampleRate || len(back.Program.Comment) > 0 {
		t.Errorf("%+v, %v", back, ok)
	}
	if _, rest := FrameProgram(raw); !bytes.Equal(rest, frame) {
		t.Errorf("behind the element: %x", rest)
	}
	if _, ok := h.FrameConfig(frame); ok {
		t.Error("channels of a frame without the element")
	}
	for n := range len(raw) - len(frame) {
		if p, rest := FrameProgram(raw[:n]); p != nil || len(rest) != n {
			t.Errorf("%d bytes: an element", n)
		}
	}
	if got := raw[:len(raw)-len(frame)]; c.Program.fields == nil || got[0]>>5 != elementProgram {
		t.Errorf("the element is %x", got)
	}
}

// TestADTSProgramHeader checks which configuration the header gives for channels of a Program.
func TestADTSProgramHeader(t *testing.T) {
	for n, want := range map[int]uint8{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 0, 8: 7, 24: 0, 200: 0} {
		c := Config{ObjectType: LC, SampleRate: 48000, FrameLength: 1024, Program: &Program{Channels: n}}
		b, err := c.AppendADTS(nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := ParseADTS(b); err != nil || h.ChannelConfig != want {
			t.Errorf("%d channels: configuration %d, %v, want %d", n, h.ChannelConfig, err, want)
		}
	}
}
