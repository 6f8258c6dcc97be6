package archive

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/archive/s3"
	"weir/internal/record"
)

// Errors; they are wrapped.
var (
	// ErrIndexing is returned while the index is made anew from the files.
	ErrIndexing = errors.New("the index of recordings is being made; ask again in a few seconds")
	// ErrNotFound is returned for what was not recorded, or is gone.
	ErrNotFound = errors.New("there is no such recording")
	// ErrRecording is returned for what cannot be done with a file that is being written.
	ErrRecording = errors.New("the file is being recorded: cut or stop the recording first")
	// ErrQuery is returned for ranges of time that cannot be.
	ErrQuery = errors.New("bad range")
)

// Place is a directory of recordings, and what is to be assumed of a file in it that the index does not know.
type Place struct {
	Dir string
	// Rule returns the name of the recording that makes files of a stream in this directory now, the rule by which they
	// are kept, and where they are uploaded to.
	Rule func(stream string) (recording string, keep record.Keep, upload string)
}

// Options are what an archive needs.
type Options struct {
	Log *slog.Logger
	// State is the folder of the index; "" keeps it in memory, and makes it anew at each start.
	State string
	// Places returns the directories of recordings in the configuration in force.
	Places func() []Place
	// Storage returns the entries of s3 in force; nil for none.
	Storage func() []s3.Config
	// Event is told of what happens to a file: "upload.done", "upload.failed".
	Event func(typ string, f *record.File, data map[string]any)
	// Space returns how much a directory's file system has for us, and in all; nil asks the system.
	Space func(dir string) (free, total int64, err error)
}

// Archive is the index of recordings. Run must run for it to be made, and for what is old to be removed.
type Archive struct {
	opt     Options
	log     *slog.Logger
	media   *library
	clips   *clips
	uploads *uploads
	woken   chan struct{} // tells Run that a file is whole
	built   chan struct{} // tells Run that the index was found damaged

	cleaning sync.Mutex // held while files are removed by rule
	stuck    stuck      // guarded by cleaning

	mu     sync.RWMutex // guards below; held for reading while the database is used
	index  *index
	ready  bool
	broken bool
	figure figures
}

// New opens the index.
func New(opt Options) (*Archive, error) {
	a := &Archive{opt: opt, log: opt.Log, media: newLibrary(), clips: newClips(), woken: make(chan struct{}, 1), built: make(chan struct{}, 1)}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.opt.Event == nil {
		a.opt.Event = func(string, *record.File, map[string]any) {}
	}
	if a.opt.Storage == nil {
		a.opt.Storage = func() []s3.Config { return nil }
	}
	if a.opt.Places == nil {
		a.opt.Places = func() []Place { return nil }
	}
	a.uploads = newUploads(a)
	if a.opt.Space == nil {
		a.opt.Space = record.Room
	}
	if opt.State != "" {
		if err := os.MkdirAll(opt.State, 0o700); err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
	}
	x, why, err := openIndex(opt.State)
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	if why != nil {
		a.log.Warn("the index of recordings cannot be used, and is made anew from the files; the old one is kept as recordings.db.old", slog.Any("err", why))
	}
	a.index, a.ready = x, x.clean
	return a, nil
}

// Close closes the index. Run must have returned.
func (a *Archive) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ready {
		a.index.shut()
	} else {
		a.index.close()
	}
}

// use calls f with the index. It fails with ErrIndexing while the index is not whole, if it has to be.
func (a *Archive) use(whole bool, f func(x *index) error) error {
	a.mu.RLock()
	x, ready := a.index, a.ready
	var err error
	if ready || !whole {
		err = f(x)
	} else {
		err = ErrIndexing
	}
	a.mu.RUnlock()
	if !isBroken(err) {
		return err
	}
	a.mu.Lock()
	if a.index == x && !a.broken {
		a.broken, a.ready = true, false
		a.log.Error("the index of recordings is damaged, and is made anew from the files", slog.Any("err", err))
		select {
		case a.built <- struct{}{}:
		default:
		}
	}
	a.mu.Unlock()
	return fmt.Errorf("%w (%w)", ErrIndexing, err)
}

// Begun implements record.Catalog.
func (a *Archive) Begun(f record.File) error {
	return a.put(&Row{File: f, State: Recording})
}

// Done implements record.Catalog.
func (a *Archive) Done(f record.File) error {
	a.media.forget(f.ID)
	defer a.wake()
	return a.put(&Row{File: f, State: Done})
}

