package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"

	"weir/av"
)

// box is a box of parts.
func box(typ string, parts ...[]byte) []byte {
	b, at := openBox(nil, typ)
	for _, p := range parts {
		b = append(b, p...)
	}
	return closeBox(b, at)
}

// full is a full box whose body is numbers of 32 bits.
func full(typ string, version byte, flags uint32, numbers ...uint32) []byte {
	b, at := openFull(nil, typ, version, flags)
	for _, n := range numbers {
		b = be32(b, n)
	}
	return closeBox(b, at)
}

// soundInit is the initialization segment of a track of AAC.
func soundInit(t testing.TB) []byte {
	t.Helper()
	b, err := AppendInit(nil, []Track{{Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}}, ID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain reads a file to its end, or up to so many frames, and returns how many there were.
func drain(t testing.TB, b []byte, most int) (n int, err error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return 0, err
	}
	for n < most {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if len(f.Payload) > len(b) {
			t.Fatalf("%d bytes of a file of %d", len(f.Payload), len(b))
		}
		n++
	}
	return n, nil
}

// allocated is how many bytes a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestReaderHostile are files that claim more than they hold.
func TestReaderHostile(t *testing.T) {
	init := soundInit(t)
	// Each run claims a million samples that need no row.
	lying := full("trun", 0, 0, 1<<20)
	traf := func(flags uint32, numbers []uint32, runs ...[]byte) []byte {
		head := full("tfhd", 0, flags, append([]uint32{1}, numbers...)...)
		return box("traf", slices.Concat([][]byte{head}, runs)...)
	}
	mdat := box("mdat", make([]byte, 4000))
	for name, b := range map[string][]byte{
		"samples of no bytes, without rows": slices.Concat(init, box("moof", traf(0, nil, slices.Repeat([][]byte{lying}, 1000)...)), mdat),
		"samples of one byte, over again":   slices.Concat(init, box("moof", traf(tfhdBaseIsMoof|0x10, []uint32{1}, slices.Repeat([][]byte{full("trun", 0, trunOffset, 1000, 8)}, 1000)...)), mdat),
		"more rows than there are":          slices.Concat(init, box("moof", traf(0, nil, full("trun", 0, trunSize, 1<<31, 4))), mdat),
		"a sample of 4 GiB":                 slices.Concat(init, box("moof", traf(0, nil, full("trun", 0, trunSize, 1, 1<<32-1))), mdat),
		"data at 2^63":                      slices.Concat(init, box("moof", traf(0x1, []uint32{0x7fffffff, 0xffffffff}, full("trun", 0, trunSize, 1, 100))), mdat),
		"data before the file":              slices.Concat(init, box("moof", traf(tfhdBaseIsMoof, nil, full("trun", 0, trunOffset|trunSize, 1, 0x80000000, 100))), mdat),
		"a run without a track":             slices.Concat(init, box("moof", full("trun", 0, 0, 1<<20)), mdat),
		"no head":                           slices.Concat(init, box("moof", box("traf", lying)), mdat),
		"a run cut off":                     slices.Concat(init, box("moof", traf(0, nil, box("trun", []byte{0, 0}))), mdat),
		"a fragment of 4 GiB":               slices.Concat(init, []byte("\xff\xff\xff\xffmoof"), mdat),
	} {
		t.Run(name, func(t *testing.T) {
			var n int
			used := allocated(func() { n, _ = drain(t, b, 1<<20) })
			if n > len(b) {
				t.Errorf("%d frames in %d bytes", n, len(b))
			}
			const bound = 8 << 20
			if used > bound {
				t.Errorf("%d bytes were allocated for a file of %d", used, len(b))
			}
		})
	}
}

// plainFile is a plain file of one track of AAC whose tables are given.
func plainFile(t testing.TB, tables ...[]byte) []byte {
	t.Helper()
	init := soundInit(t)
	find := func(typ string) int { return bytes.Index(init, []byte(typ)) - 4 }
	ftyp, moov := init[:find("moov")], init[find("moov"):]
	// The tables go where the empty ones were; the boxes around them grow.
	at, end := find("stts")-len(ftyp), find("mvex")-len(ftyp)
	body := slices.Concat(moov[:at], slices.Concat(tables...))
	for _, typ := range []string{"moov", "trak", "mdia", "minf", "stbl"} {
		p := bytes.Index(body, []byte(typ)) - 4
		binary.BigEndian.PutUint32(body[p:], uint32(len(body)-p))
	}
	if end < at {
		t.Fatal("mvex comes before stts")
	}
	return slices.Concat(ftyp, body, box("mdat", make([]byte, 1000)))
}

// TestReaderTables are plain files, with tables that are right and that are not.
func TestReaderTables(t *testing.T) {
	stts, stsc := full("stts", 0, 0, 1, 10, 1024), full("stsc", 0, 0, 1, 1, 10, 1)
	stsz, stco := full("stsz", 0, 0, 100, 10), full("stco", 0, 0, 1, 500)
	const all = 1 + 10 // with the configuration
	for name, c := range map[string]struct {
		tables []([]byte)
		frames int
		want   error
	}{
		"right":                      {[][]byte{stts, stsc, stsz, full("stco", 0, 0, 1, 400)}, all, nil},
		"64 bits":                    {[][]byte{stts, stsc, stsz, full("co64", 0, 0, 1, 0, 400)}, all, nil},
		"sizes one by one":           {[][]byte{stts, stsc, full("stsz", 0, 0, 0, 3, 5, 0, 7), stco}, 3, nil},
		"two chunks":                 {[][]byte{stts, full("stsc", 0, 0, 2, 1, 3, 1, 2, 7, 1), stsz, full("stco", 0, 0, 2, 400, 700)}, 0, nil},
		"chunks of no samples":       {[][]byte{stts, full("stsc", 0, 0, 2, 1, 0, 1, 2, 4, 1), stsz, full("stco", 0, 0, 2, 400, 500)}, 5, nil},
		"fewer times than samples":   {[][]byte{full("stts", 0, 0, 1, 3, 1024), stsc, stsz, full("stco", 0, 0, 1, 400)}, 4, nil},
		"a chunk behind the end":     {[][]byte{stts, stsc, stsz, full("stco", 0, 0, 1, 1<<31)}, 0, nil},
		"a chunk at 2^63 less one":   {[][]byte{stts, stsc, stsz, full("co64", 0, 0, 1, 1<<31-1, 1<<32-1)}, 0, nil},
		"4 billion samples, no rows": {[][]byte{full("stts", 0, 0, 1, 1<<32-1, 1), full("stsc", 0, 0, 1, 1, 1<<32-1, 1), full("stsz", 0, 0, 100, 1<<32-1), full("stco", 0, 0, 1, 400)}, -1, nil},
		"stsz of too many rows":      {[][]byte{stts, stsc, full("stsz", 0, 0, 0, 1<<32-1, 1), stco}, 0, ErrBox},
		"stts of too many rows":      {[][]byte{full("stts", 0, 0, 1<<32-1, 1, 1), stsc, stsz, stco}, 0, ErrBox},
		"stsc of too many rows":      {[][]byte{stts, full("stsc", 0, 0, 1<<31), stsz, stco}, 0, ErrBox},
		"stco of too many rows":      {[][]byte{stts, stsc, stsz, full("stco", 0, 0, 1<<30, 1)}, 0, ErrBox},
		"stco of no count":           {[][]byte{stts, stsc, stsz, box("stco", []byte{0, 0, 0, 0})}, 0, ErrBox},
		"no chunks":                  {[][]byte{stts, stsc, stsz}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := plainFile(t, c.tables...)
			var n int
			var err error
			used := allocated(func() { n, err = drain(t, b, 1000) })
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if name == "two chunks" { // as many as there is room for behind the second
				c.frames = 1 + 3 + min(7, (len(b)-700)/100)
			}
			if c.frames >= 0 && n != c.frames {
				t.Errorf("%d frames, want %d", n, c.frames)
			}
			if used > 4<<20 {
				t.Errorf("%d bytes were allocated for a file of %d", used, len(b))
			}
		})
	}
}

// TestReaderCorrupt changes each byte of a file: nothing breaks, and reading ends.
func TestReaderCorrupt(t *testing.T) {
	for _, whole := range [][]byte{smallFile(t), plainFile(t, full("stts", 0, 0, 1, 10, 1024), full("stsc", 0, 0, 1, 1, 10, 1), full("stsz", 0, 0, 100, 10), full("stco", 0, 0, 1, 400))} {
		for i := range whole {
			for _, x := range []byte{0x01, 0x80, 0xff} {
				b := slices.Clone(whole)
				b[i] ^= x
				_, _ = drain(t, b, 10_000)
			}
		}
		for n := range whole {
			_, _ = drain(t, whole[:n], 10_000)
		}
	}
}
