package flv

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"weir/av"
)

var neutral = cmp.Options{
	cmpopts.IgnoreFields(av.Frame{}, "Wire", "Side"),
	cmpopts.EquateEmpty(),
}

func body(f *av.Frame, form Form) ([]byte, bool) {
	h, ok := AppendHeader(nil, f, form)
	return append(h, f.Payload...), ok
}

func TestBodies(t *testing.T) {
	for _, c := range bodyCases {
		t.Run(c.name, func(t *testing.T) {
			in := unhex(c.body)
			kept := bytes.Clone(in)
			var d Demuxer
			got, err := d.Demux(nil, c.typ, start, in)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got, neutral); diff != "" {
				t.Fatalf("frames (-want +got):\n%s", diff)
			}
			for i := range got {
				f := &got[i]
				if TagTypeOf(f) != c.typ {
					t.Errorf("tag type %v, want %v", TagTypeOf(f), c.typ)
				}
				if c.many {
					continue
				}
				if out, ok := body(f, Form{Enhanced: AsReceived}); !ok || !bytes.Equal(out, in) {
					t.Errorf("as received: %x, %v", out, ok)
				}
				f.Wire, f.Side = 0, nil
				chosen := c.chosen
				if chosen == "" {
					chosen = c.body
				}
				if out, ok := body(f, Form{}); !ok || !bytes.Equal(out, unhex(chosen)) {
					t.Errorf("chosen: %x, %v, want %s", out, ok, chosen)
				}
			}
			if !bytes.Equal(in, kept) {
				t.Error("the body was changed")
			}
		})
	}
}

// TestPrefixes cuts every body everywhere.
func TestPrefixes(t *testing.T) {
	for _, c := range bodyCases {
		b := unhex(c.body)
		for n := range b {
			var d Demuxer
			fs, err := d.Demux(nil, c.typ, start, b[:n:n])
			for i := range fs {
				if out, ok := body(&fs[i], Form{Enhanced: AsReceived}); !c.many && (!ok || !bytes.Equal(out, b[:n])) {
					t.Fatalf("%s cut to %d bytes: %x, %v", c.name, n, out, ok)
				}
			}
			if len(fs) == 0 && err == nil {
				t.Fatalf("%s cut to %d bytes: neither frame nor error", c.name, n)
			}
		}
	}
}

func TestC167_EveryFirstByte(t *testing.T) {
	for _, typ := range []TagType{TagAudio, TagVideo, TagScript, TagScriptAMF3} {
		for first := range 256 {
			for n := range 7 {
				b := make([]byte, n)
				if n > 0 {
					b[0] = byte(first)
				}
				var d Demuxer
				fs, err := d.Demux(nil, typ, 0, b)
				if len(fs) > 0 == (err != nil) {
					t.Fatalf("%v %x: %d frames, %v", typ, b, len(fs), err)
				}
			}
		}
	}
}

func TestScriptAMF3(t *testing.T) {
	var d Demuxer
	for _, in := range []string{"00" + "020001610500", "020001610500"} {
		fs, err := d.Demux(nil, TagScriptAMF3, 0, unhex(in))
		if err != nil || len(fs) != 1 || !bytes.Equal(fs[0].Payload, unhex("020001610500")) || TagTypeOf(&fs[0]) != TagScript {
			t.Errorf("%s: %+v, %v", in, fs, err)
		}
	}
	if _, err := d.Demux(nil, TagScriptAMF3, 0, []byte{0}); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
}

