package archive

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/record"
)

// place makes a file of so many bytes, and adds it.
func (r *rig) place(f record.File, bytes int64) record.File {
	r.t.Helper()
	full := filepath.Join(f.Dir, f.Name)
	must(r.t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(r.t, os.WriteFile(full, nil, 0o600))
	must(r.t, os.Truncate(full, bytes))
	f.Bytes = bytes
	must(r.t, r.Done(f)) // not as one that is being written: a look at the files would read it, and it is none
	return f
}

// left returns the names of a stream's files that are left, on the disk and in the index; they are the same.
func (r *rig) left(stream string) (names []string) {
	r.t.Helper()
	rows := func() (rows []Row) {
		must(r.t, r.use(true, func(x *index) (err error) {
			rows, err = x.query(r.t.Context(), "WHERE f.stream = ? ORDER BY f.start", stream)
			return err
		}))
		return rows
	}()
	for _, x := range rows {
		name := x.Name
		if x.State == Recording {
			name += partial
		}
		if _, err := os.Stat(filepath.Join(x.Dir, name)); err != nil && x.State != Remote {
			names = append(names, "gone: "+x.Name)
			continue
		}
		names = append(names, x.Name)
	}
	return names
}

// TestC420Retention: three rules, one file that is to be uploaded, one that is being written: only what is whole, uploaded and the
// oldest goes.
func TestC420Retention(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().UTC()
	add := func(stream, name string, age time.Duration, keep record.Keep, upload string, bytes int64) record.File {
		f := r.file(stream, name, 0, time.Minute)
		f.Start, f.Keep, f.Upload = now.Add(-age), keep, upload
		return r.place(f, bytes)
	}
	hour := record.Keep{For: time.Hour}
	add("live/age", "age/old.mp4", 3*time.Hour, hour, "", 10)
	add("live/age", "age/just.mp4", time.Hour+30*time.Second, hour, "", 10) // it ended within the hour
	add("live/age", "age/new.mp4", time.Minute, hour, "", 10)
	add("live/age", "upload/old.mp4", 3*time.Hour, hour, "main", 10) // not uploaded yet
	open := r.file("live/age", "age/open.mp4", 0, 0)
	open.Start, open.Keep = now.Add(-5*time.Hour), hour
	must(t, r.Begun(open))
	must(t, os.WriteFile(filepath.Join(r.dir, open.Name+partial), nil, 0o600))
	total := record.Keep{Total: 1000}
	for i := range 6 {
		add("live/total", fmt.Sprintf("total/%d.mp4", i), time.Duration(10-i)*time.Hour, total, "", 300)
	}
	each := record.Keep{PerStream: 500}
	for i := range 4 {
		add("live/one", fmt.Sprintf("one/%d.mp4", i), time.Duration(10-i)*time.Hour, each, "", 200)
	}
	add("live/two", "two/0.mp4", 10*time.Hour, each, "", 400)
	r.wake() // two looks at once would each remove what is too much
	for stream, want := range map[string][]string{
		"live/age":   {"age/open.mp4", "upload/old.mp4", "age/just.mp4", "age/new.mp4"},
		"live/total": {"total/3.mp4", "total/4.mp4", "total/5.mp4"},
		"live/one":   {"one/2.mp4", "one/3.mp4"},
		"live/two":   {"two/0.mp4"},
	} {
		r.until(func() bool { return slices.Equal(r.left(stream), want) })
	}
	counts := map[string]uint64{}
	r.Removed(func(why string, n uint64) { counts[why] = n })
	if counts[ByAge] != 1 || counts[ByTotal] != 3 || counts[ByStream] != 2 || counts[ByFree] != 0 {
		t.Error(counts)
	}
}

// TestP12RuleOfTheMakingEntry: whatever the configuration says later, a file goes by the rule of the entry that made it, also
// after a restart; the directories that it leaves empty go, too.
func TestP12RuleOfTheMakingEntry(t *testing.T) {
	r := newRig(t, nil)
	old := r.file("live/a", "live/a/2026/old.mp4", 0, time.Minute)
	old.Start, old.Keep = time.Now().Add(-48*time.Hour), record.Keep{For: 24 * time.Hour}
	kept := old
	kept.ID, kept.Name, kept.Keep = "01KB0000000000000000000009", "live/b/2026/kept.mp4", record.Keep{For: 72 * time.Hour}
	api := kept // one that the API started, by an entry that keeps all
	api.ID, api.Name, api.Keep = "01KB0000000000000000000008", "live/b/2026/api.mp4", record.Keep{}
	r.restart(func() {
		r.conf.Places = func() []Place {
			return []Place{{r.dir, func(string) (string, record.Keep, string) { return "main", record.Keep{For: time.Second}, "" }}}
		}
	})
	r.place(old, 10)
	r.place(kept, 10)
	r.place(api, 10)
	r.until(func() bool {
		return slices.Equal(r.left("live/a"), []string{"live/b/2026/kept.mp4", "live/b/2026/api.mp4"})
	})
	r.restart(nil)
	r.clean(t.Context())
	if got := r.left("live/a"); len(got) != 2 {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "live/a")); !os.IsNotExist(err) {
		t.Error("an empty directory stays:", err)
	}
}

