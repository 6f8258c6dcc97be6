package record

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
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
		Named: func(path string) (*event.Stream, *event.Session) { return &event.Stream{Path: path}, nil },
		Publish: func(event.Event) {
			once.Do(func() { _, _ = os.Stdout.WriteString("recording\n") })
		},
	})
	count, err := strconv.Atoi(os.Getenv("WEIR_TEST_CRASH_STREAMS"))
	if err != nil {
		panic(err)
	}
	progress, err := os.Create(filepath.Join(dir, "published"))
	if err != nil {
		panic(err)
	}
	var pubs []*stream.Publisher
	for i := range count {
		p, err := hub.Publish(fmt.Sprint("live/", i), stream.Info{})
		if err != nil {
			panic(err)
		}
		pubs = append(pubs, p)
	}
	begin, pictures := time.Now(), 0
	for round := time.Duration(0); ; round += 4 * time.Second {
		for i := range frames {
			at := frames[i].DTS + round
			time.Sleep(time.Until(begin.Add(at / 4)))
			for _, p := range pubs {
				f := frames[i]
				f.DTS, f.PTS = f.DTS+round, f.PTS+round
				if err := p.Write(&f); err != nil {
					panic(err)
				}
			}
			if frames[i].Kind == av.Video && frames[i].Type == av.Media {
				pictures++
				_, _ = progress.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(pictures)), 0) // what is not there was not killed after it
			}
		}
	}
}

// TestKilled (C-400, P3): a process that is killed at random moments, with recordings of every format, leaves files that open in ffprobe, as they are
// and repaired. What is in them is what was published, frame by frame, up to the last second or two. The next start repairs them all, and nothing is left to do then.
func TestKilled_C400_P3(t *testing.T) {
	sent := encode(t, 4, "320x180", 48000)
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	root := t.TempDir()
	kills, streams, atOnce := 30, 1, 4
	if os.Getenv("WEIR_TEST_LARGE") != "" { // make test-large
		kills, streams = 100, 20
	}
	var group sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range kills {
		wait := time.Duration(random.IntN(1500)) * time.Millisecond
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			format := []string{"mp4", "mp4", "mp4", "flv", "ts"}[i%5]
			dir := filepath.Join(root, fmt.Sprint(format, i))
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Error(err)
				return
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), crashDir+"="+dir, "WEIR_TEST_CRASH_CLIP="+sent.file, "WEIR_TEST_CRASH_FORMAT="+format, fmt.Sprint("WEIR_TEST_CRASH_STREAMS=", streams))
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
	opened := func(name string) {
		t.Helper()
		if out := tool(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", name); !strings.Contains(out, "h264") || !strings.Contains(out, "aac") {
			t.Errorf("%s: ffprobe finds %q", name, out)
		}
	}
	parts := 0
	for _, name := range files(t, root) {
		path := filepath.Join(root, name)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, PartSuffix) {
			continue
		}
		if parts++; info.Size() > 0 { // it was not killed before the first write
			opened(path)
		}
	}
	if parts < kills*streams/2 {
		t.Errorf("only %d files were being written", parts)
	}
	r := newRig(t, nil)
	begin := time.Now()
	r.m.RepairAll(context.Background(), []string{root})
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("repairing %d files took %v", parts, took)
	}
	if n := r.count(event.RecordingDone); n < parts-kills/5 || n > parts {
		t.Errorf("%d events of %d repaired files", n, parts)
	}
	done := r.count(event.RecordingDone)
	r.m.RepairAll(context.Background(), []string{root})
	if r.count(event.RecordingDone) != done {
		t.Error("the second repair did something")
	}
	most := 0
	dirs, err := filepath.Glob(filepath.Join(root, "*/live/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		var names []string
		for _, name := range files(t, dir) {
			if strings.HasSuffix(name, PartSuffix) {
				t.Errorf("%s is left", name)
			}
			name = filepath.Join(dir, name)
			opened(name)
			if v := packets(t, name, "v"); len(v) == 0 || !v[0].key {
				t.Errorf("%s: %d pictures", name, len(v))
			}
			names = append(names, name)
		}
		b, err := os.ReadFile(filepath.Join(dir, "../../published"))
		if err != nil || len(b) != 8 {
			t.Fatal(len(b), err)
		}
		published, kinds := int(binary.BigEndian.Uint64(b)), []string{"v", "a"}
		if len(names) == 0 { // it was killed before the first write
			most = max(most, published)
			continue
		}
		if strings.HasSuffix(names[0], ".ts") {
			kinds = kinds[:1] // TS has frames of sound in a form of its own
		}
		for _, kind := range kinds {
			want, got := hashesOf(t, kind, sent.file), hashesOf(t, kind, names...)
			for i, h := range got {
				if h != want[i%len(want)] {
					t.Errorf("%s: frame %d of %s is not what was published", dir, i, kind)
					break
				}
			}
			if kind == "v" {
				most = max(most, published-len(got))
			}
		}
	}
	const lost = 6 * 25 // six seconds at four times the speed
	if t.Logf("%d killed processes of %d streams, %d files that were being written; at most %d pictures are lost", kills, streams, parts, most); most > lost {
		t.Errorf("%d pictures are lost", most)
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
	if len(got) != 2 || !strings.HasSuffix(got[0], PartSuffix) || got[1] != "movie.mp4.part" {
		t.Errorf("%v", got)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	r.whole()
}
