package archive

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"weir/internal/event"
	"weir/internal/record"
	"weir/internal/session"
)

// batch is how many files are looked at between two looks at whether to go on, and added in one transaction.
const batch = 256

// Run makes the index if it has to be made, and removes what is too old, until ctx ends.
func (a *Archive) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { a.uploads.run(ctx) })
	a.bring(ctx)
	t := time.NewTicker(cleanEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.damagedFound:
			a.renew(ctx)
		case <-a.woken:
			a.clean(ctx)
		case now := <-t.C:
			a.clips.forgetIdle(now.Add(-idleTime))
			a.media.forgetIdle(now.Add(-idleTime))
			a.clean(ctx)
		}
	}
}

// bring makes the index say what there is: questions wait for that only if it was not closed in order.
func (a *Archive) bring(ctx context.Context) {
	begin := time.Now()
	added, gone, err := a.scan(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		a.log.Error("looking through the recordings failed; what is in the index is shown all the same", slog.Any("err", err))
	case added+gone > 0:
		a.log.Info("the index of recordings is whole", slog.Int("added", added), slog.Int("gone", gone), slog.Duration("dur", time.Since(begin).Round(time.Millisecond)))
	}
	a.mu.Lock()
	a.ready = !a.broken
	a.mu.Unlock()
	a.clean(ctx)
}

// renew replaces an index that was found damaged by a new one.
func (a *Archive) renew(ctx context.Context) {
	a.mu.Lock()
	a.index.close()
	err := error(nil)
	if a.index.file != "" {
		err = setAside(a.index.file)
	}
	if err == nil {
		var x *index
		if x, err = newIndex(a.index.file); err == nil {
			a.index, a.broken = x, false
		}
	}
	a.mu.Unlock()
	if err != nil {
		a.log.Error("the index of recordings cannot be made anew; nothing is listed or removed until a restart", slog.Any("err", err))
		return
	}
	a.bring(ctx)
}

// scan forgets files that are gone and adds those that the index does not know.
func (a *Archive) scan(ctx context.Context) (added, gone int, err error) {
	if gone, err = a.scanRows(ctx); err != nil {
		return added, gone, err
	}
	for _, p := range a.opt.Places() {
		n, err := a.scanPlace(ctx, &p)
		added += n
		if err != nil {
			return added, gone, err
		}
	}
	return added, gone, nil
}

// scanRows looks whether the files of the index are there. Those that are not, but in the storage, are so from now on.
func (a *Archive) scanRows(ctx context.Context) (gone int, err error) {
	dirs := directories{}
	defer func() {
		dirs.close()
		for dir, d := range dirs {
			if d.root == nil && d.files > 0 {
				a.log.Warn("a directory of recordings is empty or cannot be opened, as if its disk were not mounted: the index keeps what it knows of its files",
					slog.String("dir", dir), slog.Int("files", d.files))
			}
		}
	}()
	last := int64(-1)
	for ctx.Err() == nil {
		var list []Row
		err := a.use(false, func(x *index) (err error) {
			list, last, err = x.after(ctx, last, batch)
			return err
		})
		if err != nil || len(list) == 0 {
			return gone, err
		}
		for i := range list {
			r := &list[i]
			d := dirs.open(r.Dir)
			if d.root == nil {
				d.files++
				continue
			}
			switch {
			case d.has(r.Name) && r.State == Done:
			case d.has(r.Name): // it has become whole without us
				err = a.adopt(d.root, r)
			case r.State != Done && d.has(r.Name+partial): // whoever writes or repairs it will tell
			case r.State != Done && d.has(r.Name): // that was done meanwhile
			case !d.lacks(r.Name): // it cannot be looked at
			default:
				gone++
				err = a.use(false, func(x *index) error { return x.missing(r) })
			}
			if err != nil {
				return gone, err
			}
		}
	}
	return gone, ctx.Err()
}

// adopt notes that a file which was being written, or could not be read, is whole, if it can be read.
func (a *Archive) adopt(root *os.Root, r *Row) error {
	f, err := readFile(root, r.Name)
	if err != nil {
		a.log.Warn("a recording cannot be read", slog.String("file", path.Join(r.Dir, r.Name)), slog.String("err", session.ErrorText(err, 256)))
		return a.use(false, func(x *index) error { return x.damaged(r.Dir, r.Name, 0, f.Bytes) })
	}
	f.Dir = r.Dir
	return a.use(false, func(x *index) error {
		_, err := x.repaired(&f)
		return err
	})
}

// directories are the directories of the index's files.
type directories map[string]*directory

// directory is one of them.
type directory struct {
	root  *os.Root // nil if it cannot be opened or nothing is in it
	files int      // that are not looked for, because root is nil
}

func (l directories) open(dir string) *directory {
	d := l[dir]
	if d != nil {
		return d
	}
	d = &directory{}
	l[dir] = d
	root, err := os.OpenRoot(dir)
	if err != nil {
		return d
	}
	if empty(root) {
		_ = root.Close()
		return d
	}
	d.root = root
	return d
}

