package hls

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// disk keeps the segments of one packager in files, so that they need no memory once
// their parts are not listed any more. Files are written and removed one after the other on a
// goroutine that lives while there is something to do.
type disk struct {
	dir  string // the packager's own
	warn func(error)
	work sync.WaitGroup

	mu   sync.Mutex // guards below; a leaf
	jobs []func() error
	busy bool
}

// maxJobs bounds what waits for a slow disk; segments beyond stay in memory.
const maxJobs = 256

// do has a job done, later and in order. It reports false if too many wait.
func (d *disk) do(job func() error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.jobs) >= maxJobs {
		return false
	}
	d.jobs = append(d.jobs, job)
	if !d.busy {
		d.busy = true
		d.work.Go(d.run)
	}
	return true
}

// run does the jobs until there are none.
func (d *disk) run() {
	for {
		d.mu.Lock()
		if len(d.jobs) == 0 {
			d.busy = false
			d.mu.Unlock()
			return
		}
		job := d.jobs[0]
		d.jobs = d.jobs[1:]
		d.mu.Unlock()
		if err := job(); err != nil {
			d.warn(err)
		}
	}
}

// write makes a file of pieces. Nobody sees it before it is whole.
func (d *disk) write(name string, pieces []Piece) (file string, err error) {
	if err := os.MkdirAll(d.dir, 0o755); err != nil {
		return "", err
	}
	file = filepath.Join(d.dir, name)
	f, err := os.Create(file + ".part")
	if err != nil {
		return "", err
	}
	for _, p := range pieces {
		if _, err = f.Write(p.Bytes); err != nil {
			break
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return file, nil
}

// keep has a whole segment written to disk, if segments are kept there, and then it is done. The packager's lock is held.
func (r *Rendition) keep(s *segment) {
	p := r.p
	if p.disk == nil {
		r.done(s)
		return
	}
	name, pieces := r.nameOf(s, -1), s.pieces()
	later := p.disk.do(func() error {
		file, err := p.disk.write(name, pieces)
		defer p.tell()
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case err != nil: // it stays in memory
			r.done(s)
			return err
		case s.gone: // meanwhile
			return os.Remove(file)
		}
		s.file = file
		r.done(s)
		return nil
	})
	if !later {
		r.done(s)
	}
}

// unload gives up the memory of segments that are on disk and of which no part is listed.
// The packager's lock is held.
func (r *Rendition) unload() {
	if r.p.disk == nil {
		return
	}
	left := partsListed * r.p.pace.target
	for i := len(r.segments) - 1; i >= 0; i-- {
		s := r.segments[i]
		if left < 0 && s.file != "" && s.isStored() {
			for _, p := range s.parts {
				p.data = Piece{}
			}
		}
		left -= s.duration
	}
}

// discard gives a segment up. The packager's lock is held.
func (r *Rendition) discard(s *segment) {
	s.gone = true
	if file := s.file; file != "" {
		r.p.disk.do(func() error { return ignoreMissing(os.Remove(file)) })
	}
}
