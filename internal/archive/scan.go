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

	"weir/format/mp4"
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
		case <-a.built:
			a.renew(ctx)
		case <-a.woken:
			a.clean(ctx)
		case <-t.C:
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

// scanRows looks whether the files of the index are there.
func (a *Archive) scanRows(ctx context.Context) (gone int, err error) {
	roots := map[string]*os.Root{}
	defer func() {
		for _, r := range roots {
			if r != nil {
				_ = r.Close()
			}
		}
	}()
	has := func(dir, name string) bool {
		root, known := roots[dir]
		if !known {
			root, _ = os.OpenRoot(dir)
			roots[dir] = root
		}
		if root == nil {
			return false
		}
		_, err := root.Lstat(filepath.FromSlash(name))
		return err == nil
	}
	type brief struct {
		seq       int64
		id        string
		dir, name string
		state     State
	}
	last := int64(-1)
	for ctx.Err() == nil {
		var list []brief
		err := a.use(false, func(x *index) error {
			rows, err := x.read.QueryContext(ctx, `SELECT f.seq, f.id, d.path, f.name, f.state FROM files f JOIN dirs d ON d.id = f.dir
				WHERE f.seq > ? AND f.state <> ? ORDER BY f.seq LIMIT ?`, last, int(Remote), batch)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var b brief
				if err := rows.Scan(&b.seq, &b.id, &b.dir, &b.name, &b.state); err != nil {
					return err
				}
				list = append(list, b)
			}
			return rows.Err()
		})
		if err != nil || len(list) == 0 {
			return gone, err
		}
		last = list[len(list)-1].seq
		for _, b := range list {
			there := has(b.dir, b.name)
			switch {
			case there && b.state == Done:
			case there: // it has become whole without us; scanPlace reads it
				err = a.use(false, func(x *index) error { return x.remove(b.id) })
			case b.state != Done && has(b.dir, b.name+partial): // whoever writes or repairs it will tell
			default:
				gone++
				err = a.use(false, func(x *index) error { return x.remove(b.id) })
			}
			if err != nil {
				return gone, err
			}
		}
	}
	return gone, ctx.Err()
}

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
	var found []*Row
	flush := func() error {
		list := found
		found = nil
		return a.use(false, func(x *index) error { return x.putAll(list, true) })
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || !d.Type().IsRegular() || path.Ext(name) != ".mp4" {
			return nil //nolint:nilerr // a directory that cannot be read does not hide the others
		}
		known := false
		if err := a.use(false, func(x *index) (err error) {
			known, err = x.has(ctx, p.Dir, name)
			return err
		}); err != nil || known {
			return err
		}
		r, err := a.readRow(root, p, name)
		if err != nil {
			a.log.Warn("a recording cannot be read, and is left out of the index", slog.String("file", path.Join(p.Dir, name)), slog.String("err", session.Printable(err.Error(), 256)))
			return nil
		}
		if r != nil {
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

// readRow makes a row of what a file says of itself; nil if it is no recording of ours.
func (a *Archive) readRow(root *os.Root, p *Place, name string) (*Row, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	x, err := mp4.ReadIndex(f, info.Size())
	if errors.Is(err, mp4.ErrForeign) || errors.Is(err, mp4.ErrNoIndex) || err == nil && x.Path == "" {
		return nil, nil //nolint:nilnil // not ours
	}
	if err != nil {
		return nil, err
	}
	last := &x.Fragments[len(x.Fragments)-1]
	recording, keep, upload := p.Rule(x.Path)
	id := event.NewID(x.Start)
	return &Row{State: Done, File: record.File{
		ID: id, Stream: x.Path, Recording: recording, Take: id, Epoch: x.Epoch, Dir: p.Dir, Name: name, Format: formatMP4,
		Start: x.Start.UTC(), Duration: last.Time + last.Duration, Bytes: info.Size(), Codecs: strings.Join(codecsOf(x.Init), ","), Keep: keep, Upload: upload,
	}}, nil
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
