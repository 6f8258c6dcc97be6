package record

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/stream"
)

// made returns what ffmpeg encodes.
func made(t *testing.T, args ...string) []av.Frame {
	t.Helper()
	b, err := exec.Command("ffmpeg", append(append([]string{"-nostdin", "-v", "error"}, args...), "-f", "flv", "-")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	var frames []av.Frame
	for r := flv.NewFrameReader(bytes.NewReader(b)); ; {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, *f)
	}
}

// media counts the frames of a kind that have pictures or sound.
func media(frames []av.Frame, kind av.Kind) (n int) {
	for i := range frames {
		if frames[i].Kind == kind && frames[i].Type == av.Media {
			n++
		}
	}
	return n
}

// TestEqualTimes_C408: frames that all have one time are all in the file, none of them for longer than a second.
func TestEqualTimes_C408(t *testing.T) {
	r := newRig(t, nil)
	sent := encode(t, 2, "320x180", 48000)
	for i := range sent.frames {
		sent.frames[i].DTS, sent.frames[i].PTS = time.Hour, time.Hour
	}
	r.send(r.publish("live/cam"), sent.frames, 0, 0)
	names := r.whole()
	if len(names) != 1 {
		t.Fatalf("%d files", len(names))
	}
	same(t, sent, "v", names...)
	if d := length(t, names[0]); d > 2.5 {
		t.Errorf("it lasts %v s", d)
	}
	tool(t, "ffprobe", "-v", "error", names[0])
}

// TestOtherCodec_C409: pictures of another codec make a new file, and nothing is lost. A track that ends does not.
func TestOtherCodec_C409(t *testing.T) {
	r := newRig(t, nil)
	avc := encode(t, 2, "320x180", 48000).frames
	name := filepath.Join(t.TempDir(), "hevc.mp4") // ffmpeg's FLV has no HEVC
	tool(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2", "-c:v", "libx265", "-preset", "ultrafast",
		"-x265-params", "log-level=error", "-bf", "0", "-g", "25", name)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	in, err := fmp4.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var hevc []av.Frame
	for {
		f, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		hevc = append(hevc, *f)
	}
	p := r.publish("live/cam")
	r.send(p, avc, 0, 0)
	r.send(p, hevc, 2*time.Second, 0)
	names := r.whole()
	if len(names) != 2 {
		t.Fatalf("%d files", len(names))
	}
	pictures, sound := 0, 0
	for _, name := range names {
		pictures, sound = pictures+len(packets(t, name, "v")), sound+len(packets(t, name, "a"))
	}
	if pictures != 100 || sound != media(avc, av.Audio) {
		t.Errorf("%d pictures and %d frames of sound", pictures, sound)
	}
	r = newRig(t, nil)
	sent := encode(t, 6, "320x180", 48000).frames
	r.send(r.publish("live/cam"), without(sent, av.Audio, 3*time.Second, time.Hour), 0, 0)
	names = r.whole()
	if len(names) != 1 || len(packets(t, names[0], "v")) != 150 {
		t.Errorf("%d files", len(names))
	}
}

