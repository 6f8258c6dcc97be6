package archive

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"weir/format/mp4"
	"weir/internal/archive/clip"
	"weir/internal/archive/s3"
	"weir/internal/session"
)

// MaxClip bounds what one file of a range may play.
const MaxClip = 6 * time.Hour

// What becomes of time that is missing in a range.
const (
	Skip  = "skip"  // what comes after it follows at once
	Hold  = "hold"  // the last picture stays for as long
	Error = "error" // the range is refused
)

// ErrCodecs is returned for a range over files that cannot become one because their tracks differ.
var ErrCodecs = errors.New("the codecs change in this range: ask for the spans one by one")

// ErrGap is returned for a range in which something is missing, if that is not wanted.
var ErrGap = errors.New("something is missing in this range")

// ErrElsewhere is returned for a file that is no longer here but in the storage it was uploaded to.
var ErrElsewhere = errors.New("the file is only in the storage that it was uploaded to")

// ErrUnreadable is returned for a file that is there no more, or cannot be read.
var ErrUnreadable = errors.New("the recording cannot be read")

// ErrFragments is returned for a range of which something is only in storage, in a file that was left in fragments.
var ErrFragments = errors.New("a part of this range is only in the storage that it was uploaded to, in a file that was not made plain MP4 (finalize: none): play index.m3u8, or ask for the whole file")

// ErrWithdraw is returned for a file that is not deleted because the storage has it and cannot be had to remove it.
var ErrWithdraw = errors.New("nothing is deleted, as the file is in a storage that does not remove it")

// ErrStorage is returned for a range of which something is only in storage that does not answer as it should.
var ErrStorage = errors.New("a part of this range is only in the storage that it was uploaded to, which does not give it")

// ErrBusy is returned while as much is being computed for a viewer, or for all, or is played from storage, as may be.
var ErrBusy = errors.New("too much of what was recorded is being asked for; ask again in a few seconds")

// ErrFormat is returned for a range that was recorded in a format that is not cut.
var ErrFormat = errors.New("only recordings in MP4 can be played by time; this one can be downloaded as files")

// Film is a range of a recording as one MP4 file. Close it.
type Film struct {
	io.ReadSeeker
	// Size is the file's, in bytes.
	Size int64
	// ETag tells it from every other file that this range ever was.
	ETag string
	// Duration is the time that it shows.
	Duration time.Duration
	// Skipped are the files that are left out because they cannot be read.
	Skipped []string
	// Elsewhere is the part that the range is, if it is the whole of a file that is only in the storage: there is nothing
	// to read here then.
	Elsewhere *Part

	ctx     context.Context
	archive *Archive
	sources []Part
	opened  clip.File
	free    func() // gives back the right to read from storage
}

// Close closes the file that is open.
func (f *Film) Close() error {
	if f.free != nil {
		f.free()
		f.free = nil
	}
	return f.shut()
}

func (f *Film) shut() error {
	if f.opened == nil {
		return nil
	}
	err := f.opened.Close()
	f.opened = nil
	return err
}

// file opens the file of a source.
func (f *Film) file(source int) (io.ReaderAt, error) {
	_ = f.shut()
	r := &f.sources[source].Row
	file, err := f.archive.openAnywhere(f.ctx, r)
	if f.archive.moved(f.ctx, r, err) {
		file, err = f.archive.openAnywhere(f.ctx, r)
	}
	if err != nil {
		return nil, err
	}
	f.opened = file
	return file, nil
}

// openAnywhere opens a file, here or in the storage.
func (a *Archive) openAnywhere(ctx context.Context, r *Row) (clip.File, error) {
	if r.State != Remote {
		return open(r)
	}
	if a.outages.has(r.Upload) {
		return nil, errOutage
	}
	b, err := a.uploads.bucket(r.Upload)
	if err != nil {
		return nil, err
	}
	return b.Object(ctx, r.Object, r.Bytes), nil
}

// errOutage says that a storage has just not answered, and is left alone for the moment.
var errOutage = errors.New("the storage has not answered a moment ago")

// storageError is ErrStorage for a file that is only in the storage and cannot be read there. It remembers a storage that has not answered, unless the
// viewer has gone.
func (a *Archive) storageError(ctx context.Context, r *Row, err error) error {
	if ctx.Err() == nil && !errors.Is(err, errOutage) && !s3.Answered(err) {
		a.outages.note(r.Upload)
	}
	return fmt.Errorf("%w: %w", ErrStorage, err)
}

// Bounds of what is kept of what is played.
const (
	maxHeads = 32 << 20 // bytes of the clips that are kept
	// idleTime is for how long clips and lists of fragments are kept that nobody asks for.
	idleTime = time.Minute
	// fetching bounds the ranges that are played from storage at once: each is a connection to it.
	fetching = 32
)

