package codec

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
)

// sets returns the parameter sets of a record, in the order that they are sent in band.
func sets(t testing.TB, c av.Codec, record []byte) (units [][]byte) {
	t.Helper()
	if c == av.H264 {
		r, err := h264.ParseConfig(record)
		if err != nil {
			t.Fatal(err)
		}
		return append(slices.Clone(r.SPS), r.PPS...)
	}
	r, err := h265.ParseConfig(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range r.Arrays {
		if int(a.Type) <= h265.TypePPS {
			units = append(units, a.Units...)
		}
	}
	return units
}

func withStartCodes(units ...[]byte) (b []byte) {
	for _, u := range units {
		b = nal.AppendAnnexB(b, u)
	}
	return b
}

func withLengths(size int, units ...[]byte) (b []byte) {
	for _, u := range units {
		b, _ = nal.Append(b, u, size)
	}
	return b
}

// checkDerived holds a derived record to the one that the encoder wrote.
func checkDerived(t *testing.T, c av.Codec, got, want []byte, lengthSize int) {
	t.Helper()
	if got == nil {
		t.Error("nothing was derived")
		return
	}
	g, err := Describe(c, av.Video, got)
	if err != nil {
		t.Error(err)
		return
	}
	w, _ := Describe(c, av.Video, want)
	if g.Config, w.Config = nil, nil; g.Profile != w.Profile || g.Level != w.Level || g.Size != w.Size || g.FrameRate != w.FrameRate {
		t.Errorf("derived %+v, want %+v", g, w)
	}
	if a, b := sets(t, c, got), sets(t, c, want); !slices.EqualFunc(a, b, bytes.Equal) {
		t.Errorf("parameter sets %x, want %x", a, b)
	}
	if n := NALLengthSize(c, got); n != lengthSize {
		t.Errorf("lengths of %d bytes, want %d", n, lengthSize)
	}
}

func TestDeriveParameterSets(t *testing.T) {
	files, err := filepath.Glob("testdata/h26[45]-*.config")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		c := av.H264
		if strings.Contains(name, "h265") {
			c = av.H265
		}
		record, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		units := sets(t, c, record)
		slice := []byte{0x26, 1, 0x80}
		if c == av.H264 {
			slice = []byte{0x65, 0x88}
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			var d Deriver
			if got, err := d.Record(c, av.Video, record); err != nil || &got[0] != &record[0] {
				t.Error("a whole record is not used as it is", err)
			}
			// In the place of the record.
			d = Deriver{}
			got, err := d.Record(c, av.Video, withStartCodes(units...))
			if err != nil {
				t.Error(err)
			}
			checkDerived(t, c, got, record, 4)
			d = Deriver{}
			got, err = d.Record(c, av.Video, withLengths(2, units...))
			if err != nil {
				t.Error(err)
			}
			checkDerived(t, c, got, record, 2)
			// In frames, with no record or an empty one.
			for _, size := range []int{0, 1, 2, 4} {
				frame := withLengths(size, append(slices.Clone(units), slice)...)
				want := size
				if size == 0 {
					frame, want = withStartCodes(append(slices.Clone(units), slice)...), 4
				}
				d = Deriver{}
				if size == 4 {
					if _, err := d.Record(c, av.Video, nil); err == nil {
						t.Error("an empty record is taken")
					}
				}
				if got := d.Frame(c, withStartCodes(slice)); got != nil {
					t.Errorf("derived %x of a slice", got)
				}
				checkDerived(t, c, d.Frame(c, frame), record, want)
			}
			// Each in a frame of its own.
			d = Deriver{}
			for _, u := range units {
				got = d.Frame(c, withLengths(4, u))
			}
			checkDerived(t, c, got, record, 4)
		})
	}
}

func TestDeriveKeepsTheLengthsOfARecordWithoutSets(t *testing.T) {
	record, err := os.ReadFile("testdata/h264-high.config")
	if err != nil {
		t.Fatal(err)
	}
	empty := []byte{1, record[1], record[2], record[3], 0xfd, 0xe0, 0}
	var d Deriver
	if got, err := d.Record(av.H264, av.Video, empty); err == nil {
		t.Fatalf("a record without parameter sets is taken: %x", got)
	}
	units := sets(t, av.H264, record)
	checkDerived(t, av.H264, d.Frame(av.H264, withLengths(2, units...)), record, 2)
}

