package flv

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// someTags are valid tags of various sizes.
func someTags(n int) (tags []Tag) {
	for i := range n {
		tags = append(tags, Tag{TagAudio, uint32(i * 20), append([]byte{0x72}, bytes.Repeat([]byte{byte(i)}, i*37%200)...)})
	}
	return tags
}

func encode(t Tag) []byte { return AppendTag(nil, t.Type, t.Timestamp, nil, t.Body) }

func TestRubbish(t *testing.T) {
	header := AppendFileHeader(nil, true, true)
	falseTag := []byte{9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0} // announces 16 MiB
	swallowing := bytes.Clone(encode(someTags(3)[2]))
	swallowing[2] ^= 4 // claims 1 KiB more than it has
	wrongPointer := bytes.Clone(encode(someTags(3)[2]))
	binary.BigEndian.PutUint32(wrongPointer[len(wrongPointer)-4:], 0)
	streamID := bytes.Clone(encode(someTags(3)[2]))
	streamID[10] = 1
	for _, c := range []struct {
		name    string
		between []byte // tags
		tag     bool   // between is a tag all the same
	}{
		{"text", []byte("this is not a tag"), false},
		{"zeros", make([]byte, 1000), false},
		{"a tag's head", encode(Tag{TagVideo, 0, make([]byte, 50)})[:30], false},
		{"one byte", []byte{9}, false},
		{"a false tag of 16 MiB", falseTag, false},
		{"200 of them", bytes.Repeat(falseTag, 200), false},
		{"many headers of empty tags", bytes.Repeat([]byte{8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 100), false},
		{"a tag of unknown type", encode(Tag{10, 0, []byte("body")}), false},
		{"a size that swallows what follows", swallowing, false},
		{"a file header", header, false},
		{"a wrong back pointer", wrongPointer, true},
		{"a stream id", streamID, true},
		{"an encrypted tag", encode(Tag{TagVideo | 0x20, 0, []byte("body")}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tags := someTags(20)
			in := bytes.Clone(header)
			var want []Tag
			for i, tag := range tags {
				in = append(in, encode(tag)...)
				want = append(want, tag)
				if i%5 == 4 && i < 19 {
					in = append(in, c.between...)
					if c.tag {
						want = append(want, Tag{TagType(c.between[0]), uint32(uint24(c.between[4:])), c.between[11 : len(c.between)-4]})
					}
				}
			}
			for _, src := range []io.Reader{bytes.NewReader(in), iotest.OneByteReader(bytes.NewReader(in))} {
				r := NewReader(src)
				got, err := readAll(r)
				if err != io.EOF {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
				skipped := int64(0)
				if !c.tag {
					skipped = int64(3 * len(c.between))
				}
				if r.Skipped() != skipped {
					t.Errorf("%d bytes skipped, want %d", r.Skipped(), skipped)
				}
			}
		})
	}
	t.Run("at the end", func(t *testing.T) {
		in := append(writeAll(someTags(5)), "rubbish"...)
		r := NewReader(bytes.NewReader(in))
		got, err := readAll(r)
		if len(got) != 5 || err != io.ErrUnexpectedEOF {
			t.Errorf("%d tags, %v", len(got), err)
		}
	})
	t.Run("all back pointers wrong", func(t *testing.T) {
		in := bytes.Clone(header)
		for _, tag := range someTags(20) {
			b := encode(tag)
			binary.BigEndian.PutUint32(b[len(b)-4:], uint32(len(tag.Body)))
			in = append(in, b...)
		}
		for n := range 14 {
			got, err := readAll(NewReader(bytes.NewReader(in[:len(in)-n])))
			if want := 20 - min(n/5, 1); len(got) != want {
				t.Errorf("%d bytes cut off: %d tags, %v, want %d", n, len(got), err, want)
			}
		}
	})
}

// TestRubbishDoesNotHideTags says that a false header does not make the reader wait for
// the bytes that it announces.
func TestRubbishDoesNotHideTags(t *testing.T) {
	tags := someTags(3)
	in := append(AppendFileHeader(nil, true, true), 0xFF, 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0)
	for _, tag := range tags {
		in = append(in, encode(tag)...)
	}
	r := NewReader(&pieces{[][]byte{in}})
	for i := range tags {
		if _, err := r.ReadTag(); err != nil {
			t.Fatalf("tag %d: %v", i, err)
		}
	}
}

func TestRandomRubbish(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := AppendFileHeader(nil, true, true)
		var want []Tag
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			// 0xEE is the first byte of no tag, so that rubbish never looks like one.
			rubbish := rapid.SliceOfN(rapid.ByteRange(0xEE, 0xFF), 0, 50).Draw(t, "rubbish")
			in = append(in, rubbish...)
			tag := Tag{
				Type:      rapid.SampledFrom([]TagType{TagAudio, TagVideo, TagScript, TagScriptAMF3}).Draw(t, "type"),
				Timestamp: rapid.Uint32().Draw(t, "ts"),
				Body:      append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body")...),
			}
			in = append(in, encode(tag)...)
			want = append(want, tag)
		}
		got, err := readAll(NewReader(bytes.NewReader(in)))
		if err != io.EOF {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestC219_MemoryIsBounded announces much and sends little.
func TestC219_MemoryIsBounded(t *testing.T) {
	for name, in := range map[string][]byte{
		"one tag":        append(AppendFileHeader(nil, true, true), 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0),
		"after 100 KiB":  append(append(AppendFileHeader(nil, true, true), 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0), make([]byte, 100<<10)...),
		"while searched": append(AppendFileHeader(nil, true, true), bytes.Repeat([]byte{0, 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0}, 1000)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readAll(NewReader(bytes.NewReader(in)))
		runtime.ReadMemStats(&after)
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%s: %v", name, err)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4*len(in)+128<<10); got > most {
			t.Errorf("%s: %d bytes allocated for %d received, want at most %d", name, got, len(in), most)
		}
	}
}

// endless repeats b for n bytes.
type endless struct {
	b []byte
	i int
	n int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n <= 0 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = e.b[e.i%len(e.b)]
		e.i++
	}
	e.n -= len(p)
	return len(p), nil
}

// TestBufferIsBounded searches through much more than a tag. The buffer holds the longest tag of
// 16,777,215 bytes, its head and back pointer, the next head, and 32 KiB.
func TestBufferIsBounded(t *testing.T) {
	header := AppendFileHeader(nil, true, true)
	falseTag := []byte{0, 9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0}
	r := NewReader(io.MultiReader(bytes.NewReader(header), &endless{b: falseTag, n: 20 << 20}))
	if _, err := r.ReadTag(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	if cap(r.in.buf) != 16_810_009 || r.Skipped() < 20<<20 {
		t.Errorf("buffer of %d bytes, %d skipped", cap(r.in.buf), r.Skipped())
	}
}