// TestP13FreeSpace: ten streams that fill a small disk never fill it: the oldest files go, and those that are being written stay.
func TestP13FreeSpace(t *testing.T) {
	const disk, file = 1 << 30, 20 << 20
	var used atomic.Int64
	r := newRig(t, func(o *Options) {
		o.Space = func(dir string) (free, total int64, err error) {
			var n int64
			err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return nil //nolint:nilerr // it has just been removed
				}
				if info, err := d.Info(); err == nil {
					n += info.Size()
				}
				return nil
			})
			used.Store(max(used.Load(), n))
			return disk - n, disk, err
		}
	})
	keep := record.Keep{Free: "10%"}
	for i := range 100 { // of ten streams, an hour and more
		f := r.file(fmt.Sprintf("live/%d", i%10), fmt.Sprintf("%d/%03d.mp4", i%10, i), time.Duration(i)*time.Minute, time.Minute)
		f.Keep = keep
		must(t, r.Begun(f))
		full := filepath.Join(r.dir, f.Name)
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full+partial, nil, 0o600))
		must(t, os.Truncate(full+partial, file))
		if i >= 10 { // ten are always being written
			whole := r.file(fmt.Sprintf("live/%d", i%10), fmt.Sprintf("%d/%03d.mp4", i%10, i-10), time.Duration(i-10)*time.Minute, time.Minute)
			whole.Keep, whole.Bytes = keep, file
			name := filepath.Join(r.dir, whole.Name)
			must(t, os.Rename(name+partial, name))
			must(t, r.Done(whole))
			r.clean(t.Context())
		}
	}
	if n := used.Load(); n > disk*95/100 {
		t.Errorf("%d of %d bytes were used", n, disk)
	}
	parts, whole := 0, 0
	oldest := ""
	for i := range 10 {
		names := r.left(fmt.Sprintf("live/%d", i))
		for _, name := range names {
			if _, err := os.Stat(filepath.Join(r.dir, name+partial)); err == nil {
				parts++
			} else if whole++; oldest == "" || filepath.Base(name) < oldest {
				oldest = filepath.Base(name)
			}
		}
	}
	if parts != 10 || whole < 30 || oldest < "040.mp4" {
		t.Errorf("%d are being written, %d whole, the oldest %s", parts, whole, oldest)
	}
}

// TestFreeSpaceOfSeveralRules: for the room of the disk the oldest files of a directory go, whichever rule they are of; those of a rule that wants less go only as far as
// that, and those of one that wants none stay.
func TestFreeSpaceOfSeveralRules(t *testing.T) {
	var free atomic.Int64
	free.Store(1000)
	r := newRig(t, func(o *Options) {
		o.Space = func(dir string) (int64, int64, error) {
			entries, err := os.ReadDir(dir)
			n := int64(0)
			for _, e := range entries {
				if info, err := e.Info(); err == nil {
					n += info.Size()
				}
			}
			return free.Load() - n, 1000, err
		}
	})
	r.cleaning.Lock() // nothing goes before all is there
	for i := range time.Duration(12) {
		recording := []string{"a", "b", "little", "none"}[i%4]
		f := r.file("live/x", fmt.Sprintf("%02d.mp4", i), i*time.Minute, time.Minute)
		f.Recording, f.Keep.Free = recording, map[string]string{"a": "35%", "b": "35%", "little": "15%"}[recording]
		r.place(f, 60)
	}
	r.cleaning.Unlock()
	left := func() (names string) {
		r.clean(t.Context())
		for _, name := range r.left("live/x") {
			names += name[:2] + " "
		}
		return names
	}
	for _, c := range []struct {
		room int64
		want string
	}{
		{1070, "00 01 02 03 04 05 06 07 08 09 10 11 "}, // 350 are free
		{1069, "01 02 03 04 05 06 07 08 09 10 11 "},
		{890, "02 03 05 06 07 08 09 10 11 "}, // 230 were free of 350
		{650, "03 06 07 10 11 "},             // 110 were free of 150, and then 170 of 350
		{450, "03 06 07 10 11 "},
		{449, "03 07 10 11 "},
	} {
		free.Store(c.room)
		if got := left(); got != c.want {
			t.Errorf("with %d bytes: %q is left instead of %q", c.room, got, c.want)
		}
	}
	free.Store(300)
	if got := left(); got != "03 07 11 " {
		t.Errorf("%q is left", got)
	}
}

