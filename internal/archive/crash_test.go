package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/event"
	"weir/internal/protocol/protocoltest"
	"weir/internal/record"
	"weir/internal/stream"
)

// published returns what an encoder sends: seconds of pictures and sound.
var published = sync.OnceValues(func() ([]av.Frame, error) {
	b, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "8",
		"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-c:a", "aac", "-f", "flv", "-").Output()
	if err != nil {
		return nil, err
	}
	var frames []av.Frame
	for r := flv.NewFrameReader(bytes.NewReader(b)); ; {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, *f)
	}
})

// recorder records a stream in all formats at once, as the server does.
type recorder struct {
	hub *stream.Hub
	m   *record.Manager
	pub *stream.Publisher

	dropped, failed atomic.Int64
}

func (r *recorder) RecordBytes(int)     {}
func (r *recorder) RecordDropped(n int) { r.dropped.Add(int64(n)) }
func (r *recorder) RecordFailed(string) { r.failed.Add(1) }

func newRecorder(t *testing.T, dir string, c record.Catalog, change func(*record.Config)) *recorder {
	t.Helper()
	r := &recorder{}
	var entries []record.Config
	for _, format := range []string{"mp4", "flv", "ts"} {
		var e record.Config
		e.SetDefaults()
		e.Name, e.Format, e.Dir, e.MinFree = format, format, dir, ""
		e.Keep = record.Keep{For: time.Hour, Total: 1 << 40, PerStream: 1 << 39}
		if change != nil {
			change(&e)
		}
		must(t, e.Validate())
		entries = append(entries, e)
	}
	r.hub = stream.New(stream.Options{Notify: func(e stream.Event) {
		if e.Kind == stream.Started || e.Kind == stream.Resumed {
			r.m.Publishing(e.Path, nil)
		}
	}})
	r.m = record.New(record.Options{
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Stream: r.hub.Get, Now: r.hub.Now, Entries: func(string) []record.Config { return entries }, Metrics: r,
		Named: func(path string) (*event.Stream, *event.Session) { return &event.Stream{Path: path, Epoch: 7}, nil }, Publish: func(event.Event) {}, Catalog: c,
	})
	t.Cleanup(r.close)
	return r
}

func (r *recorder) close() {
	r.hub.Close(stream.ErrClosed)
	r.m.Close()
}

// send publishes 8 seconds.
func (r *recorder) send(t *testing.T, path string) {
	t.Helper()
	frames, err := published()
	must(t, err)
	p, err := r.hub.Publish(path, stream.Info{})
	must(t, err)
	for i := range frames {
		must(t, p.Write(&frames[i]))
	}
	r.pub = p
}

