package flv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"weir/av"
)

func testFiles(t testing.TB) map[string][]byte {
	names, err := filepath.Glob("testdata/*.flv")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(name)] = b
	}
	return files
}

func readAll(r *Reader) (tags []Tag, err error) {
	for {
		t, err := r.ReadTag()
		if err != nil {
			return tags, err
		}
		tags = append(tags, t)
	}
}

func writeAll(tags []Tag) []byte {
	var out bytes.Buffer
	w := NewWriter(&out, Form{}, true, true)
	for _, t := range tags {
		if err := w.WriteTag(t.Type, t.Timestamp, t.Body); err != nil {
			panic(err)
		}
	}
	return out.Bytes()
}

func TestFilesComeOutAsTheyWentIn(t *testing.T) {
	for name, file := range testFiles(t) {
		t.Run(name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(file))
			h, err := r.Header()
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			w := NewWriter(&out, Form{}, h.HasAudio, h.HasVideo)
			tags, err := readAll(r)
			if err != io.EOF || r.Skipped() != 0 {
				t.Fatalf("%v, %d bytes skipped", err, r.Skipped())
			}
			for _, tag := range tags {
				if err := w.WriteTag(tag.Type, tag.Timestamp, tag.Body); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(out.Bytes(), file) {
				t.Error("tags: the file has changed")
			}
			for _, form := range []Form{{}, {Enhanced: AsReceived}, {Enhanced: Never}} {
				out.Reset()
				w := NewWriter(&out, form, h.HasAudio, h.HasVideo)
				fr := NewFrameReader(bytes.NewReader(file))
				for {
					f, err := fr.ReadFrame()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if err := w.WriteFrame(f); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(out.Bytes(), file) || fr.Dropped() != 0 {
					t.Errorf("frames in form %+v: the file has changed", form)
				}
			}
		})
	}
}

// TestFilesThroughEnhancedForm writes everything in the other form and back.
func TestFilesThroughEnhancedForm(t *testing.T) {
	convert := func(file []byte, form Form) []byte {
		var out bytes.Buffer
		r := NewFrameReader(bytes.NewReader(file))
		h, err := r.Header()
		if err != nil {
			t.Fatal(err)
		}
		w := NewWriter(&out, form, h.HasAudio, h.HasVideo)
		for {
			f, err := r.ReadFrame()
			if err != nil {
				return out.Bytes()
			}
			if err := w.WriteFrame(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := testFiles(t)["h264-bframes-aac.flv"]
	enhanced := convert(file, Form{Enhanced: Always})
	if bytes.Equal(enhanced, file) || !bytes.Contains(enhanced, []byte("avc1")) || !bytes.Contains(enhanced, []byte("mp4a")) {
		t.Fatal("nothing was converted")
	}
	if got := convert(enhanced, Form{}); !bytes.Equal(got, file) {
		t.Error("the file has changed")
	}
}

// TestFilesAgainstFFprobe compares frames with what another reader says.
func TestFilesAgainstFFprobe(t *testing.T) {
	for name, file := range testFiles(t) {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", strings.TrimSuffix(name, ".flv")+".packets"))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			r := NewFrameReader(bytes.NewReader(file))
			for {
				f, err := r.ReadFrame()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if f.Type != av.Media {
					continue
				}
				flags := "__"
				if f.Kind == av.Audio || f.IsKey() {
					flags = "K_"
				}
				fmt.Fprintf(&got, "%s,%d,%d,%d,%s\n", f.Kind, f.PTS/ms, f.DTS/ms, len(f.Payload), flags)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-ffprobe +got):\n%s", diff)
			}
		})
	}
}

// boundaries returns the offsets at which a file may end well.
func boundaries(file []byte) (ends []int) {
	for i := 13; ; {
		ends = append(ends, i)
		if i == len(file) {
			return ends
		}
		i += tagHeaderSize + uint24(file[i+1:]) + backPointer
	}
}

