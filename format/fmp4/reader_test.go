package fmp4

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// open reads all frames of a file.
func open(t testing.TB, b []byte) (r *Reader, frames []*av.Frame) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r, frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

// readFile reads all frames of a file on disk.
func readFile(t testing.TB, name string) (*Reader, []*av.Frame) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, b)
}

// sources are how ffmpeg encodes each codec for MP4.
var sources = []struct{ name, video, audio string }{
	{"H.264 with B frames, AAC", "-c:v libx264 -bf 2 -g 25 -preset veryfast", "-c:a aac"},
	{"H.265, MP3", "-c:v libx265 -x265-params log-level=none -preset ultrafast -g 25 -tag:v hvc1", "-c:a libmp3lame"},
	{"AV1, Opus", "-c:v libsvtav1 -preset 12 -g 25", "-c:a libopus"},
	{"VP9, FLAC", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25", "-c:a flac -strict -2"},
	{"AC-3", "", "-c:a ac3"},
	{"E-AC-3", "", "-c:a eac3"},
}

// kinds are the forms of MP4 files.
var kinds = map[string]string{
	"plain": "", "moov first": "-movflags +faststart",
	"fragmented": "-movflags +frag_keyframe+empty_moov+delay_moov", "a fragment each": "-movflags +frag_every_frame+empty_moov+delay_moov+default_base_moof",
}

// TestReader reads files of ffmpeg's, writes them anew, and has ffmpeg find the same packets.
func TestReader(t *testing.T) {
	for _, src := range sources {
		for kind, flags := range kinds {
			t.Run(src.name+" "+kind, func(t *testing.T) {
				t.Parallel()
				in := filepath.Join(t.TempDir(), "in.mp4")
				args := []string{"-v", "error"}
				if src.video != "" {
					args = append(args, "-f", "lavfi", "-i", "testsrc2=size=192x108:rate=25:duration=3")
				}
				args = append(args, "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=3", "-pix_fmt", "yuv420p", "-ac", "2")
				args = append(args, strings.Fields(src.video+" "+src.audio+" "+flags)...)
				ffmpeg(t, append(args, in)...)
				b, err := os.ReadFile(in)
				if err != nil {
					t.Fatal(err)
				}
				r, frames := open(t, b)
				last := map[av.Kind]time.Duration{}
				media := false
				for _, f := range frames {
					media = media || f.Type == av.Media
					if f.Type == av.Config && media {
						t.Errorf("%v is configured behind media", f.Codec)
					}
					if f.DTS < last[f.Kind] || f.DTS < 0 {
						t.Errorf("%v goes from %v to %v", f.Kind, last[f.Kind], f.DTS)
					}
					last[f.Kind] = f.DTS
				}
				for k, d := range last {
					if d < 2900*time.Millisecond || d > 3100*time.Millisecond {
						t.Errorf("%v ends at %v", k, d)
					}
				}
				out := writeTracks(t, r.Tracks(), frames)
				streams := []string{"0:a"}
				if src.video != "" {
					streams = append(streams, "0:v")
				}
				for _, stream := range streams {
					want, got := sums(t, in, stream, false), sums(t, out, stream, false)
					if len(want) == 0 || strings.Join(want, "\n") != strings.Join(got, "\n") {
						t.Errorf("%s: %d packets became %d, or others", stream, len(want), len(got))
					}
					if stream == "0:v" {
						want, got = sums(t, in, stream, true), sums(t, out, stream, true)
						if strings.Join(want, "\n") != strings.Join(got, "\n") {
							t.Errorf("%s: %d pictures became %d, or others", stream, len(want), len(got))
						}
					}
				}
			})
		}
	}
}

// TestReaderCutOff reads every beginning of a file: what is whole comes, and nothing breaks.
func TestReaderCutOff(t *testing.T) {
	b := smallFile(t)
	_, all := open(t, b)
	step := max(len(b)/400, 1)
	most := 0
	for n := 0; n < len(b); n += step {
		r, err := NewReader(bytes.NewReader(b[:n]), int64(n))
		if err != nil {
			continue
		}
		count := 0
		for {
			f, err := r.Next()
			if err != nil {
				break
			}
			if !bytes.Equal(f.Payload, all[count].Payload) {
				t.Fatalf("cut at %d, frame %d is another one", n, count)
			}
			count++
		}
		most = max(most, count)
	}
	if most == 0 || most >= len(all) {
		t.Errorf("at most %d of %d frames", most, len(all))
	}
}

// smallFile is a fragmented file without ffmpeg.
func smallFile(t testing.TB) []byte {
	t.Helper()
	track := Track{Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}, ID: 1}
	b, err := AppendInit(nil, []Track{track})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		run := Run{ID: 1, DTS: int64(i) * 4 * 1024}
		for k := range 4 {
			run.Samples = append(run.Samples, Sample{Duration: 1024, Key: true, Payload: bytes.Repeat([]byte{byte(i), byte(k)}, 20+i)})
		}
		if b, err = AppendFragment(b, uint32(i+1), []Run{run}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestReaderRefused are files in which there is nothing to read.
func TestReaderRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want error
	}{
		"nothing":      {"", ErrNotMP4},
		"text":         {"this is no film at all", ErrNotMP4},
		"no moov":      {"\x00\x00\x00\x08free\x00\x00\x00\x08mdat", ErrNotMP4},
		"empty moov":   {"\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov", ErrNoTracks},
		"huge moov":    {"\x00\x00\x00\x08ftyp\x7f\xff\xff\xffmoov", ErrBox},
		"box of 7":     {"\x00\x00\x00\x08ftyp\x00\x00\x00\x07moov", ErrBox},
		"box of 2^63":  {"\x00\x00\x00\x08ftyp\x00\x00\x00\x01mdat\x80\x00\x00\x00\x00\x00\x00\x00", ErrBox},
		"box too long": {"\x00\x00\x00\x08ftyp\x00\x00\x00\x10moov\x00\x00\x00\x10trak", ErrBox},
	} {
		if _, err := NewReader(strings.NewReader(c.file), int64(len(c.file))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// FuzzReader reads rubbish: it ends, and gives no more than there is.
func FuzzReader(f *testing.F) {
	f.Add(smallFile(f))
	f.Add([]byte("\x00\x00\x00\x08ftyp\x00\x00\x00\x08moov"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for range 100_000 {
			fr, err := r.Next()
			if err != nil {
				return
			}
			if len(fr.Payload) > len(b) {
				t.Fatalf("%d bytes of a file of %d", len(fr.Payload), len(b))
			}
		}
	})
}

// TestReaderNamesWhatItLeavesOut has files of ffmpeg's with tracks of other codecs.
func TestReaderNamesWhatItLeavesOut(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string
	}{
		{"-c:v libx264 -pix_fmt yuv420p -c:a pcm_s16le -timecode 01:00:00:00", []string{"PCM audio", "timecode track"}},
		{"-c:v mpeg4 -c:a aac", []string{"MPEG-4 Part 2 video"}},
		{"-c:v libx264 -pix_fmt yuv420p -c:a alac", []string{"ALAC audio"}},
		{"-c:v libx264 -pix_fmt yuv420p -c:a aac", nil},
	} {
		file := filepath.Join(t.TempDir(), "in.mov")
		ffmpeg(t, append(strings.Fields("-f lavfi -i testsrc2=size=64x48:rate=25:duration=1 -f lavfi -i sine=duration=1 "+c.args), file)...)
		r, frames := readFile(t, file)
		if !slices.Equal(r.LeftOut(), c.want) || len(frames) == 0 {
			t.Errorf("%s: it leaves out %q, not %q, of %d frames", c.args, r.LeftOut(), c.want, len(frames))
		}
	}
	file := filepath.Join(t.TempDir(), "pcm.mov")
	ffmpeg(t, append(strings.Fields("-f lavfi -i sine=duration=1 -c:a pcm_s16le"), file)...)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrNoTracks) || !strings.Contains(err.Error(), "PCM audio") {
		t.Errorf("a file of PCM alone: %v", err)
	}
}