// TestTotalOfWhatIsLeft: what goes by its age does not count for the total in the same look.
func TestTotalOfWhatIsLeft(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().UTC()
	for name, age := range map[string]time.Duration{"old.mp4": 3 * time.Hour, "new.mp4": 30 * time.Minute, "newest.mp4": 10 * time.Minute} {
		f := r.file("live/a", name, 0, time.Minute)
		f.Start, f.Keep = now.Add(-age), record.Keep{For: time.Hour, Total: 1000}
		r.place(f, 500)
	}
	r.clean(t.Context())
	if got := r.left("live/a"); !slices.Equal(got, []string{"new.mp4", "newest.mp4"}) {
		t.Errorf("left: %q", got)
	}
}

// TestNameThatIsFreeAgain: a file that takes the name of one that was uploaded is uploaded itself.
func TestNameThatIsFreeAgain(t *testing.T) {
	r := newRig(t, nil)
	row := func() (x Row) {
		must(t, r.use(true, func(i *index) error {
			rows, err := i.query(t.Context(), "WHERE f.stream = ?", "live/a")
			if len(rows) == 1 {
				x = rows[0]
			}
			return err
		}))
		return x
	}
	f := r.file("live/a", "a.mp4", 0, time.Minute)
	f.Upload = "main"
	r.place(f, 10)
	must(t, r.use(false, func(i *index) error {
		_, err := i.write.Exec("UPDATE files SET object = 'a.mp4', pending = 0")
		return err
	}))
	must(t, r.Done(f)) // the same again
	if x := row(); x.Object != "a.mp4" {
		t.Errorf("it is not uploaded any more: %+v", x)
	}
	f.ID = "01KB0Z2V5QJX3W6T1Y8D9E4R7M"
	r.place(f, 10)
	pending := 0
	must(t, r.use(true, func(i *index) error { return i.read.QueryRow("SELECT pending FROM files").Scan(&pending) }))
	if x := row(); x.ID != f.ID || x.Object != "" || pending != 1 {
		t.Errorf("pending %d, %+v", pending, x)
	}
}

// obstacle puts something in the place of a file that cannot be removed.
func (r *rig) obstacle(name string) {
	r.t.Helper()
	full := filepath.Join(r.dir, name)
	must(r.t, os.Remove(full))
	must(r.t, os.MkdirAll(filepath.Join(full, "in the way"), 0o755))
}