func TestTruncationEverywhere(t *testing.T) {
	for name, file := range testFiles(t) {
		ends := boundaries(file)
		for n := range len(file) {
			r := NewReader(bytes.NewReader(file[:n]))
			tags, err := readAll(r)
			whole, clean := 0, false
			for i, end := range ends {
				if i > 0 && n >= end-backPointer {
					whole = i
				}
				clean = clean || n == end
			}
			want := io.ErrUnexpectedEOF
			if clean || n == 0 {
				want = io.EOF
			}
			if len(tags) != whole || err != want {
				t.Fatalf("%s cut to %d bytes: %d tags, %v, want %d, %v", name, n, len(tags), err, whole, want)
			}
			if _, again := r.ReadTag(); again != err {
				t.Fatalf("%s cut to %d bytes: then %v", name, n, again)
			}
		}
	}
}

func TestC218_AnySplit(t *testing.T) {
	file := testFiles(t)["h264-bframes-aac.flv"]
	want, _ := readAll(NewReader(bytes.NewReader(file)))
	for name, r := range map[string]io.Reader{
		"one byte":         iotest.OneByteReader(bytes.NewReader(file)),
		"half":             iotest.HalfReader(bytes.NewReader(file)),
		"data with error":  iotest.DataErrReader(bytes.NewReader(file)),
		"nothing at times": &stutter{r: bytes.NewReader(file)},
	} {
		got, err := readAll(NewReader(r))
		if err != io.EOF {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// stutter reads nothing every other time.
type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(p []byte) (int, error) {
	if s.n++; s.n%2 == 0 {
		return 0, nil
	}
	return s.r.Read(p[:min(len(p), 7)])
}

func TestSourceErrors(t *testing.T) {
	broken := errors.New("broken")
	file := testFiles(t)["g711.flv"]
	ends := boundaries(file)
	for n := range len(file) {
		r := NewReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)))
		tags, err := readAll(r)
		whole := 0
		for i, end := range ends {
			if i > 0 && n >= end-backPointer {
				whole = i
			}
		}
		if err != broken || len(tags) != whole {
			t.Fatalf("failing after %d bytes: %d tags, %v", n, len(tags), err)
		}
	}
	if _, err := NewReader(empty{}).ReadTag(); err != io.ErrNoProgress {
		t.Errorf("a source that reads nothing: %v", err)
	}
}

type empty struct{}

func (empty) Read([]byte) (int, error) { return 0, nil }

// TestLive says that a tag is returned without waiting for the next one.
func TestLive(t *testing.T) {
	file := testFiles(t)["g711.flv"]
	ends := boundaries(file)
	src := &pieces{}
	r := NewReader(src)
	for i := range len(ends) - 1 {
		from := ends[i]
		if i == 0 {
			from = 0
		}
		src.p = append(src.p, file[from:ends[i+1]])
		if _, err := r.ReadTag(); err != nil {
			t.Fatalf("tag %d: %v", i, err)
		}
	}
}

// pieces fails where a live source would block.
type pieces struct{ p [][]byte }

func (s *pieces) Read(b []byte) (int, error) {
	if len(s.p) == 0 {
		return 0, errors.New("would block")
	}
	n := copy(b, s.p[0])
	if s.p[0] = s.p[0][n:]; len(s.p[0]) == 0 {
		s.p = s.p[1:]
	}
	return n, nil
}

func TestFileHeaders(t *testing.T) {
	tag := AppendTag(nil, TagAudio, 5, nil, []byte{0x72, 1})
	long := append(bytes.Clone([]byte("FLV\x01\x04\x00\x00\x00\x0c")), "xyz\x00\x00\x00\x00"...)
	for _, c := range []struct {
		name string
		in   []byte
		want Header
		tags int
		err  error
	}{
		{"both", AppendFileHeader(nil, true, true), Header{1, true, true}, 0, io.EOF},
		{"audio", append(AppendFileHeader(nil, true, false), tag...), Header{1, true, false}, 1, io.EOF},
		{"video", append(AppendFileHeader(nil, false, true), tag...), Header{1, false, true}, 1, io.EOF},
		{"longer header", append(long, tag...), Header{1, true, false}, 1, io.EOF},
		{"no first back pointer", append([]byte("FLV\x01\x04\x00\x00\x00\x09"), tag...), Header{1, true, false}, 1, io.EOF},
		{"empty", nil, Header{}, 0, io.EOF},
		{"short", []byte("FL"), Header{}, 0, io.ErrUnexpectedEOF},
		{"short and wrong", []byte("FX"), Header{}, 0, ErrHeader},
		{"MP4", []byte("\x00\x00\x00\x18ftypisom"), Header{}, 0, ErrHeader},
		{"offset before the end of the header", []byte("FLV\x01\x05\x00\x00\x00\x08\x00\x00\x00\x00"), Header{}, 0, ErrHeader},
		{"C-219 offset of 4,000,000,000", []byte("FLV\x01\x05\xee\x6b\x28\x00\x00\x00\x00\x00"), Header{}, 0, ErrHeader},
		{"offset of 64 KiB, cut off", []byte("FLV\x01\x05\x00\x01\x00\x00\x00\x00\x00\x00"), Header{}, 0, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(c.in))
			h, herr := r.Header()
			tags, err := readAll(r)
			if h != c.want || len(tags) != c.tags || !errors.Is(err, c.err) {
				t.Errorf("%+v, %v, %d tags, %v", h, herr, len(tags), err)
			}
			if (herr != nil) != (c.want == Header{}) {
				t.Errorf("header: %v", herr)
			}
		})
	}
}