// TestRepairedFilesKeepWhatIsKnown: what a crash left of each format, repaired, is in the index with the start, the length and the rule that it has: retention
// keeps it. It makes no difference whether the index is lost, too.
func TestRepairedFilesKeepWhatIsKnown(t *testing.T) {
	for name, lost := range map[string]bool{"index kept": false, "index lost": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *Options) {
				places := o.Places
				o.Places = func() []Place {
					p := places()
					p[0].Rule = func(string) (string, record.Keep, string) { return "now", record.Keep{For: time.Nanosecond}, "" }
					return p
				}
			})
			begin := time.Now()
			x := newRecorder(t, r.dir, r, nil)
			x.send(t, "live/a")
			rows := func() (list []Row) {
				must(t, r.use(true, func(x *index) (err error) {
					list, err = x.query(t.Context(), "ORDER BY r.recording")
					return err
				}))
				return list
			}
			parts := func() (names []string) {
				names, err := filepath.Glob(filepath.Join(r.dir, "live/a/*"+partial))
				must(t, err)
				return names
			}
			r.until(func() bool { // most of it is written
				for _, name := range parts() {
					if info, err := os.Stat(name); err != nil || info.Size() < 120<<10 {
						return false
					}
				}
				return len(parts()) == 3
			})
			before := rows()
			left := map[string][]byte{}
			for _, name := range parts() {
				left[name] = read(t, name)
			}
			x.close() // it writes more, which is taken back
			r.restart(func() {
				for _, f := range before {
					must(t, os.Remove(filepath.Join(r.dir, f.Name)))
				}
				for name, b := range left {
					must(t, os.WriteFile(name, b, 0o600))
				}
				if lost {
					must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db")))
					return
				}
				db := connect(filepath.Join(r.conf.State, "recordings.db"))
				_, err := db.write.Exec("UPDATE files SET state = 0, length = 0, bytes = 0")
				must(t, err)
				db.close()
			})
			newRecorder(t, r.dir, r, nil).m.RepairAll(t.Context(), []string{r.dir})
			r.clean(t.Context())
			after := rows()
			if len(before) != 3 || len(after) != 3 {
				t.Fatalf("%d files were begun, %d are known", len(before), len(after))
			}
			for i, f := range after {
				was := &before[i]
				info, err := os.Stat(filepath.Join(r.dir, f.Name))
				must(t, err)
				if f.State != Done || f.ID != was.ID || f.Take != was.Take || f.Recording != was.Recording || f.Epoch != 7 || f.Keep != was.Keep || f.Codecs != was.Codecs || f.Coding != was.Coding ||
					f.Coding == "" || f.Bytes != info.Size() {
					t.Errorf("%s: %+v instead of %+v", f.Format, f, *was)
				}
				if f.Start.Sub(was.Start).Abs() > 100*time.Millisecond || f.Start.Sub(begin).Abs() > time.Minute {
					t.Errorf("%s: it began at %v instead of %v", f.Format, f.Start, was.Start)
				}
				if f.Duration < 2*time.Second || f.Duration > 8200*time.Millisecond {
					t.Errorf("%s: it lasts %v", f.Format, f.Duration)
				}
			}
			// What the scan finds is the same.
			r.restart(func() { must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db"))) })
			for i, f := range rows() {
				if was := &after[i]; f.ID != was.ID || f.State != Done || f.Keep != was.Keep || f.Coding != was.Coding || f.Start.Sub(was.Start).Abs() > 100*time.Millisecond ||
					(f.Duration-was.Duration).Abs() > 50*time.Millisecond {
					t.Errorf("%s: %+v instead of %+v", f.Format, f, *was)
				}
			}
		})
	}
}

// TestIndexLostWithWholeFiles: files of each format that were closed in order are found again with their ids and rules; a copy gets an id of its own.
func TestIndexLostWithWholeFiles(t *testing.T) {
	r := newRig(t, nil)
	x := newRecorder(t, r.dir, r, func(c *record.Config) { c.Cut = 2 * time.Second })
	x.send(t, "live/a")
	x.close()
	rows := func() (list []Row) {
		must(t, r.use(true, func(x *index) (err error) {
			list, err = x.query(t.Context(), "ORDER BY r.recording, f.start, f.name")
			return err
		}))
		return list
	}
	before := rows()
	if len(before) != 12 {
		t.Fatal(len(before))
	}
	copied := filepath.Join(r.dir, "copy.ts")
	r.restart(func() {
		must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db")))
		must(t, os.WriteFile(copied, read(t, filepath.Join(r.dir, before[11].Name)), 0o600))
	})
	after := rows()
	if len(after) != 13 {
		t.Fatal(len(after))
	}
	found := map[string]Row{}
	for _, f := range after {
		found[f.ID] = f
	}
	if len(found) != 13 {
		t.Error("a copy has the id of its original")
	}
	for _, was := range before {
		f := found[was.ID]
		if strings.HasSuffix(f.Name, "copy.ts") {
			continue // which of both is the copy cannot be known
		}
		if f.Name != was.Name || f.Take != was.Take || f.Keep != was.Keep || f.Recording != was.Recording || f.Stream != "live/a" || f.Bytes != was.Bytes {
			t.Errorf("%+v instead of %+v", f, was)
		}
		if f.Start.Sub(was.Start).Abs() > 50*time.Millisecond || (f.Duration-was.Duration).Abs() > 90*time.Millisecond {
			t.Errorf("%s: %v for %v instead of %v for %v", f.Name, f.Start, f.Duration, was.Start, was.Duration)
		}
	}
	l, err := r.List(t.Context(), Query{Stream: "live/a"})
	must(t, err)
	for _, s := range l.Spans {
		if s.Recording == "mp4" && (len(s.Parts) != 4 || s.To.Sub(s.From) < 7900*time.Millisecond) {
			t.Errorf("%d files from %v to %v", len(s.Parts), s.From, s.To)
		}
	}
}