// clips are the clips that were asked for last: players ask for many ranges of one.
type clips struct {
	fetched chan struct{}

	mu    sync.Mutex // guards below
	byTag map[string]*list.Element
	order *list.List // of *made, the one used last in front
	held  int        // bytes
}

// made is a clip that was made.
type made struct {
	tag  string
	clip *clip.Clip
	used time.Time // guarded by the list's lock
}

func newClips() *clips {
	return &clips{fetched: make(chan struct{}, fetching), byTag: map[string]*list.Element{}, order: list.New()}
}

func (c *clips) known(tag string) *made {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byTag[tag]; e != nil {
		c.order.MoveToFront(e)
		m := e.Value.(*made) //nolint:forcetypeassert // the list holds nothing else
		m.used = time.Now()
		return m
	}
	return nil
}

// forgetIdle forgets the clips that nobody has asked for since a time.
func (c *clips) forgetIdle(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Back(); e != nil && e.Value.(*made).used.Before(since); e = c.order.Back() { //nolint:forcetypeassert // the list holds nothing else
		c.drop(e)
	}
}

// drop forgets a clip. mu is held.
func (c *clips) drop(e *list.Element) {
	old := c.order.Remove(e).(*made) //nolint:forcetypeassert // the list holds nothing else
	c.held -= old.clip.Head()
	delete(c.byTag, old.tag)
}

func (c *clips) keep(m *made) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byTag[m.tag] != nil {
		return
	}
	m.used = time.Now()
	c.byTag[m.tag] = c.order.PushFront(m)
	for c.held += m.clip.Head(); c.held > maxHeads && c.order.Len() > 1; {
		c.drop(c.order.Back())
	}
}

// Film returns what was recorded of a stream from one time to another as one file. recording "" takes the recording
// that has most of it. It fails with ErrNotFound, ErrQuery, ErrIndexing, ErrCodecs, ErrGap, ErrFormat, ErrFragments, ErrStorage or ErrBusy. What is
// only in storage is read until ctx ends. who asks for it takes turns with others.
func (a *Archive) Film(ctx context.Context, who, stream, recording string, from, to time.Time, gaps string) (*Film, error) {
	parts, err := a.inTurn(ctx, who, func() ([]Part, error) { return a.Range(ctx, stream, recording, from, to) })
	if err != nil {
		return nil, err
	}
	var skipped []string
	for {
		f, bad, err := a.film(ctx, who, parts, from, to, gaps)
		if bad < 0 {
			if f != nil {
				f.Skipped = skipped
			}
			return f, err
		}
		p := &parts[bad]
		if a.moved(ctx, &p.Row, err) {
			continue
		}
		// The rest is worth playing without it.
		whole := p.State == Done
		p.State = Damaged
		a.log.Warn("a recording cannot be read, and is left out of what is played", slog.String("stream", p.Stream), slog.String("file", p.Name), slog.String("err", session.ErrorText(err, 256)))
		skipped = append(skipped, p.Name)
		if whole && isDamage(err) {
			if err := a.use(false, func(x *index) error { return x.setState(p.ID, Done, Damaged) }); err != nil {
				return nil, err
			}
		}
	}
}

// isDamage reports whether an error tells what is in a file, and not that it cannot be read now: a disk that is not mounted or fails for a
// while, or too many open files, make no recording a bad one.
func isDamage(err error) bool {
	return slices.ContainsFunc([]error{clip.ErrDamaged, errChanged, mp4.ErrForeign, mp4.ErrEmpty, mp4.ErrNoIndex}, func(e error) bool { return errors.Is(err, e) })
}

// moved reports whether a file that was not found is only in the storage since its row was read, and reads the row again then. Of one that somebody has removed
// the index learns so.
func (a *Archive) moved(ctx context.Context, r *Row, err error) bool {
	if r.State != Done || !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if isGone(r) {
		if err := a.use(false, func(x *index) error { return x.missing(r) }); err != nil {
			return false
		}
	}
	now, err := a.File(ctx, r.ID)
	if err != nil || now.State != Remote {
		return false
	}
	*r = now
	return true
}