func TestDeriveSound(t *testing.T) {
	stereo := aac.Config{ObjectType: aac.LC, SampleRate: 48000, ChannelConfig: 2, FrameLength: 1024}
	adts, err := stereo.AppendADTS(nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	frame := append(bytes.Clone(adts), 0x21, 0, 0)
	asc := []byte{0x11, 0x90}
	for _, c := range []struct {
		name   string
		record []byte
		want   []byte
	}{
		{"AudioSpecificConfig", asc, asc},
		{"ADTS header", adts, asc},
		{"ADTS frame", frame, asc},
		{"nothing", nil, nil},
		{"one byte", []byte{0xff}, nil},
		{"object type 95", []byte{0xff, 0xe0, 0x20, 0}, nil},
		{"reserved channels", []byte{0x11, 0xc8}, nil},
	} {
		var d Deriver
		got, err := d.Record(av.AAC, av.Audio, c.record)
		if !bytes.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %x, %v, want %x", c.name, got, err, c.want)
		}
	}
	var d Deriver
	if got := d.Frame(av.AAC, frame); !bytes.Equal(got, asc) {
		t.Errorf("of a frame: %x", got)
	}
	if got := d.Frame(av.AAC, []byte{0x21, 0x10, 4}); got != nil {
		t.Errorf("of a raw frame: %x", got)
	}
}

// surround is what ffmpeg writes for 5.1 with loudspeakers at the side.
var surround = []byte{0x12, 0x00, 0x05, 0x08, 0x44, 0x00, 0x20, 0x00, 0xc4, 0x0d, 0x4c, 0x61, 0x76, 0x63, 0x35, 0x39, 0x2e, 0x33, 0x37, 0x2e, 0x31, 0x30, 0x30, 0x56, 0xe5, 0x00}

func TestDeriveProgramOfADTS(t *testing.T) {
	c, err := aac.ParseConfig(surround)
	if err != nil || c.Program == nil || c.Channels() != 6 {
		t.Fatalf("%+v, %v", c, err)
	}
	raw := append(c.Program.AppendFrame(nil), 0x21, 0x10)
	header, err := c.AppendADTS(nil, len(raw))
	if err != nil {
		t.Fatal(err)
	}
	var d Deriver
	got := d.Frame(av.AAC, append(header, raw...))
	back, err := aac.ParseConfig(got)
	if err != nil || back.ChannelConfig != 0 || back.Channels() != 6 || len(back.Program.Comment) > 0 {
		t.Errorf("%x: %+v, %v", got, back, err)
	}
}

