package mpegts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// TestNote: what is written comes back, readers pass over it, and anything else is no note.
func TestNote(t *testing.T) {
	for _, n := range []int{1, noteRoom - 1, noteRoom, noteRoom + 1, 3*noteRoom + 7, 16384} {
		note := bytes.Repeat([]byte("weir "), n/5+1)[:n]
		b := AppendNote([]byte{}, note)
		if want := (n + noteRoom - 1) / noteRoom * PacketSize; len(b) != want {
			t.Errorf("%d bytes take %d instead of %d", n, len(b), want)
		}
		got, err := ReadNote(bytes.NewReader(b))
		if err != nil || !bytes.Equal(got, note) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
		if got, err := ReadNote(bytes.NewReader(b[:len(b)-1])); got != nil || err != nil {
			t.Error("cut off:", len(got), err)
		}
		var d Demuxer
		if frames := d.Flush(d.Demux(nil, b)); len(frames) > 0 || d.Counters() != (Counters{Packets: uint64(len(b) / PacketSize)}) {
			t.Error(frames, d.Counters())
		}
	}
	if b := AppendNote(nil, make([]byte, 16385)); b != nil {
		t.Error("a note that is too long was written")
	}
	if b := AppendNote(nil, nil); b != nil {
		t.Error("a note of nothing was written")
	}
	bad := AppendNote(nil, []byte("x"))
	bad[headerSize+len(noteMark)+2] = 0xff // longer than any
	if got, err := ReadNote(bytes.NewReader(bad)); got != nil || err != nil {
		t.Error(got, err)
	}
}

// TestLength measures files of frames whose times are known: in one look, and over the turn of the clock.
func TestLength(t *testing.T) {
	for name, c := range map[string]struct {
		frames int
		step   time.Duration
		want   time.Duration
	}{
		"a second": {25, 40 * time.Millisecond, time.Second},
		"one":      {1, 40 * time.Millisecond, 0},
		"60 hours": {60 * 360, 10 * time.Second, 60*time.Hour - 9*time.Second},
	} {
		m, err := NewMuxer([]av.Track{{Kind: av.Audio, Codec: av.MP3, SampleRate: 44100, Channels: 2}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := AppendNote(nil, []byte("note"))
		payload := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
		for i := range c.frames {
			at := time.Duration(i) * c.step
			if b, err = m.AppendFrame(b, &av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: at, PTS: at, Payload: payload}); err != nil {
				t.Fatal(err)
			}
		}
		b = m.Flush(b)
		got, err := Length(bytes.NewReader(b), int64(len(b)))
		if err != nil || (got-c.want).Abs() > 30*time.Millisecond {
			t.Errorf("%s: %v instead of %v, %v", name, got, c.want, err)
		}
	}
	if got, err := Length(bytes.NewReader(nil), 0); got != 0 || err != nil {
		t.Error(got, err)
	}
}

// TestLengthOfEncoder measures what ffmpeg writes, and what it finds itself.
func TestLengthOfEncoder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.ts")
	if out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine", "-t", "8",
		"-c:v", "libx264", "-bf", "2", "-c:a", "aac", name).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	noted := filepath.Join(t.TempDir(), "b.ts")
	b = append(AppendNote(nil, []byte(strings.Repeat("note", 100))), b...)
	if err := os.WriteFile(noted, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Length(bytes.NewReader(b), int64(len(b)))
	if err != nil || (got-8*time.Second).Abs() > 100*time.Millisecond {
		t.Error(got, err)
	}
	frames := func(name string) string {
		out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", name, "-c", "copy", "-f", "framemd5", "-").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if a, b := frames(name), frames(noted); a != b || a == "" {
		t.Error("ffmpeg reads the file with a note in another way")
	}
}