// TestUnmountedDisk: while a directory is missing or nothing is in it the index keeps what it knows, and once something is in it, it knows what is gone.
func TestUnmountedDisk(t *testing.T) {
	r := newRig(t, nil)
	m := encoded(t, "160x90")
	var want []string
	for i, name := range []string{"0.mp4", "1.mp4"} {
		at := time.Duration(i) * 4 * time.Second
		f := r.record(m, "live/a", name, at, at, at+4*time.Second)
		f.Keep = record.Keep{For: time.Hour * 24 * 365 * 100}
		must(t, r.put(&Row{File: f, State: Done}))
		must(t, r.saveBlob(f.ID))
		want = append(want, f.ID)
	}
	away := r.dir + "-away"
	check := func(when string) {
		t.Helper()
		for _, id := range want {
			f, err := r.File(t.Context(), id)
			if err != nil || f.State != Done || f.Keep.For != time.Hour*24*365*100 {
				t.Errorf("%s: %+v, %v", when, f, err)
				continue
			}
			must(t, r.use(true, func(x *index) error {
				text, err := x.blob(t.Context(), "uploads", id)
				if text == "" {
					t.Errorf("%s: how far the upload is was forgotten", when)
				}
				return err
			}))
		}
	}
	r.restart(func() { must(t, os.Rename(r.dir, away)) })
	check("missing")
	if _, err := r.Film(t.Context(), "", "live/a", "", epoch, epoch.Add(8*time.Second), Skip); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	r.restart(func() { must(t, os.Mkdir(r.dir, 0o755)) })
	check("empty")
	r.restart(func() {
		must(t, os.Remove(r.dir))
		must(t, os.Rename(away, r.dir))
	})
	check("back")
	f, err := r.Film(t.Context(), "", "live/a", "", epoch, epoch.Add(8*time.Second), Skip)
	must(t, err)
	must(t, f.Close())
	r.restart(func() { must(t, os.Remove(filepath.Join(r.dir, "0.mp4"))) })
	r.until(func() bool {
		_, err := r.File(t.Context(), want[0])
		return errors.Is(err, ErrNotFound)
	})
	want = want[1:]
	check("one is gone")
}

// saveBlob notes something of an upload.
func (a *Archive) saveBlob(id string) error {
	return a.use(true, func(x *index) error { return x.setBlob("uploads", id, "{}") })
}

// TestFileThatBecomesWholeMeanwhile: a file that got its name while nothing was told of it keeps its row: its id, its rule and how far its upload is.
func TestFileThatBecomesWholeMeanwhile(t *testing.T) {
	r := newRig(t, nil)
	m := encoded(t, "160x90")
	for _, state := range []State{Recording, Damaged} {
		f := r.file("live/a", state.String()+".mp4", 0, 0)
		f.Keep = record.Keep{For: time.Hour * 24 * 365 * 100}
		must(t, r.put(&Row{File: f, State: state}))
		must(t, r.saveBlob(f.ID))
		r.restart(func() { m.write(t, filepath.Join(r.dir, f.Name), "live/a", epoch, 0, 4*time.Second, true) })
		r.until(func() bool {
			row, err := r.File(t.Context(), f.ID)
			must(t, err)
			return row.State == Done
		})
		row, err := r.File(t.Context(), f.ID)
		must(t, err)
		if row.Keep != f.Keep || row.Duration < 3900*time.Millisecond || row.Bytes == 0 {
			t.Errorf("%+v", row)
		}
		must(t, r.use(true, func(x *index) error {
			text, err := x.blob(t.Context(), "uploads", f.ID)
			if text != "{}" {
				t.Error("how far the upload is was forgotten")
			}
			return err
		}))
	}
}

