package fmp4

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// TestTracks writes a file of one picture and two sound tracks, of which one begins late, and reads
// it: each track is whole, under its number, and times go up over all of them.
func TestTracks(t *testing.T) {
	sound := func(id uint8) av.Track {
		return av.Track{Kind: av.Audio, ID: id, Codec: av.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}
	}
	video, f := payloadOfVideo(t)
	tracks := []Track{{Track: video, ID: 3}, {Track: sound(0), ID: 1}, {Track: sound(1), ID: 7, Timescale: 1000}}
	b, err := AppendInit(nil, tracks)
	if err != nil {
		t.Fatal(err)
	}
	const fragments = 10
	for i := range int64(fragments) {
		runs := []Run{
			{ID: 3, DTS: i * 9000, Samples: []Sample{{Duration: 4500, CTS: 4500, Key: true, Payload: f.Payload}, {Duration: 4500, CTS: -4500, Payload: f.Payload}}},
			{ID: 1, DTS: i * 4800, Samples: slices.Repeat([]Sample{{Duration: 960, Key: true, Payload: []byte{1, byte(i), 2}}}, 5)},
		}
		if i >= fragments/2 {
			runs = append(runs, Run{ID: 7, DTS: i * 100, Samples: slices.Repeat([]Sample{{Duration: 20, Key: true, Payload: []byte{7, byte(i), 2}}}, 5)})
		}
		if b, err = AppendFragment(b, uint32(i+1), runs); err != nil {
			t.Fatal(err)
		}
	}
	r, frames := open(t, b)
	if got := r.Tracks(); len(got) != 3 || got[0].ID != 3 || got[2].ID != 7 || got[2].Track.ID != 1 || got[2].Timescale != 1000 {
		t.Fatalf("%+v", got)
	}
	count, last := map[string]int{}, time.Duration(0)
	for i, f := range frames {
		count[fmt.Sprint(f.Kind, f.Track, f.Type)]++
		if (f.Type == av.Config) != (i < 3) {
			t.Errorf("frame %d is of type %v", i, f.Type)
		}
		if f.DTS < last {
			t.Errorf("frame %d goes from %v back to %v", i, last, f.DTS)
		}
		last = f.DTS
		if cts := f.PTS - f.DTS; f.Type == av.Media && f.Kind == av.Video && (cts != 50*time.Millisecond) == f.IsKey() {
			t.Errorf("frame %d is shown %v after it is decoded", i, cts)
		}
	}
	want := map[string]int{
		fmt.Sprint(av.Video, 0, av.Config): 1, fmt.Sprint(av.Audio, 0, av.Config): 1, fmt.Sprint(av.Audio, 1, av.Config): 1,
		fmt.Sprint(av.Video, 0, av.Media): 2 * fragments, fmt.Sprint(av.Audio, 0, av.Media): 5 * fragments, fmt.Sprint(av.Audio, 1, av.Media): 5 * fragments / 2,
	}
	if fmt.Sprint(count) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", count, want)
	}
}

// TestReaderTracks reads a file of ffmpeg's with two sound tracks of unlike rates.
func TestReaderTracks(t *testing.T) {
	for kind, flags := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			in := filepath.Join(t.TempDir(), "in.mp4")
			args := []string{
				"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x96:rate=25:duration=2", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=2",
				"-f", "lavfi", "-i", "sine=sample_rate=22050:duration=2", "-map", "0", "-map", "1", "-map", "2",
				"-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2", "-preset", "veryfast", "-c:a", "aac",
			}
			ffmpeg(t, append(append(args, strings.Fields(flags)...), in)...)
			r, frames := readFile(t, in)
			if got := r.Tracks(); len(got) != 3 || got[1].SampleRate != 48000 || got[2].SampleRate != 22050 || got[2].Track.ID != 1 {
				t.Fatalf("%+v", got)
			}
			last, count := time.Duration(0), map[uint8]int{}
			for i, f := range frames {
				if f.DTS < last {
					t.Errorf("frame %d goes from %v back to %v", i, last, f.DTS)
				}
				last = f.DTS
				if f.Kind == av.Audio && f.Type == av.Media {
					count[f.Track]++
				}
			}
			for id, stream := range []string{"0:a:0", "0:a:1"} {
				if want := len(sums(t, in, stream, false)); count[uint8(id)] != want {
					t.Errorf("track %d has %d packets, not %d", id, count[uint8(id)], want)
				}
			}
		})
	}
}