// film makes a film of parts. If one of them cannot be read it returns its number, else -1.
func (a *Archive) film(ctx context.Context, who string, parts []Part, from, to time.Time, gaps string) (f *Film, bad int, err error) {
	var good []Part
	var at []int
	length, remote := time.Duration(0), false
	for i := range parts {
		p := &parts[i]
		remote = remote || p.State == Remote
		switch {
		case p.State == Damaged:
			continue
		case p.Format != formatMP4:
			return nil, -1, ErrFormat
		}
		good, at = append(good, parts[i]), append(at, i)
		length += parts[i].To.Sub(parts[i].From)
	}
	if len(good) == 0 {
		return nil, -1, fmt.Errorf("%w: what was recorded from %s to %s cannot be read", ErrNotFound, stamp(from), stamp(to))
	}
	whole := good[0].From.Equal(from)
	for i := 1; i < len(good); i++ {
		whole = whole && good[i].From.Equal(good[i-1].To)
	}
	if last := &good[len(good)-1]; !last.To.Equal(to) && last.State != Recording {
		whole = false
	}
	switch {
	case gaps == Error && !whole:
		return nil, -1, ErrGap
	case gaps == Hold:
		length = good[len(good)-1].To.Sub(from)
	}
	if length > MaxClip {
		return nil, -1, fmt.Errorf("%w: it has %v; ask for %v at a time", ErrQuery, length.Round(time.Second), MaxClip)
	}
	if p := &good[0]; remote && len(good) == 1 && p.From.Equal(p.Start) && p.To.Equal(p.End()) && (gaps != Hold || p.From.Equal(from)) {
		return &Film{Elsewhere: p, Duration: p.Duration}, -1, nil
	}
	f = &Film{ctx: ctx, archive: a}
	defer func() {
		if err != nil {
			_ = f.Close()
			f = nil
		}
	}()
	if remote {
		select {
		case a.clips.fetched <- struct{}{}:
			f.free = func() { <-a.clips.fetched }
		default:
			return f, -1, ErrBusy
		}
	}
	tag := tagOf(good, from, gaps)
	m := a.clips.known(tag)
	if m == nil {
		turns := a.making
		if remote {
			turns = a.bringing
		}
		end, err := turns.begin(ctx, who)
		if err != nil {
			return f, -1, err
		}
		defer end()
		if m = a.clips.known(tag); m == nil {
			c, bad, err := a.cut(ctx, good, from, gaps)
			if bad >= 0 && good[bad].State == Remote && !errors.Is(err, clip.ErrDamaged) {
				return f, -1, a.storageError(ctx, &good[bad].Row, err)
			}
			if err != nil {
				if bad >= 0 {
					bad = at[bad]
				}
				return f, bad, err
			}
			m = &made{tag: tag, clip: c}
			a.clips.keep(m)
		}
	}
	f.Size, f.ETag, f.Duration, f.sources = m.clip.Size(), `"`+tag+`"`, m.clip.Duration, good
	f.ReadSeeker = m.clip.Reader(f.file)
	return f, -1, nil
}

// tagOf names the file that is made of parts: it is another one if any of them changes.
func tagOf(parts []Part, from time.Time, gaps string) string {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	fmt.Fprintln(h, "1", gaps)
	if gaps == Hold {
		number(from.UnixNano())
	}
	for i := range parts {
		p := &parts[i]
		fmt.Fprintln(h, p.ID)
		number(p.From.UnixNano())
		number(p.To.UnixNano())
		if p.State == Done || p.State == Remote {
			number(p.Bytes)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// cut makes the clip. If a file cannot be read it returns its number, else -1.
func (a *Archive) cut(ctx context.Context, parts []Part, from time.Time, gaps string) (*clip.Clip, int, error) {
	sources := make([]clip.Source, len(parts))
	before := from
	for i := range parts {
		p := &parts[i]
		x, err := a.fragments(ctx, &p.Row)
		if err != nil {
			return nil, i, err
		}
		sources[i] = clip.Source{
			Open: func() (clip.File, error) { return a.openAnywhere(ctx, &p.Row) }, Index: x, From: p.From.Sub(x.Start), To: p.To.Sub(x.Start),
		}
		if p.State == Remote {
			if last := &x.Fragments[len(x.Fragments)-1]; p.Bytes <= last.Offset+last.Size { // it was left in fragments
				return nil, -1, ErrFragments
			}
			sources[i].Size = p.Bytes
		}
		if gaps == Hold {
			sources[i].Gap = p.From.Sub(before)
		}
		before = p.To
	}
	c, err := clip.New(sources)
	var at *clip.SourceError
	switch {
	case err == nil:
		return c, -1, nil
	case errors.Is(err, clip.ErrCodecs):
		return nil, -1, ErrCodecs
	case errors.Is(err, clip.ErrTooLong):
		return nil, -1, fmt.Errorf("%w: it has too many frames; ask for less at a time", ErrQuery)
	case errors.Is(err, clip.ErrEmpty):
		return nil, -1, fmt.Errorf("%w: there is no frame in it", ErrNotFound)
	case errors.As(err, &at):
		return nil, at.Source, err
	}
	return nil, -1, err
}
