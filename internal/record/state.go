package record

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is how a recording is.
type State struct {
	Stream    string
	Recording string
	Format    string
	State     string // "off", "waiting" for its first frame, "recording", "failing" until a file can be written again
	Origin    Origin // of what started it; empty if it never ran
	ID        string // of the file, the newest one if it is off
	Next      string // after Cut: id of the file that begins at the next key frame
	File      string // its path, below Dir
	Dir       string
	Start     time.Time // of the file
	Duration  time.Duration
	Bytes     int64
	Dropped   int64  // frames that are in no file
	Error     string // why it fails
}

// List returns the recordings of a stream, those that do not run too, by name; of all streams if path is empty, those that run.
func (m *Manager) List(path string) ([]State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []State{}
	if path == "" {
		for _, x := range m.sets {
			for _, r := range x.running {
				list = append(list, r.state())
			}
		}
	} else {
		s := m.opt.Stream(path)
		if s == nil {
			return nil, fmt.Errorf("%w: %s", ErrNoStream, path)
		}
		x := m.sets[s]
		for _, c := range m.opt.Entries(path) {
			st := State{Stream: path, Recording: c.Name, Format: c.Format, Dir: c.Dir, State: "off"}
			if x != nil {
				if r := x.running[c.Name]; r != nil {
					st = r.state()
				} else if was, ok := x.stopped[c.Name]; ok {
					st = was
				}
			}
			list = append(list, st)
		}
	}
	slices.SortFunc(list, func(a, b State) int {
		if c := strings.Compare(a.Stream, b.Stream); c != 0 {
			return c
		}
		return strings.Compare(a.Recording, b.Recording)
	})
	return list, nil
}

// stopping reports whether the recording was told to stop or is over.
func (r *recording) stopping() bool {
	select {
	case <-r.over:
		return true
	default:
	}
	return r.wasStopped()
}

// wasStopped reports whether the recording was told to stop.
func (r *recording) wasStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// state returns how the recording is.
func (r *recording) state() State {
	p := r.config()
	r.mu.Lock()
	defer r.mu.Unlock()
	st := State{
		Stream: r.stream.Path(), Recording: r.name, Format: p.Format, Dir: p.Dir, State: "waiting", Origin: r.origin, ID: r.id, Dropped: r.lost,
	}
	switch {
	case r.failing != nil:
		st.State, st.Error = "failing", r.failing.Error()
	case r.present != nil:
		o := r.present
		size, long, _ := o.state()
		f := o.about()
		st.State, st.Start, st.Duration, st.Bytes = "recording", f.Start, long, size
		st.File, st.Dir, st.Format = f.Name, f.Dir, f.Format
	case r.newest.ID == r.id:
		f := &r.newest
		st.File, st.Dir, st.Format, st.Start, st.Duration, st.Bytes = f.Name, f.Dir, f.Format, f.Start, f.Duration, f.Bytes
	}
	return st
}
