package accessunit

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/nal"
	"weir/internal/stream"
)

// NAL units of H.264 as far as a Joiner looks at them.
const (
	delimiter = "\x09\xf0"
	sps       = "\x67\x42\xc0\x1e"
	pps       = "\x68\xce\x3c\x80"
	sei       = "\x06\x05\x01\x00\x80"
	filler    = "\x0c\xff\x80"
	idr       = "\x65\x88\x84"
	idrMore   = "\x65\x48\x84"
	slice     = "\x41\x9a\x11"
	sliceMore = "\x41\x4a\x12"
)

// avcC is the beginning of a configuration record, which says the size of lengths.
func avcC(lengthSize byte) []byte { return []byte{1, 66, 0xc0, 30, 0xfc | (lengthSize - 1), 0xe0, 0} }

func header(kind av.Kind, c av.Codec, config []byte) stream.TrackHeader {
	return stream.TrackHeader{Track: av.Track{Kind: kind, Codec: c, Config: config}}
}

func lengths(size int, units ...string) []byte {
	var b []byte
	for _, u := range units {
		b, _ = nal.Append(b, []byte(u), size)
	}
	return b
}

func startCodes(units ...string) []byte {
	var b []byte
	for _, u := range units {
		b = nal.AppendAnnexB(b, []byte(u))
	}
	return b
}

// at is a frame of H.264 at a time in milliseconds.
func at(ms int, flags av.Flags, payload []byte) av.Frame {
	d := time.Duration(ms) * time.Millisecond
	return av.Frame{Codec: av.H264, Flags: flags, DTS: d, PTS: d, Payload: payload}
}

// describe writes frames as the table of TestPictures does.
func describe(frames []av.Frame, lengthSize int) (out []string) {
	for i := range frames {
		f := &frames[i]
		s := fmt.Sprint(f.DTS.Milliseconds())
		if f.Flags&av.Discontinuity != 0 {
			s += " discontinuity"
		}
		if f.IsKey() {
			s += " key"
		}
		for u := range nal.Units(f.Payload, lengthSize) {
			s += fmt.Sprintf(" %x", u)
		}
		out = append(out, s)
	}
	return out
}

