package flv

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"weir/av"
)

// FuzzDemux checks that what a body means is written as the same body, and that every
// other form of it means the same.
func FuzzDemux(f *testing.F) {
	for _, c := range bodyCases {
		f.Add(byte(c.typ), unhex(c.body))
	}
	f.Add(byte(TagVideo), unhex("1700000000"+hvcC))
	f.Add(byte(TagScriptAMF3), unhex("00020001610500"))
	f.Fuzz(func(t *testing.T, typ byte, in []byte) {
		kept := bytes.Clone(in)
		var d Demuxer
		fs, err := d.Demux(nil, TagType(typ), start, in)
		if len(fs) == 0 && err == nil {
			t.Fatal("neither frame nor error")
		}
		if len(fs) > maxTracks {
			t.Fatalf("%d frames", len(fs))
		}
		FourCC(TagType(typ), in)
		for i := range fs {
			f := &fs[i]
			if err == nil && len(fs) == 1 && !isManyTracks(f, in) && TagType(typ) != TagScriptAMF3 {
				if out, ok := body(f, Form{Enhanced: AsReceived}); !ok || !bytes.Equal(out, in) {
					t.Fatalf("%x became %x, %v", in, out, ok)
				}
			}
			for e := WhenNeeded; e <= AsReceived; e++ {
				for n := range 8 {
					form := Form{Enhanced: e, HEVC12: n&1 != 0, SingleTrack: n&2 != 0, NoModEx: n&4 != 0}
					checkForm(t, f, form, d)
				}
			}
		}
		if !bytes.Equal(in, kept) {
			t.Fatal("the body was changed")
		}
	})
}

// isManyTracks reports whether f came in a message of type ManyTracks or
// ManyTracksManyCodecs.
func isManyTracks(f *av.Frame, in []byte) bool {
	return f.Wire&wireMultitrack != 0 && in[1+len(f.Side)]>>4 != oneTrack
}

func checkForm(t *testing.T, f *av.Frame, form Form, d Demuxer) {
	out, ok := body(f, form)
	if !ok {
		return
	}
	again, err := d.Demux(nil, TagTypeOf(f), f.DTS, out)
	if err != nil || len(again) != 1 {
		t.Fatalf("form %+v, %x: %v, %v", form, out, again, err)
	}
	g := &again[0]
	same := g.Kind == f.Kind && g.Type == f.Type && g.Track == f.Track && g.Flags == f.Flags && bytes.Equal(g.Payload, f.Payload)
	// An H.265 record under avc1 becomes one under id 7, which is taken for H.265.
	codec := g.Codec == f.Codec || f.Type == av.Command || f.Codec == av.H264 && (d.hevc || isHEVCConfig(f.Payload))
	if !same || !codec {
		t.Fatalf("form %+v, %x:\n%+v became\n%+v", form, out, f, g)
	}
}

// FuzzReader checks that every byte of a file is accounted for, that its pieces do not
// matter, and that the tags that were found are found again where nothing lies between.
func FuzzReader(f *testing.F) {
	for _, file := range testFiles(f) {
		f.Add(file)
	}
	tags := someTags(4)
	f.Add(writeAll(tags))
	f.Add(append(append(writeAll(tags), "rubbish"...), encode(tags[3])...))
	f.Add(append(AppendFileHeader(nil, true, true), bytes.Repeat([]byte{9, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0}, 100)...))
	f.Add([]byte("FLV\x01\x05\xee\x6b\x28\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in))
		got, err := readAll(r)
		held := 0
		for _, tag := range got {
			held += tagHeaderSize + len(tag.Body)
		}
		if held+int(r.Skipped()) > len(in) {
			t.Fatalf("%d bytes in tags and %d skipped of %d", held, r.Skipped(), len(in))
		}
		slow := NewReader(iotest.OneByteReader(bytes.NewReader(in)))
		pieces, slowErr := readAll(slow)
		if !sameTags(got, pieces) || slow.Skipped() != r.Skipped() {
			t.Fatalf("byte by byte (%d and %d skipped): %s", r.Skipped(), slow.Skipped(), cmp.Diff(got, pieces))
		}
		if (err == io.EOF) != (slowErr == io.EOF) {
			t.Fatalf("%v, byte by byte %v", err, slowErr)
		}
		again := NewReader(bytes.NewReader(writeAll(got)))
		found, err := readAll(again)
		if err != io.EOF && len(got) > 0 || again.Skipped() != 0 {
			t.Fatalf("written again: %v, %d skipped", err, again.Skipped())
		}
		if !sameTags(got, found) {
			t.Fatal(cmp.Diff(got, found))
		}
		fr := NewFrameReader(bytes.NewReader(in))
		for {
			if _, err := fr.ReadFrame(); err != nil {
				break
			}
		}
	})
}

func sameTags(a, b []Tag) bool {
	return slices.EqualFunc(a, b, func(a, b Tag) bool {
		return a.Type == b.Type && a.Timestamp == b.Timestamp && bytes.Equal(a.Body, b.Body)
	})
}
