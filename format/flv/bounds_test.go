package flv

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/amf"
)

// TestFillerBound: texts that fill up a file's metadata have 1,000 letters at most: ffmpeg complains of longer ones.
func TestFillerBound(t *testing.T) {
	least := len(appendFileFacts(nil, &fileFacts{}, 0))
	for size, want := range map[int][]int{0: {0}, 1000: {1000}, 1001: {990, 0}, 1500: {1000, 489}, 3000: {1000, 1000, 978}} {
		b := append([]byte{8, 0, 0, 0, 9}, appendFileFacts(nil, &fileFacts{}, least+size)...)
		v, err := amf.DecodeAll(b, amf.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, p := range v[0].(amf.ECMAArray) {
			if p.Key == "filler" {
				got = append(got, len(p.Value.(string)))
			}
		}
		if !slices.Equal(got, want) || len(b) != 5+least+size {
			t.Errorf("%d bytes: texts of %d, want %d", size, got, want)
		}
	}
}

// TestMetadataBound: metadata has 65,536 bytes at most, read or written.
func TestMetadataBound(t *testing.T) {
	with := func(n int) amf.Object { return amf.Object{prop("title", strings.Repeat("x", n))} }
	b := BuildMetadata(nil, with(65000))
	rest := 65536 - len(b)
	for n, want := range map[int]int{rest: 65536, rest + 1: len(b)} {
		extra := append(with(65000), prop("more", strings.Repeat("y", n-9))) // two bytes of length and four letters, a type and two bytes of length
		got := BuildMetadata(nil, extra)
		if len(got) != want {
			t.Errorf("%d bytes more: %d, want %d", n, len(got), want)
		}
		if _, props, err := ParseMetadata(got); err != nil || len(props) == 0 {
			t.Errorf("%d bytes are not read: %v", len(got), err)
		}
		if len(got) < 65536 {
			continue
		}
		if _, _, err := ParseMetadata(append(got, 5)); !errors.Is(err, ErrLimit) {
			t.Errorf("%d bytes are read: %v", len(got)+1, err)
		}
	}
}

// TestDataOffsetBound: tags may begin up to byte 65,536 of a file.
func TestDataOffsetBound(t *testing.T) {
	for n, want := range map[int]error{65536: io.EOF, 65537: ErrHeader} {
		in := append([]byte{'F', 'L', 'V', 1, 4, 0, byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n-9+4)...)
		tags, err := readAll(NewReader(bytes.NewReader(append(in, encode(someTags(1)[0])...))))
		if !errors.Is(err, want) || (len(tags) == 1) != (want == io.EOF) {
			t.Errorf("tags from byte %d on: %d of them, %v", n, len(tags), err)
		}
	}
}

// idle reads nothing so often before its source.
type idle struct {
	src io.Reader
	n   int
}

func (s *idle) Read(p []byte) (int, error) {
	if s.n--; s.n >= 0 {
		return 0, nil
	}
	return s.src.Read(p)
}

// TestEmptyReadsBound: a source may give nothing 99 times in a row.
func TestEmptyReadsBound(t *testing.T) {
	file := writeAll(someTags(2))
	for n, want := range map[int]error{99: io.EOF, 100: io.ErrNoProgress} {
		if _, err := readAll(NewReader(&idle{bytes.NewReader(file), n})); err != want {
			t.Errorf("nothing %d times: %v, want %v", n, err, want)
		}
	}
}

// TestCandidatesBound: 64 places that may be tags are followed at once; the tag that takes the most bytes to confirm gives way to false ones.
func TestCandidatesBound(t *testing.T) {
	tags := []Tag{{TagVideo, 1, bytes.Repeat([]byte{0xee}, 2000)}, {TagVideo, 2, bytes.Repeat([]byte{0xee}, 10)}}
	for others, want := range map[int][]Tag{63: tags, 64: tags[1:]} {
		in := append(AppendFileHeader(nil, true, true), 0xff)
		in = append(in, bytes.Repeat([]byte{9, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 0}, others)...) // tags of 1,000 bytes
		in = append(append(in, encode(tags[0])...), encode(tags[1])...)
		got, err := readAll(NewReader(bytes.NewReader(in)))
		if err != io.EOF || !cmp.Equal(got, want) {
			t.Errorf("behind %d false tags: %d tags, %v, want %d", others, len(got), err, len(want))
		}
	}
}