func TestPictures(t *testing.T) {
	const key, broken = av.Key, av.Discontinuity
	type puts []av.Frame
	for _, c := range []struct {
		name string
		size byte // of lengths; 0: no configuration
		in   puts
		want [][]string // what each Put returns; the last is what Flush does
	}{
		{
			"whole pictures go through at once", 4,
			puts{at(0, key, lengths(4, sps, pps, sei, idr)), at(40, 0, lengths(4, slice)), at(80, 0, lengths(4, slice, sliceMore))},
			[][]string{{"0 key 6742c01e 68ce3c80 0605010080 658884"}, {"40 419a11"}, {"80 419a11 414a12"}, nil},
		},
		{
			"each unit before the picture alone", 4,
			puts{at(0, key, lengths(4, sps)), at(0, key, lengths(4, pps)), at(0, key, lengths(4, sei)), at(0, key, lengths(4, idr)), at(40, 0, lengths(4, slice))},
			[][]string{nil, nil, nil, {"0 key 6742c01e 68ce3c80 0605010080 658884"}, {"40 419a11"}, nil},
		},
		{
			"the picture's time and flags count", 4,
			puts{at(0, 0, lengths(4, sps, pps)), at(40, key, lengths(4, idr))},
			[][]string{nil, {"40 key 6742c01e 68ce3c80 658884"}, nil},
		},
		{
			"delimiters are left out where units are joined", 4,
			puts{at(0, key, lengths(4, delimiter, sps)), at(0, key, lengths(4, delimiter, idr))},
			[][]string{nil, {"0 key 6742c01e 658884"}, nil},
		},
		{
			"start codes become lengths of two bytes", 2,
			puts{at(0, key, startCodes(sps, pps, idr)), at(40, 0, []byte("\x00\x00\x01"+slice))},
			[][]string{{"0 key 6742c01e 68ce3c80 658884"}, {"40 419a11"}, nil},
		},
		{
			"start codes and no configuration", 0,
			puts{at(0, key, startCodes(sps)), at(0, key, startCodes(pps, idr))},
			[][]string{nil, {"0 key 6742c01e 68ce3c80 658884"}, nil},
		},
		{
			"slices alone: seen once, then waited for", 4,
			puts{
				at(0, key, lengths(4, idr)), at(0, key, lengths(4, idrMore)),
				at(40, 0, lengths(4, slice)), at(40, 0, lengths(4, sliceMore)), at(40, 0, lengths(4, filler)),
				at(80, 0, lengths(4, slice)), at(120, 0, lengths(4, sei)), at(120, 0, lengths(4, slice)), at(120, 0, lengths(4, sliceMore)),
			},
			[][]string{{"0 key 658884"}, nil, nil, nil, nil, {"40 419a11 414a12 0cff80"}, {"80 419a11"}, nil, nil, {"120 0605010080 419a11 414a12"}},
		},
		{
			"two pictures of one time stay two", 4,
			puts{at(0, key, lengths(4, idr)), at(0, 0, lengths(4, slice)), at(0, 0, lengths(4, slice))},
			[][]string{{"0 key 658884"}, {"0 419a11"}, {"0 419a11"}, nil},
		},
		{
			"what comes behind a picture that has gone is left out", 4,
			puts{at(0, key, lengths(4, idr)), at(0, 0, lengths(4, filler)), at(40, 0, lengths(4, slice))},
			[][]string{{"0 key 658884"}, nil, {"40 419a11"}, nil},
		},
		{
			"a discontinuity drops parameter sets of before, and is told with the picture", 4,
			puts{at(0, key, lengths(4, sps)), at(900, broken, lengths(4, pps)), at(900, key, lengths(4, idr))},
			[][]string{nil, nil, {"900 discontinuity key 68ce3c80 658884"}, nil},
		},
		{
			"empty frames", 4,
			puts{at(0, key, nil), at(0, key, lengths(4, idr)), at(40, 0, []byte{0, 0, 0, 0})},
			[][]string{nil, {"0 key 658884"}, nil, nil},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j Joiner
			var config []byte
			size := 4
			if c.size > 0 {
				config, size = avcC(c.size), int(c.size)
			}
			j.SetTracks([]stream.TrackHeader{header(av.Video, av.H264, config)})
			for i := range c.in {
				if got := describe(j.Put(&c.in[i]), size); !slices.Equal(got, c.want[i]) {
					t.Errorf("frame %d gives %q, want %q", i, got, c.want[i])
				}
			}
			if got, want := describe(j.Flush(), size), c.want[len(c.in)]; !slices.Equal(got, want) {
				t.Errorf("the end gives %q, want %q", got, want)
			}
		})
	}
}

func TestSplitIsKnownFromTheHeaders(t *testing.T) {
	var j Joiner
	h := header(av.Video, av.H264, avcC(4))
	h.Split = true
	j.SetTracks([]stream.TrackHeader{h})
	first, rest, next := at(0, av.Key, lengths(4, idr)), at(0, av.Key, lengths(4, idrMore)), at(40, 0, lengths(4, slice))
	if got := len(j.Put(&first)) + len(j.Put(&rest)); got != 0 {
		t.Fatalf("%d frames before the picture is whole", got)
	}
	if got := describe(j.Put(&next), 4); !slices.Equal(got, []string{"0 key 658884 654884"}) {
		t.Errorf("got %q", got)
	}
}

