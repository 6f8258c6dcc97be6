package archive

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

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
	opt          Options
	log          *slog.Logger
	media        *library
	clips        *clips
	making       *turns // to compute from files that are here
	bringing     *turns // to compute from what has to be read from storage
	outages      outages
	uploads      *uploads
	woken        chan struct{} // tells Run that a file is whole
	damagedFound chan struct{} // tells Run that the index was found damaged

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
	a := &Archive{
		opt: opt, log: opt.Log, media: newLibrary(), clips: newClips(), making: newTurns(computing), bringing: newTurns(computingRemote),
		woken: make(chan struct{}, 1), damagedFound: make(chan struct{}, 1),
	}
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
		a.index.closeClean()
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
		case a.damagedFound <- struct{}{}:
		default:
		}
	}
	a.mu.Unlock()
	return fmt.Errorf("%w (%w)", ErrIndexing, err)
}