// TestOneThatCannotBeRemoved: a file that cannot be removed holds up no other, and is tried again later.
func TestOneThatCannotBeRemoved(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().UTC()
	add := func(stream, name string, age time.Duration, keep record.Keep) {
		f := r.file(stream, name, 0, time.Minute)
		f.Start = now.Add(-age)
		f.Keep = keep
		r.place(f, 100)
	}
	var stay []string
	r.cleaning.Lock() // nothing goes before all is there
	for i := range 2*pageSize + 20 {
		name := fmt.Sprintf("a/%03d.mp4", i)
		add("live/a", name, 5*time.Hour-time.Duration(i)*time.Second, record.Keep{For: time.Hour})
		if i < maxStuck+2 {
			r.obstacle(name)
			stay = append(stay, name)
		}
	}
	for i := range 5 {
		name := fmt.Sprintf("b/%d.mp4", i)
		add("live/b", name, time.Duration(10-i)*time.Hour, record.Keep{Total: 250})
		if i == 0 {
			r.obstacle(name)
		}
	}
	r.cleaning.Unlock()
	want := []string{"b/0.mp4", "b/4.mp4"}
	for range 4 {
		r.clean(t.Context())
	}
	if got := r.left("live/a"); !slices.Equal(got, stay) {
		t.Errorf("left: %q", got)
	}
	if got := r.left("live/b"); !slices.Equal(got, want) {
		t.Errorf("left: %q instead of %q", got, want)
	}
	for _, name := range append(stay, "b/0.mp4") {
		must(t, os.Remove(filepath.Join(r.dir, name, "in the way")))
	}
	r.cleaning.Lock()
	for id := range r.stuck.until {
		r.stuck.until[id] = now
	}
	r.cleaning.Unlock()
	r.clean(t.Context())
	r.clean(t.Context())
	if got := r.left("live/a"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestDamagedFilesGo: damaged files count, and go by their rule as whole ones do, also those that were left as .part.
func TestDamagedFilesGo(t *testing.T) {
	r := newRig(t, nil)
	now := time.Now().UTC()
	add := func(stream, name string, age time.Duration, keep record.Keep, state State) {
		f := r.file(stream, name, 0, time.Minute)
		f.Start, f.Keep, f.Upload = now.Add(-age), keep, ""
		r.place(f, 100)
		if state == Damaged {
			full := filepath.Join(r.dir, name)
			must(t, os.Rename(full, full+partial))
			must(t, r.Begun(f))
			r.Failed(f, nil)
		}
	}
	r.cleaning.Lock()
	add("live/a", "a/0.mp4", 3*time.Hour, record.Keep{For: time.Hour}, Damaged)
	add("live/a", "a/1.mp4", 2*time.Minute, record.Keep{For: time.Hour}, Damaged)
	for i, state := range []State{Damaged, Done, Damaged, Done} {
		add("live/b", fmt.Sprintf("b/%d.mp4", i), time.Duration(10-i)*time.Hour, record.Keep{Total: 250}, state)
	}
	r.cleaning.Unlock()
	r.clean(t.Context())
	names := func(dir string) (list []string) {
		entries, err := os.ReadDir(filepath.Join(r.dir, dir))
		must(t, err)
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	if got := names("a"); !slices.Equal(got, []string{"1.mp4.part"}) {
		t.Errorf("left: %q", got)
	}
	if got := names("b"); !slices.Equal(got, []string{"2.mp4.part", "3.mp4"}) {
		t.Errorf("left: %q", got)
	}
}

// TestRemovalIsGoneOnWith: what was to go here once it was in the storage goes after a crash, too, and what is gone already is taken from the storage.
func TestRemovalIsGoneOnWith(t *testing.T) {
	r := newRig(t, nil)
	var ids []string
	for i := range 4 {
		f := r.file("live/a", fmt.Sprintf("%d.mp4", i), time.Duration(i)*time.Minute, time.Minute)
		f.Upload = "main"
		r.place(f, 10)
		ids = append(ids, f.ID)
	}
	r.restart(func() {
		must(t, os.Remove(filepath.Join(r.dir, "0.mp4")))
		db := connect(filepath.Join(r.conf.State, "recordings.db"))
		defer db.close()
		must(t, db.change("UPDATE files SET object = 'rec/' || name"))
		must(t, db.settled(ids[1])) // it stays
		must(t, db.change("UPDATE files SET state = 3 WHERE id = ?", ids[3]))
	})
	r.until(func() bool {
		left, err := os.ReadDir(r.dir)
		must(t, err)
		return len(left) == 1 && left[0].Name() == "1.mp4"
	})
	for i, id := range ids {
		r.until(func() bool {
			row, err := r.File(t.Context(), id)
			must(t, err)
			return row.State == Remote || i == 1 && row.State == Done
		})
	}
	// An operator removes the one that stays.
	must(t, os.WriteFile(filepath.Join(r.dir, "other"), nil, 0o600))
	r.restart(func() { must(t, os.Remove(filepath.Join(r.dir, "1.mp4"))) })
	r.until(func() bool {
		row, err := r.File(t.Context(), ids[1])
		must(t, err)
		return row.State == Remote
	})
}

// TestMissingByAnOldState: a file that has become something else since its row was read is not forgotten.
func TestMissingByAnOldState(t *testing.T) {
	r := newRig(t, nil)
	f := r.file("live/a", "a.mp4", 0, time.Minute)
	must(t, r.Begun(f))
	before, err := r.File(t.Context(), f.ID)
	must(t, err)
	r.place(f, 10)
	must(t, r.use(false, func(x *index) error { return x.missing(&before) }))
	if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Done {
		t.Error(row.State, err)
	}
}