func TestTracksThatGoOn(t *testing.T) {
	var j Joiner
	h := header(av.Video, av.H264, avcC(4))
	j.SetTracks([]stream.TrackHeader{h})
	set, picture := at(0, av.Key, lengths(4, sps)), at(0, av.Key, lengths(2, idr))
	if got := j.Put(&set); len(got) != 0 {
		t.Fatal(got)
	}
	h.Config = avcC(2) // the new configuration comes between a picture's pieces
	j.SetTracks([]stream.TrackHeader{h})
	if got := describe(j.Put(&picture), 2); !slices.Equal(got, []string{"0 key 6742c01e 658884"}) {
		t.Errorf("got %q", got)
	}
	j.Put(&set)
	j.SetTracks(nil)
	j.SetTracks([]stream.TrackHeader{h})
	if got := describe(j.Put(&picture), 2); !slices.Equal(got, []string{"0 key 658884"}) {
		t.Errorf("after the track had gone: %q", got)
	}
}

// TestBounds holds back what peers send without ever a picture.
func TestBounds(t *testing.T) {
	var j Joiner
	j.SetTracks([]stream.TrackHeader{header(av.Video, av.H264, avcC(4))})
	held := func() int { return len(j.tracks[0].held) }
	f := at(0, 0, lengths(4, sei))
	for range maxPieces {
		j.Put(&f)
	}
	if held() != maxPieces {
		t.Fatalf("%d pieces are held at the bound of %d", held(), maxPieces)
	}
	if j.Put(&f); held() != 0 {
		t.Errorf("%d pieces are held beyond the bound", held())
	}
	half := at(0, 0, append(lengths(4, sei), make([]byte, maxHeld/2-9)...))
	j.Put(&half)
	j.Put(&half)
	if held() != 2 || j.tracks[0].bytes != maxHeld {
		t.Fatalf("%d pieces of %d bytes are held at the bound", held(), j.tracks[0].bytes)
	}
	if j.Put(&f); held() != 0 || j.tracks[0].bytes != 0 {
		t.Errorf("%d pieces are held beyond the bound of bytes", held())
	}
	j.tracks[0].split = true
	picture, more := at(0, 0, lengths(4, slice)), at(0, 0, lengths(4, sliceMore))
	j.Put(&picture)
	for range maxPieces - 1 {
		if got := j.Put(&more); len(got) != 0 {
			t.Fatal("a picture within the bounds went out early")
		}
	}
	if got := j.Put(&more); len(got) != 1 || len(got[0].Payload) != maxPieces*len(more.Payload) {
		t.Errorf("%d frames at the bound", len(got))
	}
}

