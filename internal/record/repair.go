package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"weir/format/flv"
	"weir/format/mp4"
	"weir/format/mpegts"
	"weir/internal/event"
)

// Repaired is what Repair did.
type Repaired struct {
	Name string // of the file, now; empty if there was nothing in it, and it is gone
	// File is what the file says of itself: Stream is empty if it does not say which it is of.
	File File
}

// ErrWritten says that a file is still being written, by this or another program.
var ErrWritten = errors.New("record: the file is being written now")

// ErrUnknown says that a file is no recording that could be repaired.
var ErrUnknown = errors.New("record: it is no recording that Weir has made")

// Repair makes a file whole that a crash left, and takes .part off its name: name is a path below root. A file that is whole is not touched. One
// without a whole frame is removed if it is a .part. taken, if not nil, tells names that must not be given. It fails with ErrWritten, ErrUnknown, or
// the file's error.
func Repair(root *os.Root, name string, taken func(name string) bool) (Repaired, error) {
	final, part := strings.CutSuffix(name, PartSuffix)
	f, err := root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return Repaired{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return Repaired{}, errors.Join(ErrUnknown, err)
	}
	if err := lock(f); err != nil {
		return Repaired{}, ErrWritten
	}
	done := Repaired{Name: final}
	err = complete(f, path.Ext(final))
	switch {
	case errors.Is(err, mp4.ErrEmpty), errors.Is(err, flv.ErrNoTags), errors.Is(err, errNothing):
		if !part {
			return done, err
		}
		return Repaired{}, errors.Join(f.Close(), rooted{root}.Remove(name))
	case err != nil:
		return done, err
	}
	info, err := f.Stat()
	if err != nil {
		return done, err
	}
	if done.File, err = Read(f, info.Size(), final); err != nil && !errors.Is(err, ErrUnknown) {
		return done, err
	}
	if !part {
		return done, nil
	}
	store, base, ext := rooted{root}, strings.TrimSuffix(final, path.Ext(final)), path.Ext(final)
	for n := 1; n <= maxCopies; n++ {
		if done.Name = numbered(base, n, ext); !store.Exists(done.Name) && (taken == nil || !taken(done.Name)) {
			return done, errors.Join(store.Rename(name, done.Name), store.SyncFolder(done.Name))
		}
	}
	return done, fmt.Errorf("there are %d files called %s already", maxCopies, final)
}

// errNothing says that there is nothing in a file.
var errNothing = errors.New("nothing has been recorded in it")

// complete makes a file of a format whole.
func complete(f *os.File, ext string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	switch {
	case ext != ".mp4" && ext != ".flv" && ext != ".ts":
		return ErrUnknown
	case size == 0:
		return errNothing
	}
	switch ext {
	case ".mp4":
		if err = mp4.Recover(f); errors.Is(err, mp4.ErrForeign) || errors.Is(err, mp4.ErrNoIndex) {
			err = ErrUnknown
		}
		return err
	case ".flv":
		if err = flv.FinishFile(f, size); errors.Is(err, flv.ErrNoRoom) {
			err = ErrUnknown
		}
	case ".ts":
		if err := checkTS(f, size); err != nil {
			return err
		}
		whole := size - size%mpegts.PacketSize
		if whole == 0 {
			return errNothing
		}
		if whole == size {
			return nil
		}
		err = f.Truncate(whole)
	}
	return errors.Join(err, f.Sync())
}

// checkTS refuses what is no MPEG-TS of ours by its first packets: TypeScript has the same extension, and other programs' packets may be longer.
func checkTS(f *os.File, size int64) error {
	const sync, packets = 0x47, 5
	for at := int64(0); at == 0 || at < packets*mpegts.PacketSize && at+mpegts.PacketSize <= size; at += mpegts.PacketSize {
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		if b[0] != sync {
			return ErrUnknown
		}
	}
	return nil
}