// TestMinuteBetweenKeyFrames_C410: with a key frame a minute and files of 10 s, files begin at key frames, and pieces stay small however large the
// pictures are.
func TestMinuteBetweenKeyFrames_C410(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Cut = 10 * time.Second })
	sent := made(t, "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=5:duration=130", "-c:v", "libx264", "-preset", "ultrafast", "-g", "300", "-keyint_min", "300", "-sc_threshold", "0")
	for i := range sent[:6] { // as much as may wait for the disk
		if f := &sent[i]; f.Type == av.Media {
			f.Payload = padded(f.Payload, 3<<20)
		}
	}
	p := r.publish("live/cam")
	r.send(p, sent, 0, 0)
	names := r.whole()
	if len(names) != 3 {
		t.Fatalf("%d files", len(names))
	}
	pictures := 0
	for _, name := range names {
		v := packets(t, name, "v")
		pictures += len(v)
		if !v[0].key {
			t.Errorf("%s begins without a key frame", name)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := mp4.ReadIndex(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range x.Fragments {
			if f.Size > maxBatch+64<<10 {
				t.Errorf("a piece of %d bytes", f.Size)
			}
		}
	}
	if pictures != media(sent, av.Video) {
		t.Errorf("%d pictures of %d", pictures, media(sent, av.Video))
	}
}

// TestNoKeyFrameIsToldOnce_C410: a stream without key frames is recorded by nobody, which is told once.
func TestNoKeyFrameIsToldOnce_C410(t *testing.T) {
	clip := slices.DeleteFunc(encode(t, 10, "320x180", 48000).frames, func(f av.Frame) bool {
		return f.Kind == av.Audio || f.IsKey() && f.Type == av.Media
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		p := r.publish("live/cam")
		at := time.Duration(0)
		for round := range time.Duration(6) {
			for i := range clip {
				f := clip[i]
				f.DTS, f.PTS = f.DTS+round*10*time.Second, f.PTS+round*10*time.Second
				time.Sleep(f.DTS - at)
				at = max(at, f.DTS)
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n, want := r.logged("no key frame for 15s"), min(int(round), 1); n != want {
				t.Errorf("after %d s it was told %d times", 10*(round+1), n)
			}
		}
		p.Close(stream.ErrClosed)
		r.end()
	})
}

// TestPublisherOf100ms_C411: what is sent in a tenth of a second is a file.
func TestPublisherOf100ms_C411(t *testing.T) {
	r := newRig(t, nil)
	sent := slices.DeleteFunc(encode(t, 2, "320x180", 48000).frames, func(f av.Frame) bool { return f.DTS > 100*time.Millisecond })
	p := r.publish("live/cam")
	r.send(p, sent, 0, 0)
	p.Close(stream.ErrClosed)
	names := r.whole()
	if len(names) != 1 || len(packets(t, names[0], "v")) != media(sent, av.Video) || len(packets(t, names[0], "a")) != media(sent, av.Audio) {
		t.Errorf("%d files", len(names))
	}
}

// TestDiskStands_C416: a disk that stands still for 30 s costs what does not fit into the queue, which is counted to the frame, and the publisher and a player no
// time at all. The file ends with its last frame, and the next one says why something is missing before it.
func TestDiskStands_C416(t *testing.T) {
	clip := slices.DeleteFunc(encode(t, 10, "320x180", 48000).frames, func(f av.Frame) bool { return f.Kind == av.Data })
	for _, format := range []string{"mp4", "flv", "ts"} {
		t.Run(format, func(t *testing.T) { diskStands(t, clip, format) })
	}
}

func diskStands(t *testing.T, clip []av.Frame, format string) {
	synctest.Test(t, func(t *testing.T) {
		disk, told := &faulty{}, &catalog{}
		r := newRig(t, func(c *Config) { c.Sync, c.Format = "close", format }, func(o *Options) { o.openDir, o.Catalog = disk.open, told })
		p := r.publish("live/cam")
		by, sent := time.Duration(0), 0
		begin := time.Now()
		s := r.hub.Get("live/cam")
		var mu sync.Mutex
		var written []time.Time // of each frame
		player := s.Follow(stream.FollowOptions{From: stream.FromNext})
		defer player.Close()
		played := make(chan int)
		go func() {
			n := 0
			defer func() { played <- n }()
			for {
				e, err := player.Next(t.Context())
				if err != nil {
					return
				}
				if e.Type != av.Media {
					continue
				}
				mu.Lock()
				late := time.Since(written[n])
				mu.Unlock()
				if n++; late > 0 {
					t.Errorf("a player gets frame %d %v later", n, late)
				}
			}
		}()
		feed := func() {
			for i := range clip {
				f := clip[i]
				f.DTS, f.PTS = f.DTS+by, f.PTS+by
				time.Sleep(time.Until(begin.Add(f.DTS)))
				before := time.Now()
				if f.Type == av.Media {
					mu.Lock()
					written = append(written, before)
					mu.Unlock()
				}
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
				if time.Since(before) > 0 {
					t.Error("the publisher waited")
				}
				if f.Type == av.Media {
					sent++
				}
			}
			by += 10 * time.Second
			time.Sleep(time.Until(begin.Add(by)))
		}
		feed()
		blocked := make(chan struct{})
		disk.mu.Lock()
		disk.block = blocked
		disk.mu.Unlock()
		for range 3 {
			feed()
		}
		disk.mu.Lock()
		disk.block = nil
		disk.mu.Unlock()
		close(blocked)
		for range 2 {
			feed()
		}
		synctest.Wait()
		if player.Close(); <-played != sent {
			t.Error("the player lacks something")
		}
		list, err := r.m.List("live/cam")
		if err != nil || len(list) != 1 || list[0].State != "recording" {
			t.Fatalf("%+v, %v", list, err)
		}
		p.Close(stream.ErrClosed)
		names := r.whole()
		if len(names) != 2 {
			t.Fatalf("%v", names)
		}
		kept, pictures := 0, 0
		for i, name := range names {
			v := packets(t, name, "v")
			if !v[0].key {
				t.Errorf("%s begins without a key frame", name)
			}
			times := make([]float64, len(v))
			for k := range v {
				times[k] = v[k].pts
			}
			slices.Sort(times)
			for k := 1; k < len(times); k++ {
				if d := times[k] - times[k-1]; math.Abs(d-0.04) > 0.002 {
					t.Errorf("%s: %.3f s between the pictures %d and %d", name, d, k-1, k)
				}
			}
			f := &told.list[2*i+1]
			if d := f.Duration.Seconds() - float64(len(v))*0.04; math.Abs(d) > 0.1 { // sound is a frame or two longer
				t.Errorf("%s has %d pictures and is said to last %v", name, len(v), f.Duration)
			}
			if want := []string{"", MissingSlow}[i]; f.Missing != want {
				t.Errorf("what is missing before %s: %q", name, f.Missing)
			}
			if said, err := readName(name); err != nil || said.Missing != f.Missing || said.ID != f.ID {
				t.Errorf("%s says %+v of itself, %v", name, said, err)
			}
			pictures += len(v)
			kept += len(v) + len(packets(t, name, "a"))
		}
		if lost := int(list[0].Dropped); kept+lost != sent || lost < sent/4 || lost > sent/2 {
			t.Errorf("%d frames were sent, %d are kept, %d were counted as lost", sent, kept, lost)
		}
		first, second := &told.list[1], &told.list[3]
		if first.Take == second.Take {
			t.Error("the second file goes on with the take of the first")
		}
		lost := float64(media(clip, av.Video)*6-pictures) * 0.04
		if gap := second.Start.Sub(first.Start.Add(first.Duration)).Seconds(); math.Abs(gap-lost) > 0.1 {
			t.Errorf("%.2f s are missing between the files, and pictures of %.2f s", gap, lost)
		}
		if n := r.count(event.RecordingFailed); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// readName reads what a file says of itself.
func readName(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	return Read(f, info.Size(), name)
}

// TestFailuresDoNotSpin_C417: a directory that cannot be written to is tried every 10 s, and told once; when it can, recording goes on there.
func TestFailuresDoNotSpin_C417(t *testing.T) {
	clip := encode(t, 10, "320x180", 48000).frames
	synctest.Test(t, func(t *testing.T) {
		disk := &faulty{from: 1, err: syscall.ENOENT}
		r := newRig(t, nil, func(o *Options) { o.openDir = disk.open })
		p := r.publish("live/cam")
		at := time.Duration(0)
		for round := range time.Duration(6) {
			if round == 5 {
				disk.mu.Lock()
				if disk.calls > 7 {
					t.Errorf("%d calls in 50 s", disk.calls)
				}
				disk.from = 0
				disk.mu.Unlock()
			}
			for i := range clip {
				f := clip[i]
				f.DTS, f.PTS = f.DTS+round*10*time.Second, f.PTS+round*10*time.Second
				time.Sleep(f.DTS - at)
				at = max(at, f.DTS)
				if err := p.Write(&f); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		p.Close(stream.ErrClosed)
		if names := r.whole(); len(names) != 1 {
			t.Errorf("%v", names)
		}
		if n := r.count(event.RecordingFailed); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}
