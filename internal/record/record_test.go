package record

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/stream"
)

// TestEveryFrameOnce (P1, P2, P11): over all files of a recording there is each frame that was published, once; each file begins with
// a key frame at its time 0, and they are together as long as the stream.
func TestEveryFrameOnce_P1_P2_P11(t *testing.T) {
	for _, format := range []string{"mp4", "flv", "ts"} {
		t.Run(format, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Format, c.Cut = format, 3*time.Second })
			sent := encode(t, 10, "320x180", 48000)
			r.send(r.publish("live/cam"), sent.frames, 0, 0)
			names := r.whole()
			if len(names) != 4 {
				t.Fatalf("%d files", len(names))
			}
			if format != "ts" { // which is not made of the same packets
				same(t, sent, "v", names...)
				same(t, sent, "a", names...)
			}
			sum, pictures := 0.0, 0
			described := ""
			for i, name := range names {
				v := packets(t, name, "v")
				pictures += len(v)
				a := packets(t, name, "a")
				first, tolerance := min(v[0].dts, a[0].dts), 0.001
				switch format {
				case "mp4":
					first = min(v[0].pts, a[0].pts)
				case "ts": // its clock begins at 0, so that what it is to show can come before it is shown
					first, tolerance = first-0.2, 0.04
				}
				if math.Abs(first) > tolerance || !v[0].key {
					t.Errorf("%s begins at %v, key %v", name, first, v[0].key)
				}
				if was := describe(t, name); i == 0 {
					described = was
				} else if was != described {
					t.Errorf("%s is described as\n%s\nand the first file as\n%s", name, was, described)
				}
				d := probed(t, name)
				if math.Abs(d-length(t, name)) > 0.1 {
					t.Errorf("%s: ffprobe finds %v s in %v", name, d, length(t, name))
				}
				sum += d
			}
			if long := length(t, sent.file); pictures != 250 || math.Abs(sum-long) > map[string]float64{"mp4": 0.04, "flv": 0.3, "ts": 0.3}[format] {
				t.Errorf("%d pictures in %.3f s of %.3f s", pictures, sum, long)
			}
			for i := 1; i <= len(names); i++ {
				e := r.wait(event.RecordingDone, i)
				if begun := r.wait(event.RecordingStart, i); e.Session == nil || e.Session.ID != "of "+e.Stream.Path || begun.Session != e.Session {
					t.Errorf("the event of %v is of %+v, its start of %+v", e.Data["file"], e.Session, begun.Session)
				}
				if d := e.Data["duration"].(float64); math.Abs(d-length(t, filepath.Join(r.dir, e.Data["file"].(string)))) > 0.05 {
					t.Errorf("the event of %v says %v s", e.Data["file"], d)
				}
			}
		})
	}
}

// describe is what ffprobe says of a file's tracks, but for when they begin and how long they are.
func describe(t *testing.T, name string) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(tool(t, "ffprobe", "-v", "error", "-show_streams", "-show_data_hash", "md5", "-of", "flat", name)) {
		key, _, _ := strings.Cut(line, "=")
		key = strings.ToLower(key[strings.LastIndexByte(key, '.')+1:])
		if !strings.HasPrefix(key, "start_") && !strings.HasPrefix(key, "duration") && !slices.Contains([]string{"nb_frames", "bit_rate", "creation_time"}, key) {
			kept = append(kept, line)
		}
	}
	if len(kept) < 40 {
		t.Fatalf("%s: ffprobe says only %q", name, kept)
	}
	return strings.Join(kept, "")
}

// TestCutBySize: a file ends at the first key frame at which it has what cut_size says.
func TestCutBySize(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Format, c.CutSize = format, 1<<20 })
			sent := encode(t, 10, "160x90", 48000)
			for i := range sent.frames { // 0.75 MB a second
				if f := &sent.frames[i]; f.Kind == av.Video && f.Type == av.Media {
					f.Payload = padded(f.Payload, 30000)
				}
			}
			r.send(r.publish("live/cam"), sent.frames, 0, 0)
			names := r.whole()
			if len(names) != 5 {
				t.Fatalf("%d files", len(names))
			}
			for _, name := range names {
				info, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				if v := packets(t, name, "v"); len(v) != 50 || !v[0].key || info.Size() < 1<<20 || info.Size() > 1<<21 {
					t.Errorf("%s: %d bytes, %d pictures", name, info.Size(), len(v))
				}
			}
		})
	}
}