func TestH265Pictures(t *testing.T) {
	const (
		vps, sps, pps = "\x40\x01\x0c", "\x42\x01\x01", "\x44\x01\xc0"
		idr, idrMore  = "\x26\x01\xaf", "\x26\x01\x2f"
		suffixSEI     = "\x50\x01\x84"
	)
	config := make([]byte, 23)
	config[0], config[21] = 1, 3
	var j Joiner
	h := header(av.Video, av.H265, config)
	h.Split = true
	j.SetTracks([]stream.TrackHeader{h})
	frame := func(ms int, units ...string) *av.Frame {
		f := at(ms, av.Key, lengths(4, units...))
		f.Codec = av.H265
		return &f
	}
	for _, u := range []string{vps, sps, pps, idr, idrMore, suffixSEI} {
		if got := j.Put(frame(0, u)); len(got) != 0 {
			t.Fatalf("%x gave %q", u, describe(got, 4))
		}
	}
	want := []string{"0 key 40010c 420101 4401c0 2601af 26012f 500184"}
	if got := describe(j.Put(frame(40, idr)), 4); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSound(t *testing.T) {
	c := aac.Config{ObjectType: aac.LC, SampleRate: 48000, ChannelConfig: 2, FrameLength: 1024}
	adts := func(raw string) []byte {
		b, err := c.AppendADTS(nil, len(raw))
		if err != nil {
			t.Fatal(err)
		}
		return append(b, raw...)
	}
	several := bytes.Clone(adts("four blocks"))
	several[6] |= 3
	for _, tt := range []struct {
		name    string
		payload []byte
		want    []string // payload at time in microseconds
	}{
		{"raw", []byte("\x21raw"), []string{"\x21raw at 10000"}},
		{"one frame of ADTS", adts("one"), []string{"one at 10000"}},
		{"two frames of ADTS", slices.Concat(adts("one"), adts("two")), []string{"one at 10000", "two at 31333"}},
		{"an empty frame", adts(""), nil},
		{"blocks that cannot be told apart", several, []string{string(several) + " at 10000"}},
	} {
		var j Joiner
		j.SetTracks([]stream.TrackHeader{header(av.Audio, av.AAC, nil)})
		const ms10 = 10 * time.Millisecond
		f := av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: ms10, PTS: ms10, Payload: tt.payload}
		var got []string
		for _, f := range j.Put(&f) {
			got = append(got, fmt.Sprintf("%s at %d", f.Payload, f.DTS.Microseconds()))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	var j Joiner
	j.SetTracks([]stream.TrackHeader{header(av.Audio, av.AAC, nil)})
	f := av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: bytes.Repeat(adts("x"), maxSplit+1)}
	if got := len(j.Put(&f)); got != maxSplit {
		t.Errorf("%d frames of one, at most %d", got, maxSplit)
	}
}

// TestOthersPass checks that what is no access unit comes back as it is, behind the picture before.
func TestOthersPass(t *testing.T) {
	var j Joiner
	h := header(av.Video, av.H264, avcC(4))
	h.Split = true
	j.SetTracks([]stream.TrackHeader{h})
	picture := at(0, av.Key, lengths(4, idr))
	j.Put(&picture)
	end := av.Frame{Codec: av.H264, Type: av.End, Payload: []byte{1}}
	if got := j.Put(&end); len(got) != 2 || !got[0].IsKey() || got[1].Type != av.End {
		t.Errorf("got %+v", got)
	}
	for _, f := range []av.Frame{
		{Kind: av.Audio, Codec: av.Opus, Payload: []byte{0xfc}},
		{Kind: av.Data, Type: av.Script, Payload: []byte{2}},
		{Codec: av.AV1, Payload: []byte{0x12, 0}},
	} {
		if got := j.Put(&f); len(got) != 1 || !bytes.Equal(got[0].Payload, f.Payload) || got[0].Codec != f.Codec {
			t.Errorf("%v: got %+v", f.Codec, got)
		}
	}
}

func TestWholePicturesCostNothing(t *testing.T) {
	var j Joiner
	j.SetTracks([]stream.TrackHeader{header(av.Video, av.H264, avcC(4)), header(av.Audio, av.AAC, []byte{0x12, 0x10})})
	video := at(0, av.Key, lengths(4, sps, pps, idr))
	sound := av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: []byte{0x21, 1, 2}}
	j.Put(&video)
	if n := testing.AllocsPerRun(100, func() {
		if got := j.Put(&video); len(got) != 1 || &got[0].Payload[0] != &video.Payload[0] {
			t.Fatal("the picture was copied")
		}
		j.Put(&sound)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzJoiner(f *testing.F) {
	f.Add(lengths(4, sps, pps, sei), lengths(4, idr), lengths(4, sliceMore), byte(4))
	f.Add(startCodes(sps, pps), startCodes(idr, idrMore), lengths(4, filler), byte(0))
	f.Add([]byte{0, 0, 0, 9, 1}, []byte{0, 0, 1}, []byte(nil), byte(1))
	f.Fuzz(func(t *testing.T, a, b, c []byte, size byte) {
		for _, k := range []av.Codec{av.H264, av.H265} {
			var j Joiner
			h := header(av.Video, k, avcC(size&3+1))
			h.Split = size&4 != 0
			j.SetTracks([]stream.TrackHeader{h})
			in, out := 0, 0
			count := func(frames []av.Frame) {
				for i := range frames {
					out += len(frames[i].Payload)
				}
			}
			for i, b := range [][]byte{a, b, c, b, a} {
				in += 5*len(b) + 4 // a unit of one byte behind one of length has four more, or a start code's three
				f := at(i/2, 0, b)
				f.Codec = k
				count(j.Put(&f))
			}
			count(j.Flush())
			if out > in {
				t.Fatalf("%d bytes of %d", out, in)
			}
		}
	})
}