func TestDeriveAV1(t *testing.T) {
	record, err := os.ReadFile("testdata/av1-main.config")
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile("testdata/av1-main.key")
	if err != nil {
		t.Fatal(err)
	}
	var d Deriver
	got, err := Describe(av.AV1, av.Video, d.Frame(av.AV1, key))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := Describe(av.AV1, av.Video, record)
	if got.Size != want.Size || got.Profile != want.Profile || got.Level != want.Level {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestParameterSetsBounds(t *testing.T) {
	var p ParameterSets
	pps := func(id int) []byte { // an Exp-Golomb code of the number behind the header
		v, n := id+1, 0
		for v>>n > 1 {
			n++
		}
		bits := uint32(v)<<(31-2*n) | 1<<7 // some bits behind it
		return []byte{0x68, byte(bits >> 24), byte(bits >> 16), byte(bits >> 8), byte(bits)}
	}
	for id := range 64 {
		if !p.Put(av.H264, [][]byte{pps(id)}) {
			t.Fatalf("set %d is not taken", id)
		}
	}
	if p.Put(av.H264, [][]byte{pps(64)}) || len(p.pps) != 64 {
		t.Errorf("%d sets are kept", len(p.pps))
	}
	if p.Put(av.H264, [][]byte{pps(0)}) {
		t.Error("the same set is a change")
	}
	other := append(pps(0), 1)
	if !p.Put(av.H264, [][]byte{other}) || len(p.pps) != 64 {
		t.Error("another set of the same number is no change")
	}
	p = ParameterSets{}
	if p.Put(av.H264, [][]byte{append(pps(0), make([]byte, 65536-5)...)}) {
		t.Error("a set that a record cannot hold is taken")
	}
	if !p.Put(av.H264, [][]byte{append(pps(0), make([]byte, 65535-5)...)}) {
		t.Error("the longest set that a record can hold is not taken")
	}
}

func TestSameCoding(t *testing.T) {
	record, err := os.ReadFile("testdata/h264-high.config")
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int) []byte {
		b := bytes.Clone(record)
		b[at]++
		return b
	}
	levels := change(3)
	levels[11]++
	for _, c := range []struct {
		name  string
		codec av.Codec
		b     []byte
		want  bool
	}{
		{"the same", av.H264, bytes.Clone(record), true},
		{"the same, of another codec", av.AAC, bytes.Clone(record), true},
		{"another level", av.H264, levels, true},
		{"another level in the record alone", av.H264, change(3), true},
		{"another profile", av.H264, change(1), false},
		{"another sequence parameter set", av.H264, change(12), false},
		{"another picture parameter set", av.H264, change(len(record) - 5), false},
		{"longer", av.H264, append(bytes.Clone(record), 0), false},
		{"another level, of another codec", av.VP9, levels, false},
	} {
		if got := SameCoding(c.codec, record, c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestContinuesPicture(t *testing.T) {
	first, more, sei := []byte{0x41, 0x9a}, []byte{0x41, 0x4a}, []byte{6, 5, 1}
	for _, c := range []struct {
		name    string
		codec   av.Codec
		payload []byte
		size    int
		want    bool
	}{
		{"first slice", av.H264, withLengths(4, first, more), 4, false},
		{"second slice", av.H264, withLengths(4, more), 4, true},
		{"second slice behind start codes", av.H264, withStartCodes(more), 4, true},
		{"second slice, lengths unknown", av.H264, withLengths(4, more), 0, true},
		{"behind supplemental information", av.H264, withLengths(2, sei, more), 2, false},
		{"H.265", av.H265, withLengths(4, []byte{2, 1, 0x40}), 4, true},
		{"another codec", av.AV1, withLengths(4, more), 4, false},
		{"nothing", av.H264, nil, 4, false},
	} {
		if got := ContinuesPicture(c.codec, c.payload, c.size); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func FuzzDeriver(f *testing.F) {
	for _, name := range []string{"h264-high", "h265-main", "aac-48000-2", "av1-main"} {
		for _, ext := range []string{".config", ".key"} {
			b, err := os.ReadFile("testdata/" + name + ext)
			if os.IsNotExist(err) {
				continue
			}
			if err != nil {
				f.Fatal(err)
			}
			if len(b) > 4096 {
				b = b[:4096]
			}
			f.Add(b, b)
		}
	}
	record, err := os.ReadFile("testdata/h264-high.config")
	if err != nil {
		f.Fatal(err)
	}
	units := sets(f, av.H264, record)
	f.Add(withStartCodes(units...), withLengths(2, units...))
	f.Add(surround, []byte{0xff, 0xf1, 0x4c, 0, 1, 0x3f, 0xfc, 0xa0})
	f.Fuzz(func(t *testing.T, record, frame []byte) {
		for _, c := range []av.Codec{av.H264, av.H265, av.AAC, av.AV1} {
			kind := av.Video
			if c == av.AAC {
				kind = av.Audio
			}
			var d Deriver
			got, err := d.Record(c, kind, record)
			if (got == nil) != (err != nil) && len(record) > 0 {
				t.Fatalf("%v: %x, %v", c, got, err)
			}
			for _, b := range [][]byte{got, d.Frame(c, frame), d.Frame(c, record)} {
				if b == nil {
					continue
				}
				if _, err := Describe(c, kind, b); err != nil {
					t.Fatalf("%v: what was derived cannot be read: %v", c, err)
				}
			}
			SameCoding(c, record, frame)
			ContinuesPicture(c, frame, 0)
		}
	})
}