// TestGaps (C-412, P4, P8): a publisher that returns within max_gap goes on in the same file, and otherwise in a new one; with another
// coding always in a new one.
func TestGaps_C412_P4_P8(t *testing.T) {
	for _, c := range []struct {
		gap   time.Duration
		other bool
		files int
	}{{time.Second, false, 1}, {3 * time.Second, false, 2}, {20 * time.Second, false, 2}, {time.Second, true, 2}} {
		t.Run(fmt.Sprint(c.gap, c.other), func(t *testing.T) {
			r := newRig(t, nil)
			first := encode(t, 2, "320x180", 48000)
			second := first
			if c.other {
				second = encode(t, 2, "160x90", 48000)
			}
			p := r.publish("live/cam")
			r.send(p, first.frames, 0, time.Second)
			p.Close(nil)
			p = r.publish("live/cam")
			r.send(p, second.frames, 0, time.Second+2*time.Second+c.gap)
			names := r.whole()
			if len(names) != c.files {
				t.Fatalf("%d files, want %d", len(names), c.files)
			}
			total := 0
			for _, name := range names {
				total += len(packets(t, name, "v"))
			}
			if total != 100 {
				t.Errorf("%d pictures", total)
			}
			if d := length(t, names[0]); c.files == 1 && math.Abs(d-4-c.gap.Seconds()) > 0.2 {
				t.Errorf("it lasts %v", d)
			}
		})
	}
}

// TestFileEndsWithItsPublisher: a file is whole max_gap after its publisher has gone, also while the stream waits for its return. A publisher that
// is connected and sends nothing does not end it: what it was held up with belongs to the file.
func TestFileEndsWithItsPublisher(t *testing.T) {
	for _, gap := range []time.Duration{500 * time.Millisecond, 2 * time.Second, 5 * time.Second} {
		t.Run(fmt.Sprint(gap), func(t *testing.T) {
			sent := encode(t, 2, "320x180", 48000)
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config) { c.MaxGap = gap })
				defer r.end()
				ends := func(after time.Duration, before, behind int) {
					t.Helper()
					time.Sleep(after - beat)
					synctest.Wait()
					if n := r.count(event.RecordingDone); n != before {
						t.Errorf("%d files were whole just before %v", n, after)
					}
					time.Sleep(3 * beat)
					synctest.Wait()
					if n := r.count(event.RecordingDone); n != behind {
						t.Errorf("%d files were whole after %v", n, after)
					}
				}
				p := r.publish("live/cam")
				r.send(p, sent.frames, 0, 0)
				p.Close(nil)
				ends(gap, 0, 1)
				if got := files(t, r.dir); len(got) != 1 || strings.HasSuffix(got[0], PartSuffix) || len(packets(t, filepath.Join(r.dir, got[0]), "v")) != 50 {
					t.Errorf("%v", got)
				}
				time.Sleep(keyPatience)
				p = r.publish("live/cam")
				r.send(p, sent.frames, 0, 0)
				ends(time.Minute, 1, 1)
				p.Close(nil)
				time.Sleep(idleTime + beat)
				if n := r.count(event.RecordingDone); n != 2 {
					t.Errorf("%d files are whole", n)
				}
				if names := r.whole(); len(names) != 2 || len(packets(t, names[1], "v")) != 50 {
					t.Errorf("%v", names)
				}
				if n := r.logged("no key frame"); n != 0 {
					t.Errorf("it complains %d times of no key frame", n)
				}
			})
		})
	}
}

// TestFiveReconnects (P8) makes one file, whose times go on.
func TestFiveReconnects_P8(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 2, "320x180", 48000)
	at := time.Second
	for range 5 {
		p := r.publish("live/cam")
		r.send(p, sent.frames, 0, at)
		p.Close(nil)
		at += 3 * time.Second
	}
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%d files", len(names))
	}
	v := packets(t, names[0], "v")
	if len(v) != 250 {
		t.Errorf("%d pictures", len(v))
	}
	times := make([]float64, len(v))
	for i := range v {
		times[i] = v[i].pts
	}
	slices.Sort(times)
	for i := 1; i < len(times); i++ {
		if d := times[i] - times[i-1]; d > 1.2 || d <= 0 {
			t.Errorf("%.3f s between two pictures", d)
		}
	}
}

