package archive

import (
	"container/list"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"weir/format/mp4"
)

// maxIndexes bounds the fragments of all files whose list of them is kept in memory: 48 bytes each.
const maxIndexes = 1 << 20

// library keeps the lists of fragments of the files that were played last.
type library struct {
	mu    sync.Mutex // guards below
	byID  map[string]*list.Element
	order *list.List // of *volume, the one used last in front
	held  int        // fragments
}

// volume is the list of fragments of a file. It does not change but for used.
type volume struct {
	id    string
	size  int64 // of the file when it was read
	whole bool  // the file does not grow
	took  time.Duration
	read  time.Time
	index *mp4.Index
	used  time.Time // guarded by the library
}

func newLibrary() *library {
	return &library{byID: map[string]*list.Element{}, order: list.New()}
}

// forget drops what is known of a file.
func (l *library) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(id)
}

func (l *library) drop(id string) {
	if e := l.byID[id]; e != nil {
		l.held -= len(e.Value.(*volume).index.Fragments) //nolint:forcetypeassert // the list holds nothing else
		l.order.Remove(e)
		delete(l.byID, id)
	}
}

// known returns what is known of a file; nil for nothing.
func (l *library) known(id string) *volume {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byID[id]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	v := e.Value.(*volume) //nolint:forcetypeassert // the list holds nothing else
	v.used = time.Now()
	return v
}

// forgetIdle drops what nobody has asked for since a time.
func (l *library) forgetIdle(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.order.Len() > 0 {
		v := l.order.Back().Value.(*volume) //nolint:forcetypeassert // the list holds nothing else
		if !v.used.Before(since) {
			return
		}
		l.drop(v.id)
	}
}

func (l *library) keep(v *volume) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(v.id)
	v.used = time.Now()
	l.byID[v.id] = l.order.PushFront(v)
	l.held += len(v.index.Fragments)
	for l.held > maxIndexes && l.order.Len() > 1 {
		l.drop(l.order.Back().Value.(*volume).id) //nolint:forcetypeassert // the list holds nothing else
	}
}

// errChanged says that a file which was whole is another one now: what is known of its media is not true of it.
var errChanged = errors.New("somebody has changed the file")

// open opens a file, whole or being written.
func open(r *Row) (*os.File, error) {
	f, err := openIn(r.Dir, r.Name)
	if err == nil && r.State == Done {
		if info, err := f.Stat(); err != nil || info.Mode().IsRegular() && info.Size() != r.Bytes {
			return nil, errors.Join(errChanged, err, f.Close())
		}
	}
	if errors.Is(err, fs.ErrNotExist) && r.State == Recording {
		if f, err = openIn(r.Dir, r.Name+partial); errors.Is(err, fs.ErrNotExist) {
			f, err = openIn(r.Dir, r.Name) // it has just become whole
		}
	}
	return f, err
}

// The list of fragments of a file that grows is read again after leastAge at the earliest, and so that it takes
// no more than a twentieth of the time.
const (
	leastAge = 500 * time.Millisecond
	share    = 20
)

// index returns the list of fragments of a file. Of one that is being written it may be a little old.
func (l *library) index(r *Row) (*mp4.Index, error) {
	v := l.known(r.ID)
	if v != nil && (v.whole || r.State == Recording && time.Since(v.read) < max(leastAge, share*v.took)) {
		return v.index, nil
	}
	f, err := open(r)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if v != nil && !v.whole && r.State == Recording && v.size == info.Size() {
		l.keep(&volume{id: v.id, size: v.size, took: v.took, read: time.Now(), index: v.index})
		return v.index, nil
	}
	begin := time.Now()
	x, err := mp4.ReadIndex(f, info.Size())
	if err != nil {
		return nil, err
	}
	l.keep(&volume{id: r.ID, size: info.Size(), whole: r.State != Recording, took: time.Since(begin), read: time.Now(), index: x})
	return x, nil
}

// measure gives a file that is being written the duration and the size that it has by now.
func (l *library) measure(r *Row) {
	if r.Format != formatMP4 {
		if f, err := open(r); err == nil {
			if info, err := f.Stat(); err == nil {
				r.Bytes, r.Duration = info.Size(), max(time.Since(r.Start), 0)
			}
			_ = f.Close()
		}
		return
	}
	if x, err := l.index(r); err == nil && len(x.Fragments) > 0 {
		last := &x.Fragments[len(x.Fragments)-1]
		r.Duration, r.Bytes = last.Time+last.Duration, last.Offset+last.Size
	}
}