func TestC278_HEVCUnderCodecID7(t *testing.T) {
	var d Demuxer
	bodies := []string{"1700000000" + hvcC, "1701000028" + "000000022601", "1702000000"}
	for _, in := range bodies {
		fs, err := d.Demux(nil, TagVideo, 0, unhex(in))
		if err != nil || len(fs) != 1 || fs[0].Codec != av.H265 {
			t.Fatalf("%s: %+v, %v", in, fs, err)
		}
		f := &fs[0]
		if out, _ := body(f, Form{Enhanced: AsReceived}); !bytes.Equal(out, unhex(in)) {
			t.Errorf("as received: %x", out)
		}
		if h, ok := AppendHeader(nil, f, Form{}); !ok || h[0] < 0x90 || string(h[1:5]) != "hvc1" {
			t.Errorf("header %x, %v, want hvc1", h, ok)
		}
		if h, ok := AppendHeader(nil, f, Form{HEVC12: true}); !ok || h[0] != 0x1C {
			t.Errorf("header %x, %v, want id 12", h, ok)
		}
		if h, ok := AppendHeader(nil, f, Form{Enhanced: Never}); ok {
			t.Errorf("header %x although no legacy id fits", h)
		}
	}
	// The publisher goes back to H.264.
	for _, in := range []string{"1700000000" + avcC, "1701000000" + "000000026588"} {
		fs, err := d.Demux(nil, TagVideo, 0, unhex(in))
		if err != nil || len(fs) != 1 || fs[0].Codec != av.H264 {
			t.Fatalf("%s: %+v, %v", in, fs, err)
		}
	}
	// Every prefix of a record is still taken for H.264.
	for n := range len(unhex(hvcC)) {
		if isHEVCConfig(unhex(hvcC)[:n]) {
			t.Errorf("%d bytes of hvcC are a record", n)
		}
	}
}

func TestFourCC(t *testing.T) {
	for _, c := range []struct {
		typ  TagType
		body string
		want string
	}{
		{TagVideo, "9178797a77", "xyzw"},
		{TagVideo, "97020003e80178797a77", "xyzw"},
		{TagVideo, "960178797a7700", "xyzw"},
		{TagAudio, "952178797a7700", "xyzw"},
		{TagVideo, "fffef717", ""},
		{TagVideo, "17787980", ""},
		{TagAudio, "", ""},
		{TagScript, "9178797a77", ""},
	} {
		got, ok := FourCC(c.typ, unhex(c.body))
		if ok != (c.want != "") || ok && got.FourCC() != c.want {
			t.Errorf("%v %s: %v, %v, want %q", c.typ, c.body, got, ok, c.want)
		}
	}
}

func TestDemuxKeepsWhatIsThere(t *testing.T) {
	var d Demuxer
	dst := []av.Frame{{Track: 9}}
	dst, err := d.Demux(dst, TagAudio, 0, unhex("af01aa"))
	if err != nil || len(dst) != 2 || dst[0].Track != 9 {
		t.Fatalf("%+v, %v", dst, err)
	}
	// Tracks of one message do not share capacity.
	fs, err := d.Demux(nil, TagVideo, 0, unhex("961361766331"+"00000001aa"+"01000001bb"))
	if err != nil || len(fs) != 2 {
		t.Fatal(fs, err)
	}
	_ = append(fs[0].Payload, 0xFF)
	if fs[1].Payload[0] != 0xBB {
		t.Error("appending to one track's payload changed another's")
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	var d Demuxer
	dst := make([]av.Frame, 0, 16)
	out := make([]byte, 0, 1024)
	for _, c := range bodyCases {
		in := unhex(c.body)
		if n := testing.AllocsPerRun(10, func() { _, _ = d.Demux(dst, c.typ, start, in) }); n > 0 {
			t.Errorf("%s: Demux allocates %v times", c.name, n)
		}
		fs, _ := d.Demux(dst, c.typ, start, in)
		if n := testing.AllocsPerRun(10, func() {
			for i := range fs {
				_, _ = AppendHeader(out, &fs[i], Form{})
				_, _ = AppendHeader(out, &fs[i], Form{Enhanced: AsReceived})
			}
		}); n > 0 {
			t.Errorf("%s: AppendHeader allocates %v times", c.name, n)
		}
	}
}
