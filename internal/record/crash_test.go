package record

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/stream"
)

// crashDir is the variable with which this program records into a directory until it is killed.
const crashDir = "WEIR_TEST_CRASH_DIR"

// counters counts nothing.
type counters struct{}

func (counters) RecordBytes(int)     {}
func (counters) RecordDropped(int)   {}
func (counters) RecordFailed(string) {}

// recordUntilKilled records a stream at 4 times the usual speed, with a cut each 4 s, and says when it has begun.
func recordUntilKilled(dir string) {
	in, err := os.Open(os.Getenv("WEIR_TEST_CRASH_CLIP"))
	if err != nil {
		panic(err)
	}
	r := flv.NewFrameReader(in)
	var frames []av.Frame
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			panic(err)
		}
		frames = append(frames, *f)
	}
	var c Config
	c.SetDefaults()
	c.Dir, c.MinFree, c.Format, c.Cut = dir, "", os.Getenv("WEIR_TEST_CRASH_FORMAT"), 4*time.Second
	var m *Manager
	hub := stream.New(stream.Options{Notify: func(e stream.Event) { m.Publishing(e.Path, nil) }})
	var once sync.Once
	m = New(Options{
		Stream: hub.Get, Now: hub.Now, Entries: func(string) []Config { return []Config{c} }, Metrics: counters{},
		Named: func(path string) *event.Stream { return &event.Stream{Path: path} },
		Publish: func(event.Event) {
			once.Do(func() { _, _ = os.Stdout.WriteString("recording\n") })
		},
	})
	p, err := hub.Publish("live/cam", stream.Info{})
	if err != nil {
		panic(err)
	}
	begin := time.Now()
	for round := time.Duration(0); ; round += 4 * time.Second {
		for i := range frames {
			f := frames[i]
			f.DTS, f.PTS = f.DTS+round, f.PTS+round
			time.Sleep(time.Until(begin.Add(f.DTS / 4)))
			if err := p.Write(&f); err != nil {
				panic(err)
			}
		}
	}
}

// TestKilled (C-400, P3): a process that is killed at 50 random moments leaves files that open, as they are and repaired; the next start
// repairs them all, and nothing is left to do then.
func TestKilled_C400_P3(t *testing.T) {
	sent := encode(t, 4, "320x180", 48000)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	dir := t.TempDir()
	const kills, atOnce = 50, 4
	var group sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range kills {
		wait := time.Duration(random.IntN(900)) * time.Millisecond
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			format := []string{"mp4", "mp4", "mp4", "flv", "ts"}[i%5]
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), crashDir+"="+filepath.Join(dir, format, string(rune('A'+i%26))+string(rune('a'+i/26))),
				"WEIR_TEST_CRASH_CLIP="+sent.file, "WEIR_TEST_CRASH_FORMAT="+format)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Error(err)
				return
			}
			if err := cmd.Start(); err != nil {
				t.Error(err)
				return
			}
			_, _ = out.Read(make([]byte, 1)) // it has begun
			time.Sleep(wait)                 // the moment is what is tested
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	group.Wait()
	parts := 0
	for _, name := range files(t, dir) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, partSuffix) {
			continue
		}
		parts++
		if info.Size() == 0 { // it was killed before the first write
			continue
		}
		if f, err := os.Open(path); err == nil && strings.HasSuffix(name, ".mp4.part") {
			index, err := mp4.ReadIndex(f, info.Size())
			if err == nil {
				v := packets(t, path, "v")
				last := index.Fragments[len(index.Fragments)-1]
				if got := float64(len(v)) / 25; got < (last.Time+last.Duration).Seconds()-0.2 {
					t.Errorf("%s: %d pictures can be read, and %v is whole", name, len(v), last.Time+last.Duration)
				}
			} else if !errors.Is(err, mp4.ErrEmpty) {
				t.Errorf("%s: %v", name, err)
			}
			_ = f.Close()
		}
	}
	if parts < kills/2 {
		t.Errorf("only %d files were being written", parts)
	}
	r := newRig(t, nil)
	begin := time.Now()
	r.m.RepairAll(context.Background(), []string{dir})
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("repairing took %v", took)
	}
	left := files(t, dir)
	for _, name := range left {
		if strings.HasSuffix(name, partSuffix) {
			t.Errorf("%s is left", name)
			continue
		}
		v := packets(t, filepath.Join(dir, name), "v")
		if len(v) == 0 || !v[0].key {
			t.Errorf("%s: %d pictures", name, len(v))
		}
	}
	if n := r.count(event.RecordingDone); n < parts-5 || n > parts {
		t.Errorf("%d events of %d repaired files", n, parts)
	}
	done := r.count(event.RecordingDone)
	r.m.RepairAll(context.Background(), []string{dir})
	if r.count(event.RecordingDone) != done {
		t.Error("the second repair did something")
	}
}

// TestRepairLeavesOthers: files that are being written, and those that are no recordings, are left alone.
func TestRepairLeavesOthers(t *testing.T) {
	r := newRig(t, nil)
	p := r.publish("live/cam")
	r.send(p, encode(t, 4, "320x180", 48000).frames, 0, 0)
	r.wait(event.RecordingStart, 1)
	other := filepath.Join(r.dir, "movie.mp4.part")
	if err := os.WriteFile(other, []byte("\x00\x00\x00\x10ftypmine....and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "empty.ts.part"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.m.RepairAll(context.Background(), []string{r.dir, filepath.Join(r.dir, "none")})
	got := files(t, r.dir)
	if len(got) != 2 || !strings.HasSuffix(got[0], partSuffix) || got[1] != "movie.mp4.part" {
		t.Errorf("%v", got)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.whole()
}