// TestJumps (P6, C-408): time stamps that jump by an hour, back or to the same make no long sample.
func TestJumps_P6_C408(t *testing.T) {
	for name, jump := range map[string]time.Duration{"an hour on": time.Hour, "an hour back": -time.Hour, "wrap": 1<<32*time.Millisecond - 5*time.Second} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			sent := encode(t, 4, "320x180", 48000)
			for i := range sent.frames {
				f := &sent.frames[i]
				f.DTS, f.PTS = f.DTS+2*time.Hour, f.PTS+2*time.Hour
				if f.DTS >= 2*time.Hour+2*time.Second {
					f.DTS, f.PTS = f.DTS+jump, f.PTS+jump
				}
			}
			r.send(r.publish("live/cam"), sent.frames, 0, 0)
			names := r.whole()
			if len(names) != 1 {
				t.Fatalf("%d files", len(names))
			}
			if d, said := length(t, names[0]), probed(t, names[0]); math.Abs(d-4) > 0.2 || math.Abs(said-d) > 0.1 {
				t.Errorf("it lasts %v s, and says %v s", d, said)
			}
			same(t, sent, "v", names...)
			for _, kind := range []string{"v", "a"} {
				list := packets(t, names[0], kind)
				var times []float64
				for _, p := range list {
					times = append(times, p.pts)
				}
				slices.Sort(times)
				for i := 1; i < len(times); i++ {
					if d := times[i] - times[i-1]; d > 1 {
						t.Errorf("%s: a sample of %v s", kind, d)
					}
				}
			}
		})
	}
}

// TestBurst (P7): five seconds that come at once are recorded like any others.
func TestBurst_P7(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 10, "320x180", 48000)
	p := r.publish("live/cam")
	half := slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.DTS > 5*time.Second })
	r.send(p, sent.frames[:half], 0, 0)
	r.wait(event.RecordingStart, 1)
	r.send(p, sent.frames[half:], 0, 0)
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%d files", len(names))
	}
	same(t, sent, "v", names...)
	same(t, sent, "a", names...)
}

// TestOtherCoding (C-409): another configuration of any track makes a new file, and nothing is lost.
func TestOtherCoding_C409(t *testing.T) {
	for _, c := range []struct {
		name, size string
		rate       int
	}{{"picture", "160x90", 48000}, {"sound", "320x180", 44100}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			first, second := encode(t, 2, "320x180", 48000), encode(t, 2, c.size, c.rate)
			p := r.publish("live/cam")
			r.send(p, first.frames, 0, 0)
			r.send(p, second.frames, 2*time.Second, 0)
			names := r.whole()
			if len(names) != 2 {
				t.Fatalf("%d files", len(names))
			}
			for _, kind := range []string{"v", "a"} {
				want := append(hashesOf(t, kind, first.file), hashesOf(t, kind, second.file)...)
				got := hashesOf(t, kind, names...)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(want, got) {
					t.Errorf("%s: %d packets, want %d, or others", kind, len(got), len(want))
				}
			}
		})
	}
}

// TestFewKeyFrames (C-410, P11): with a key frame in 6 s files end there, whatever they should; without any nothing is recorded, which is told
// once.
func TestFewKeyFrames_C410_P11(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Cut = time.Second })
	sent := encode(t, 12, "320x180", 48000)
	seen := 0
	for i := range sent.frames {
		if f := &sent.frames[i]; f.Kind == av.Video && f.IsKey() {
			if seen++; seen%6 != 1 {
				f.Flags &^= av.Key
				f.Codec = av.H264
				f.Payload = slices.Clone(f.Payload)
				unkey(f.Payload)
			}
		}
	}
	r.send(r.publish("live/cam"), sent.frames, 0, 0)
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%d files", len(names))
	}
	for _, name := range names {
		if v := packets(t, name, "v"); !v[0].key || len(v) != 150 {
			t.Errorf("%s has %d pictures, key %v", name, len(v), v[0].key)
		}
	}
}

// unkey makes the slices of a key frame those of another picture, so that nothing takes it for one.
func unkey(b []byte) {
	for at := 0; at+4 < len(b); {
		n := int(b[at])<<24 | int(b[at+1])<<16 | int(b[at+2])<<8 | int(b[at+3])
		if b[at+4]&31 == 5 {
			b[at+4] = b[at+4]&^31 | 1
		}
		at += 4 + n
	}
}

// TestNoKeyFrame: nothing is recorded of pictures without key frames but the sound, and that is told.
func TestNoKeyFrame_C410(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Tracks = []string{"video"} })
	sent := encode(t, 20, "320x180", 48000)
	sent.frames = slices.DeleteFunc(sent.frames, func(f av.Frame) bool { return f.Kind == av.Video && f.IsKey() })
	r.send(r.publish("live/cam"), sent.frames, 0, 0)
	if names := r.whole(); len(names) != 0 {
		t.Errorf("%v", names)
	}
}