// Parts calls each for every .part below a directory, by its slashed path there, until ctx ends. Symbolic links are not followed.
func Parts(ctx context.Context, dir string, each func(root *os.Root, name string)) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if name == "." {
				return err
			}
			return nil // a folder that cannot be read
		}
		if d.Type().IsRegular() && strings.HasSuffix(name, PartSuffix) {
			each(root, name)
		}
		return nil
	})
}

// RepairAll makes the files whole that a crash left in directories, as many at once as there are processors. Those that are being written are left alone.
func (m *Manager) RepairAll(ctx context.Context, dirs []string) {
	workers := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, dir := range dirs {
		if err := m.repairBelow(ctx, dir, workers); err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
			m.log.Warn("recordings that a crash may have left cannot be looked for", slog.String("dir", dir), slog.Any("err", err))
		}
	}
}

// repairBelow is RepairAll for a directory. workers has room for those that repair. The files of one folder, which may come to want the same name, wait
// for one another.
func (m *Manager) repairBelow(ctx context.Context, dir string, workers chan struct{}) error {
	folders := map[string][]string{}
	err := Parts(ctx, dir, func(_ *os.Root, name string) { folders[path.Dir(name)] = append(folders[path.Dir(name)], name) })
	if err != nil || len(folders) == 0 {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, names := range folders {
		workers <- struct{}{}
		wg.Go(func() {
			defer func() { <-workers }()
			for _, name := range names {
				if ctx.Err() != nil {
					return
				}
				m.repair(root, dir, name)
			}
		})
	}
	return nil
}

// finishLater makes a file whole that could not be when it ended: the disk takes what is written again.
func (m *Manager) finishLater(f *File) {
	root, err := os.OpenRoot(f.Dir)
	if err != nil { // the next start does it
		return
	}
	defer root.Close()
	m.repair(root, f.Dir, f.Name+PartSuffix)
}

// taken reports whether the catalog has a file of a name that is not here any more.
func (m *Manager) taken(dir, name string) bool {
	return m.opt.Catalog != nil && m.opt.Catalog.Taken(filepath.Clean(dir), name)
}

func (m *Manager) repair(root *os.Root, dir, name string) {
	done, err := Repair(root, name, func(name string) bool { return m.taken(dir, name) })
	at := []any{slog.String("file", name), slog.String("dir", dir)}
	switch {
	case errors.Is(err, ErrWritten), errors.Is(err, fs.ErrNotExist): // the one that wrote it may have made it whole
		return
	case errors.Is(err, ErrUnknown):
		m.log.Warn("a .part file is no recording, and is left as it is", append(at, slog.Any("err", err))...)
		return
	case err != nil:
		m.log.Error("a recording that a crash left could not be repaired", append(at, slog.Any("err", err))...)
		return
	case done.Name == "":
		m.log.Info("a recording that a crash left had nothing in it, and was removed", at...)
		return
	}
	f := done.File
	f.Dir, f.Name = filepath.Clean(dir), done.Name
	m.log.Info("a recording that a crash left was repaired", append(at, slog.Duration("dur", f.Duration.Round(time.Millisecond)), slog.Int64("bytes", f.Bytes))...)
	if m.opt.Catalog != nil {
		if err := m.opt.Catalog.Repaired(f); err != nil {
			m.log.Error("the index of recordings could not be changed: it is made anew from the files at the next start", slog.Any("err", err))
		}
	}
	data := map[string]any{"file": f.Name, "dir": f.Dir, "format": f.Format, "bytes": f.Bytes, "repaired": true}
	e := event.Event{Type: event.RecordingDone, Data: data}
	if f.Stream != "" {
		e.Stream = &event.Stream{Path: f.Stream, Epoch: f.Epoch}
		data["duration"], data["start"] = f.Duration.Round(time.Millisecond).Seconds(), f.Start.Format(time.RFC3339Nano)
	}
	m.opt.Publish(e)
}