// TestOlderIndex: an index of the first version is brought up with all that is in it, also what is only in the storage.
func TestOlderIndex(t *testing.T) {
	r := newRig(t, nil)
	f := r.file("live/a", "a.mp4", 0, time.Minute)
	f.Upload = "main"
	must(t, r.put(&Row{File: f, State: Remote, Object: "rec/a.mp4"}))
	r.restart(func() {
		db := connect(filepath.Join(r.conf.State, "recordings.db"))
		_, err := db.write.Exec("DROP INDEX files_pending; CREATE INDEX files_pending ON files (state, start) WHERE pending = 1; ALTER TABLE files DROP COLUMN coding; ALTER TABLE files DROP COLUMN missing; PRAGMA user_version = 1")
		must(t, err)
		db.close()
	})
	row, err := r.File(t.Context(), f.ID)
	if err != nil || row.State != Remote || row.Object != "rec/a.mp4" || row.Coding != "" {
		t.Errorf("%+v, %v", row, err)
	}
	f.Coding, f.Missing = "0123456789abcdef", record.MissingSlow
	must(t, r.put(&Row{File: f, State: Done}))
	if row, err := r.File(t.Context(), f.ID); err != nil || row.Coding != f.Coding || row.Missing != f.Missing {
		t.Errorf("%+v, %v", row, err)
	}
}