func (l directories) close() {
	for _, d := range l {
		if d.root != nil {
			_ = d.root.Close()
		}
	}
}

// empty reports whether nothing is in a directory, or it cannot be read.
func empty(root *os.Root) bool {
	f, err := root.Open(".")
	if err != nil {
		return true
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return err != nil
}

func (d *directory) has(name string) bool {
	_, err := d.root.Lstat(filepath.FromSlash(name))
	return err == nil
}

// lacks reports whether there is certainly nothing of a name.
func (d *directory) lacks(name string) bool {
	_, err := d.root.Lstat(filepath.FromSlash(name))
	return errors.Is(err, fs.ErrNotExist)
}

// isGone reports whether a file is certainly not there any more: its disk is mounted, as far as one can tell.
func isGone(r *Row) bool {
	dirs := directories{}
	defer dirs.close()
	d := dirs.open(r.Dir)
	return d.root != nil && d.lacks(r.Name) && (r.State != Recording || d.lacks(r.Name+partial))
}

// recorded are the extensions of recordings.
var recorded = map[string]bool{".mp4": true, ".flv": true, ".ts": true}

// scanPlace adds the files of a directory that the index does not know.
func (a *Archive) scanPlace(ctx context.Context, p *Place) (added int, err error) {
	root, err := os.OpenRoot(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer root.Close()
	var dirs []string
	if err := a.use(false, func(x *index) (err error) {
		dirs, err = x.nested(ctx, p.Dir)
		return err
	}); err != nil {
		return 0, err
	}
	var found []*Row
	var out leftOut
	defer func() {
		if out.files > 0 {
			a.log.Warn("files that are no recordings of Weir, or broken, are left out of the index: what they have is listed as missing",
				slog.String("dir", p.Dir), slog.Int("files", out.files), slog.String("first", strings.Join(out.first, ", ")))
		}
	}()
	flush := func() error {
		list := found
		found = nil
		return a.use(false, func(x *index) error { return x.putAll(list, true) })
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() || !recorded[path.Ext(name)] {
			return nil //nolint:nilerr // a directory that cannot be read does not hide the others
		}
		known := false
		if err := a.use(false, func(x *index) (err error) {
			known, err = x.has(ctx, dirs, filepath.Join(p.Dir, filepath.FromSlash(name)))
			return err
		}); err != nil || known {
			return err
		}
		r, err := a.readRow(root, p, name)
		switch {
		case err != nil:
			out.add(name + " (" + session.ErrorText(err, 256) + ")")
		case r == nil:
			out.add(name)
		default:
			added++
			if found = append(found, r); len(found) >= batch {
				return flush()
			}
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	return added, err
}

// maxLeftOut bounds the names of files that the log has at once.
const maxLeftOut = 10

// leftOut are files that the index does not get.
type leftOut struct {
	files int
	first []string
}

func (l *leftOut) add(text string) {
	if l.files++; l.files <= maxLeftOut {
		l.first = append(l.first, text)
	}
}

// readRow makes a row of what a file says of itself; nil if it is no recording of ours.
func (a *Archive) readRow(root *os.Root, p *Place, name string) (*Row, error) {
	f, err := readFile(root, name)
	if errors.Is(err, record.ErrUnknown) {
		return nil, nil //nolint:nilnil // not ours
	}
	if err != nil {
		return nil, err
	}
	f.Dir = p.Dir
	a.assume(&f, p)
	return &Row{State: Done, File: f}, nil
}

// readFile reads what a file says of itself.
func readFile(root *os.Root, name string) (f record.File, err error) {
	file, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return f, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return f, err
	}
	f, err = record.Read(file, info.Size(), name)
	f.Name = name
	return f, err
}

// assume completes what a file that is older than its label does not say.
func (a *Archive) assume(f *record.File, p *Place) {
	if f.ID == "" {
		f.ID = event.NewID(f.Start)
		f.Recording, f.Keep, f.Upload = p.Rule(f.Stream)
	}
}

// settle gives a file whose take is not known that of the file that ends where it begins, and a copy of a file an id of its own.
func settle(tx *sql.Tx, r *Row) error {
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM files f JOIN dirs d ON d.id = f.dir WHERE f.id = ? AND NOT (d.path = ? AND f.name = ?)", r.ID, r.Dir, r.Name).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		r.ID = event.NewID(r.Start)
	}
	if r.Take != "" {
		return nil
	}
	r.Take = r.ID
	return joinTake(tx, r)
}

// joinTake gives a file whose take is not known that of the file that ends where it begins.
func joinTake(tx *sql.Tx, r *Row) error {
	var take string
	err := tx.QueryRow(`SELECT f.take FROM files f JOIN rules r ON r.id = f.rule WHERE f.stream = ? AND f.start < ? AND f.epoch = ? AND r.recording = ?
		AND abs(f.start + f.length - ?) <= ? ORDER BY f.start DESC LIMIT 1`,
		r.Stream, r.Start.UnixNano(), int64(r.Epoch), r.Recording, r.Start.UnixNano(), int64(joint)).Scan(&take)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		r.Take = take
	}
	return err
}