// Repaired implements record.Catalog. The file goes by the rule that held when it began.
func (a *Archive) Repaired(f record.File) error {
	a.media.forget(f.ID)
	defer a.wake()
	known := false
	err := a.use(false, func(x *index) (err error) {
		known, err = x.repaired(&f)
		return err
	})
	if err == nil && !known && f.Stream != "" {
		for _, p := range a.opt.Places() {
			if p.Dir == f.Dir {
				a.assume(&f, &p)
				err = a.use(false, func(x *index) error { return x.putAll([]*Row{{File: f, State: Done}}, true) })
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Failed implements record.Catalog.
func (a *Archive) Failed(f record.File, _ error) {
	a.media.forget(f.ID)
	info, err := os.Stat(filepath.Join(f.Dir, f.Name) + partial)
	if errors.Is(err, fs.ErrNotExist) {
		err = a.use(false, func(x *index) error { return x.removeName(f.Dir, f.Name) })
	} else {
		size := int64(0)
		if err == nil {
			size = info.Size()
		}
		err = a.use(false, func(x *index) error { return x.damaged(f.Dir, f.Name, f.Duration, size) })
	}
	if err != nil {
		a.log.Error("the index of recordings does not know that a file failed", slog.String("stream", f.Stream), slog.String("file", f.Name), slog.Any("err", err))
	}
}

// Taken implements record.Catalog.
func (a *Archive) Taken(dir, name string) bool {
	taken := false
	err := a.use(false, func(x *index) (err error) {
		taken, err = x.taken(dir, name)
		return err
	})
	if err != nil { // the file is made all the same
		a.log.Error("the index of recordings does not tell whether a name is free", slog.String("file", name), slog.Any("err", err))
	}
	return taken
}

// partial is what a file's name ends in until it is whole.
const partial = ".part"

// put adds a file or changes what is known of it.
func (a *Archive) put(r *Row) error {
	if err := a.use(false, func(x *index) error { return x.put(r) }); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// wake has Run look what is to go.
func (a *Archive) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
	a.uploads.wake()
}

// MaxPage bounds the files of one page of a list.
const MaxPage = 1000

// Query says what is to be listed.
type Query struct {
	// Stream is a stream's path; "" lists all streams.
	Stream string
	// From and To bound the time; zero is no bound.
	From, To time.Time
	// Cursor is List.Next of the page before.
	Cursor string
	// Limit is how many files there may be in the page, up to MaxPage; 0 is that many.
	Limit int
}

// List is a page of what was recorded. A span may go on in the next page, where it begins at the time at
// which it ends here.
type List struct {
	Spans []Span
	Gaps  []Gap
	Next  string
}

// List lists what was recorded. It fails with ErrIndexing or ErrQuery.
func (a *Archive) List(ctx context.Context, q Query) (List, error) {
	from, to := q.From, q.To
	if from.IsZero() {
		from = earliest
	}
	if to.IsZero() {
		to = latest
	}
	if !from.Before(to) {
		return List{}, fmt.Errorf("%w: to must be later than from", ErrQuery)
	}
	limit := q.Limit
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var after *place
	if q.Cursor != "" {
		after = &place{}
		b, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err != nil || json.Unmarshal(b, after) != nil {
			return List{}, fmt.Errorf("%w: the cursor is not one of ours", ErrQuery)
		}
	}
	var l List
	rows, next, err := a.page(ctx, q.Stream, from, to, after, limit)
	if err != nil {
		return List{}, err
	}
	a.lengthen(rows)
	parts := cut(rows, from, to)
	if next != nil {
		b, _ := json.Marshal(next) // strings and a number
		l.Next = base64.RawURLEncoding.EncodeToString(b)
	}
	l.Spans, l.Gaps = spansOf(parts)
	if len(rows) > limit { // the one behind has told where the last one ends, and what is missing before it
		l.Spans = without(l.Spans, rows[limit].ID)
	}
	return l, nil
}

// page returns the next files of one stream or of all, and the one behind them if there is one.
func (a *Archive) page(ctx context.Context, stream string, from, to time.Time, after *place, limit int) (rows []Row, next *place, err error) {
	err = a.use(true, func(x *index) error {
		paths := []string{stream}
		if stream == "" {
			begin := ""
			if after != nil {
				begin, paths = after.Stream, []string{after.Stream}
			} else {
				paths = nil
			}
			more, err := x.streams(ctx, begin, limit)
			if err != nil {
				return err
			}
			paths = append(paths, more...)
		}
		for i, p := range paths {
			at := after
			if at != nil && at.Stream != p {
				at = nil
			}
			list, err := x.within(ctx, p, "", from, to, at, limit-len(rows)+1)
			if err != nil {
				return err
			}
			rows = append(rows, list...)
			if len(rows) > limit {
				last := &rows[limit-1]
				next = &place{last.Stream, last.Start.UnixNano(), last.ID}
				return nil
			}
			if stream == "" && i == len(paths)-1 && len(paths) > limit { // there may be more streams
				next = &place{p, latest.UnixNano(), ""}
			}
		}
		return nil
	})
	return rows, next, err
}

// lengthen gives files that are being written the duration that they have by now.
func (a *Archive) lengthen(rows []Row) {
	for i := range rows {
		if rows[i].State == Recording {
			a.media.measure(&rows[i])
		}
	}
}

// File returns a file by its id. It fails with ErrNotFound or ErrIndexing.
func (a *Archive) File(ctx context.Context, id string) (r Row, err error) {
	err = a.use(true, func(x *index) error {
		r, err = x.get(ctx, id)
		return err
	})
	return r, err
}

// Open opens a file that is whole. It fails with ErrNotFound, ErrRecording, ErrElsewhere, ErrIndexing or the system's
// error.
func (a *Archive) Open(ctx context.Context, id string) (Row, *os.File, error) {
	r, err := a.File(ctx, id)
	switch {
	case err != nil:
		return r, nil, err
	case r.State == Recording:
		return r, nil, ErrRecording
	case r.State == Remote:
		return r, nil, ErrElsewhere
	case r.State != Done:
		return r, nil, ErrNotFound
	}
	f, err := openIn(r.Dir, r.Name)
	switch {
	case a.moved(ctx, &r, err):
		err = ErrElsewhere
	case errors.Is(err, fs.ErrNotExist):
		err = ErrNotFound
	}
	return r, f, err
}

// openIn opens a file below a directory; no symbolic link leads out of it.
func openIn(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(filepath.FromSlash(name))
}

// Delete removes a file. Those who are being sent it get it to its end. It fails with ErrNotFound, ErrRecording,
// ErrIndexing or the system's error.
func (a *Archive) Delete(ctx context.Context, id string) error {
	goOn, err := a.uploads.halt(ctx, id)
	if err != nil {
		return err
	}
	defer goOn()
	r, err := a.File(ctx, id)
	if err != nil {
		return err
	}
	if r.State == Recording {
		return ErrRecording
	}
	if err := a.withdraw(ctx, &r); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return a.remove(&r)
}

// remove removes a file and forgets it.
func (a *Archive) remove(r *Row) error {
	if err := a.unlink(r); err != nil {
		return err
	}
	if err := a.use(false, func(x *index) error { return x.remove(r.ID) }); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// unlink removes a file, with the directories that it leaves empty. It is no error if it is gone.
func (a *Archive) unlink(r *Row) error {
	a.media.forget(r.ID)
	root, err := os.OpenRoot(r.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone with all that is in it
	case err != nil:
		return fmt.Errorf("archive: %w", err)
	default:
		defer root.Close()
		name := filepath.FromSlash(r.Name)
		if r.State == Damaged {
			if err := root.Remove(name + partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("archive: %w", err)
			}
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("archive: %w", err)
		}
		for dir := path.Dir(filepath.ToSlash(r.Name)); dir != "." && !strings.HasPrefix(dir, ".."); dir = path.Dir(dir) {
			if root.Remove(filepath.FromSlash(dir)) != nil { // something is in it
				break
			}
		}
	}
	return nil
}

// maxFiles bounds the files of one answer that plays a range.
const maxFiles = 4096

// errMany is an ErrQuery.
var errMany = fmt.Errorf("%w: there are more than %d files in it; ask for less at a time", ErrQuery, maxFiles)

// Range returns what a recording of a stream has from one time to another, in order. recording "" takes the one that has
// most of it. It fails with ErrNotFound if there is nothing, ErrQuery or ErrIndexing.
func (a *Archive) Range(ctx context.Context, stream, recording string, from, to time.Time) ([]Part, error) {
	if !from.Before(to) {
		return nil, fmt.Errorf("%w: to must be later than from", ErrQuery)
	}
	var rows []Row
	err := a.use(true, func(x *index) (err error) {
		rows, err = x.within(ctx, stream, recording, from, to, nil, maxFiles+1)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > maxFiles {
		return nil, errMany
	}
	a.lengthen(rows)
	parts := cut(rows, from, to)
	if recording == "" {
		recording = fullest(parts)
	}
	parts = slices.DeleteFunc(parts, func(p Part) bool { return p.Recording != recording })
	if !slices.ContainsFunc(parts, func(p Part) bool { return p.State != Damaged }) {
		return nil, fmt.Errorf("%w: nothing of this stream was recorded from %s to %s", ErrNotFound, stamp(from), stamp(to))
	}
	return parts, nil
}

// Recent is Range, and of a range with too many files returns the newest.
func (a *Archive) Recent(ctx context.Context, stream, recording string, from, to time.Time) ([]Part, error) {
	parts, err := a.Range(ctx, stream, recording, from, to)
	if !errors.Is(err, errMany) {
		return parts, err
	}
	const spare = 64 // files that overlap with these
	if err := a.use(true, func(x *index) (err error) {
		from, err = x.start(ctx, stream, recording, to, maxFiles-spare)
		return err
	}); err != nil {
		return nil, err
	}
	return a.Range(ctx, stream, recording, from, to)
}

// fullest returns the recording that has the most time in MP4, which alone can be played; the first by name of several.
func fullest(parts []Part) string {
	best, names := map[string]time.Duration{}, []string{}
	for i := range parts {
		p := &parts[i]
		if _, ok := best[p.Recording]; !ok {
			names = append(names, p.Recording)
		}
		d := time.Duration(0)
		if p.Format == formatMP4 && p.State != Damaged {
			d = p.To.Sub(p.From)
		}
		best[p.Recording] += d
	}
	slices.Sort(names)
	name := ""
	for i, n := range names {
		if i == 0 || best[n] > best[name] {
			name = n
		}
	}
	return name
}

// formatMP4 is the format of files that ranges can be played of.
const formatMP4 = "mp4"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