// TestNameInTheStorage: a recording does not take the name of a file that is only in the storage, which stays known.
func TestNameInTheStorage(t *testing.T) {
	r := newRig(t, nil)
	far := r.file("live/a", "live/a/day.mp4", -time.Hour, time.Minute)
	far.Upload = "main"
	must(t, r.put(&Row{File: far, State: Remote, Object: "rec/live/a/day.mp4"}))
	x := newRecorder(t, r.dir, r, func(c *record.Config) { c.File = "{path}/day" })
	x.send(t, "live/a")
	x.close()
	if row, err := r.File(t.Context(), far.ID); err != nil || row.State != Remote || row.Object != "rec/live/a/day.mp4" {
		t.Errorf("%+v, %v", row, err)
	}
	if got, want := r.left("live/a"), []string{"live/a/day.mp4", "live/a/day-2.mp4", "live/a/day.flv", "live/a/day.ts"}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("%q", got)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// TestNestedDirectories: a file is known once, however many directories of recordings it is below, also after a crash and without the index.
func TestNestedDirectories(t *testing.T) {
	r := newRig(t, func(o *Options) {
		places := o.Places
		o.Places = func() []Place {
			p := places()
			return []Place{p[0], {filepath.Join(p[0].Dir, "b"), p[0].Rule}}
		}
	})
	outer, inner := newRecorder(t, r.dir, r, nil), newRecorder(t, filepath.Join(r.dir, "b"), r, nil)
	outer.send(t, "live/a")
	outer.close()
	outer = newRecorder(t, r.dir, r, func(c *record.Config) { c.File = "b/{start}" })
	outer.send(t, "live/a")
	outer.close()
	inner.send(t, "live/b")
	inner.close()
	rows := func() (ids map[string]string) {
		ids = map[string]string{}
		must(t, r.use(true, func(x *index) error {
			list, err := x.query(t.Context(), "")
			for _, f := range list {
				if old, ok := ids[f.ID]; ok || f.State != Done {
					t.Errorf("%s is %s below %s, and %s", f.Name, f.State, f.Dir, old)
				}
				ids[f.ID] = filepath.Join(f.Dir, f.Name)
			}
			return err
		}))
		return ids
	}
	want := rows()
	if len(want) != 9 {
		t.Fatal(want)
	}
	look := func(when string) {
		t.Helper()
		_, _, err := r.scan(t.Context())
		must(t, err)
		if got := rows(); !maps.Equal(got, want) {
			t.Errorf("%s: %v instead of %v", when, got, want)
		}
	}
	look("again")
	// A crash has left one, which is found below both directories.
	for id, name := range want {
		if strings.Contains(name, "live/b") && strings.HasSuffix(name, ".ts") {
			must(t, os.Rename(name, name+partial))
			must(t, r.use(false, func(x *index) error { return x.change("UPDATE files SET state = 0 WHERE id = ?", id) }))
		}
	}
	newRecorder(t, r.dir, r, nil).m.RepairAll(t.Context(), []string{r.dir, filepath.Join(r.dir, "b")})
	look("repaired")
	r.restart(func() { must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db"))) })
	look("without the index")
}

// TestRemovedBehindOurBack: a file that somebody has removed is in the list until it is played, and those that are no recordings are counted and named when the index is made.
func TestRemovedBehindOurBack(t *testing.T) {
	var log lines
	r := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	m := encoded(t, "160x90")
	f := r.record(m, "live/a", "0.mp4", 0, 0, 4*time.Second)
	kept := r.record(m, "live/a", "1.mp4", 4*time.Second, 4*time.Second, 8*time.Second)
	must(t, os.Remove(filepath.Join(r.dir, f.Name)))
	film, err := r.Film(t.Context(), "", "live/a", "", epoch, epoch.Add(8*time.Second), Skip)
	must(t, err)
	must(t, film.Close())
	if !slices.Equal(film.Skipped, []string{"0.mp4"}) || !slices.Equal(r.left("live/a"), []string{"1.mp4"}) {
		t.Errorf("skipped %q, left %q", film.Skipped, r.left("live/a"))
	}
	must(t, os.Remove(filepath.Join(r.dir, kept.Name))) // nothing is there any more, as if the disk were not mounted
	if _, _, err := r.Open(t.Context(), kept.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, err := r.File(t.Context(), kept.ID); err != nil {
		t.Error(err)
	}
	r.restart(func() {
		must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db")))
		for i := range 12 {
			must(t, os.WriteFile(filepath.Join(r.dir, fmt.Sprintf("%c.mp4", 'a'+i)), []byte("garbage of some length"), 0o600))
		}
		must(t, os.WriteFile(filepath.Join(r.dir, "other.txt"), []byte("garbage of some length"), 0o600))
	})
	text := log.String()
	if strings.Count(text, "are left out of the index") != 1 || !strings.Contains(text, `files=12 first="a.mp4, b.mp4, c.mp4, d.mp4, e.mp4, f.mp4, g.mp4, h.mp4, i.mp4, j.mp4"`) {
		t.Error(text)
	}
}

// TestChangedBehindOurBack: a whole file that somebody has changed is left out of what is played, by its list of fragments in memory, too, and is damaged from then on.
func TestChangedBehindOurBack(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	w.rig.record(m, "live/a", "0.mp4", 0, 0, 4*time.Second)
	f := w.rig.record(m, "live/a", "1.mp4", 4*time.Second, 4*time.Second, 8*time.Second)
	path := film("live/a", 0, 8*time.Second, "")
	if a := w.get(http.MethodGet, path); a.status != 200 || a.header.Get("Weir-Skipped") != "" {
		t.Fatal(a.status, a.header)
	}
	name := filepath.Join(w.dir, f.Name)
	must(t, os.WriteFile(name, append(read(t, name), "more"...), 0o600))
	if a := w.get(http.MethodGet, "/live/a/rec-"+f.ID+".mp4"); a.status != 404 || strings.Contains(string(a.body), w.dir) {
		t.Error(a.status, string(a.body))
	}
	if a := w.get(http.MethodGet, film("live/a", 0, 7*time.Second, "")); a.status != 200 || a.header.Get("Weir-Skipped") != "1.mp4" {
		t.Error(a.status, a.header)
	}
	if row, err := w.File(t.Context(), f.ID); err != nil || row.State != Damaged {
		t.Error(row.State, err)
	}
}