// TestShort (C-411): a file of one frame is one; of headers alone there is none, and no folder.
func TestShort_C411(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 2, "320x180", 48000)
	p := r.publish("live/headers")
	var configs, key []av.Frame
	for _, f := range sent.frames {
		switch {
		case f.Type == av.Config:
			configs = append(configs, f)
		case f.IsKey() && f.Kind == av.Video && len(key) == 0:
			key = append(key, f)
		}
	}
	r.send(p, configs, 0, 0)
	p.Close(stream.ErrClosed)
	p = r.publish("live/one")
	r.send(p, append(configs, key...), 0, 0)
	p.Close(stream.ErrClosed)
	names := r.whole()
	if len(names) != 1 || !strings.Contains(names[0], "/one/") {
		t.Fatalf("%v", names)
	}
	if v := packets(t, names[0], "v"); len(v) != 1 || !v[0].key {
		t.Errorf("%d pictures", len(v))
	}
	if d, _ := filepath.Glob(r.dir + "/live/*"); len(d) != 1 {
		t.Errorf("folders: %v", d)
	}
}

// TestTracksChosen: a recording has the tracks that its entry wants, by their names.
func TestTracksChosen(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Tracks = []string{"audio 0 Stage"} })
	sent := encode(t, 4, "320x180", 48000)
	r.send(r.publish("live/cam"), sent.frames, 0, 0)
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%v", names)
	}
	same(t, sent, "a", names...)
	if out := tool(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_type:stream_tags=handler_name", "-of", "csv=p=0", names[0]); strings.TrimSpace(out) != "audio,Stage" {
		t.Errorf("%q", out)
	}
}

// TestLateTrack: a track that comes later is in the next file, from its first frame on.
func TestLateTrack_C409(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 6, "320x180", 48000)
	late := slices.DeleteFunc(slices.Clone(sent.frames), func(f av.Frame) bool {
		return f.Kind == av.Audio && (f.Type == av.Config || f.DTS < 2500*time.Millisecond)
	})
	i := slices.IndexFunc(late, func(f av.Frame) bool { return f.Kind == av.Audio })
	config := sent.frames[slices.IndexFunc(sent.frames, func(f av.Frame) bool { return f.Kind == av.Audio && f.Type == av.Config })]
	config.DTS, config.PTS = late[i].DTS, late[i].DTS
	late = slices.Insert(late, i, config)
	p := r.publish("live/cam")
	p.Expect(true, false)
	r.send(p, late[:i], 0, 0)
	r.wait(event.RecordingStart, 1)
	r.send(p, late[i:], 0, 0)
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%d files", len(names))
	}
	same(t, sent, "v", names...)
	sound := 0
	for _, f := range late {
		if f.Kind == av.Audio && f.Type == av.Media {
			sound++
		}
	}
	if got := packets(t, names[1], "a"); len(got) != sound {
		t.Errorf("%d frames of sound, want %d", len(got), sound)
	}
}

// TestFinalize: a file may stay in fragments, or have its table of contents in front; each can be played, and nothing of the disk stays
// reserved for it.
func TestFinalize(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"mp4": nil, "none": func(c *Config) { c.Finalize = "none" }, "reserve": func(c *Config) { c.Faststart = "reserve" },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			sent := encode(t, 4, "320x180", 48000)
			r.send(r.publish("live/cam"), sent.frames, 0, 0)
			names := r.whole()
			same(t, sent, "v", names...)
			same(t, sent, "a", names...)
			if d := probed(t, names[0]); math.Abs(d-4) > 0.1 {
				t.Errorf("it lasts %v s", d)
			}
			b, err := os.ReadFile(names[0])
			if err != nil {
				t.Fatal(err)
			}
			var boxes []string
			for at := int64(0); at < int64(len(b)); {
				x, err := fmp4.ReadBox(bytes.NewReader(b), at, int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				if x.Type != "free" {
					boxes = append(boxes, x.Type)
				}
				at = x.End
			}
			want := map[string]string{"mp4": "ftyp mdat moov uuid", "none": "ftyp moov uuid moof mdat", "reserve": "ftyp moov mdat uuid"}[name]
			if got := strings.Join(boxes, " "); !strings.HasPrefix(got, want) {
				t.Error(got)
			}
			if x, err := mp4.ReadIndex(bytes.NewReader(b), int64(len(b))); err != nil || x.Path != "live/cam" {
				t.Error(err)
			}
			if used := blocks(t, names[0]); used > int64(len(b))+64<<10 {
				t.Errorf("%d bytes take %d on the disk", len(b), used)
			}
		})
	}
}