func TestTimestampExtension(t *testing.T) {
	for _, ts := range []uint32{0, 1, 0xFFFFFF, 0x1000000, 0xFFFFFFD8} {
		b := AppendTag(AppendFileHeader(nil, true, false), TagAudio, ts, []byte{0x72}, []byte{1})
		tag, err := NewReader(bytes.NewReader(b)).ReadTag()
		if err != nil || tag.Timestamp != ts || !bytes.Equal(tag.Body, []byte{0x72, 1}) {
			t.Errorf("%#x: %+v, %v", ts, tag, err)
		}
	}
}

func TestLongestTag(t *testing.T) {
	want := Tag{TagVideo, 7, bytes.Repeat([]byte{0x5A}, MaxBody)}
	in := writeAll([]Tag{want, {TagAudio, 8, []byte{0x72}}})
	r := NewReader(bytes.NewReader(in))
	got, err := readAll(r)
	if err != io.EOF || len(got) != 2 || !bytes.Equal(got[0].Body, want.Body) {
		t.Fatal(len(got), err)
	}
	if b := AppendTag([]byte{1}, TagVideo, 0, []byte{1}, want.Body); len(b) != 1 {
		t.Errorf("a longer tag was written: %d bytes", len(b))
	}
	if err := NewWriter(io.Discard, Form{}, true, true).WriteTag(TagVideo, 0, make([]byte, MaxBody+1)); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
}

// TestMaxBody: a tag at the bound is read; of a longer one no more than its header, and a header among garbage that announces a longer one is none.
func TestMaxBody(t *testing.T) {
	const most = 1000
	tag := func(n int) Tag { return Tag{Type: TagVideo, Body: bytes.Repeat([]byte{0x27}, n)} }
	read := func(file []byte) (sizes []int, err error) {
		r := NewReader(iotest.OneByteReader(bytes.NewReader(file)))
		r.MaxBody = most
		tags, err := readAll(r)
		for i := range tags {
			sizes = append(sizes, len(tags[i].Body))
		}
		if again, next := r.ReadTag(); next == nil || !errors.Is(next, err) {
			t.Errorf("after %v: %v, %v", err, again, next)
		}
		if n := len(r.in.bytes()); n > most+100 {
			t.Errorf("%d bytes are held", n)
		}
		return sizes, err
	}
	if sizes, err := read(writeAll([]Tag{tag(most), tag(1)})); err != io.EOF || !cmp.Equal(sizes, []int{most, 1}) {
		t.Error(sizes, err)
	}
	if sizes, err := read(writeAll([]Tag{tag(5), tag(most + 1), tag(6)})); !errors.Is(err, ErrLimit) || !cmp.Equal(sizes, []int{5}) {
		t.Error(sizes, err)
	}
	whole := writeAll([]Tag{tag(5), tag(7)})
	const behindFirst = fileHeaderSize + backPointer + tagHeaderSize + 5 + backPointer
	broken := append(bytes.Clone(whole[:behindFirst]), "garbage, and what looks like a tag of 16 MiB: "...)
	broken = append(broken, byte(TagVideo), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0)
	broken = append(broken, whole[behindFirst:]...)
	if sizes, err := read(broken); err != io.EOF || !cmp.Equal(sizes, []int{5, 7}) {
		t.Error(sizes, err)
	}
}
