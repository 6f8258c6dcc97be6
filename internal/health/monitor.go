package health

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/stream"
)

const (
	// lookEvery is how often each stream is looked at.
	lookEvery = time.Second
	// holdTime is how long a fault must be away to be over, so that one that comes and goes is told once.
	holdTime = 5 * time.Second
	// warnSilence is for how long a publisher must have sent nothing for Changed to be told: many pause for less.
	warnSilence = 5 * time.Second
)

// Options are what a monitor needs.
type Options struct {
	// Streams returns the streams that there are.
	Streams func() []*stream.Stream
	// Changed, if not nil, is told of faults that appear and are over, but not of information, not of those that are
	// over because the publisher has gone, and not of a silence of less than 5 seconds. It is called by Run's goroutine alone, and must not block.
	Changed func(Change)
}

// Change is a fault that has appeared, or is over.
type Change struct {
	Path    string
	Finding Finding
	// Over says that it is over.
	Over bool
	// Healthy says that no fault is left.
	Healthy bool
}

// Monitor looks at all streams once a second. Its methods are safe for concurrent use.
type Monitor struct {
	opt   Options
	begun time.Time

	mu      sync.Mutex // guards below; a leaf
	streams map[string]*watched
}

// watched is one stream with a publisher.
type watched struct {
	watch *watch // Run's goroutine's own

	// Guarded by Monitor.mu.
	status   Status
	findings []held
}

// held is a finding, and when it was last found.
type held struct {
	Finding
	seen time.Duration
	told bool // Changed was told of it
}

// Status is what a stream that has a publisher does now.
type Status struct {
	Path          string
	Players       int
	Bitrate       int64         // bits per second over the last two seconds
	FrameRate     float64       // pictures a second over the last ten seconds or more; 0 before, and while there are gaps
	KeyInterval   time.Duration // the time between the newest two key frames, or since the newest one if that is longer
	Width, Height int           // of the picture; 0: unknown
	Faults        int           // findings that are not for information
}

// NewMonitor returns a monitor, which does nothing before Run.
func NewMonitor(o Options) *Monitor {
	return &Monitor{opt: o, begun: time.Now(), streams: map[string]*watched{}}
}

// Run looks at the streams until ctx ends. It returns nil.
func (m *Monitor) Run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			m.look()
		}
	}
}

// Findings returns what is to be said now of the stream at path: the faults first, and each of them in
// the order in which they appeared. It is empty for a stream without a publisher.
func (m *Monitor) Findings(path string) []Finding {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Finding{}
	if w := m.streams[path]; w != nil {
		for i := range w.findings {
			list = append(list, w.findings[i].Finding)
		}
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		if a.Info != b.Info {
			if b.Info {
				return -1
			}
			return 1
		}
		return a.Since.Compare(b.Since)
	})
	return list
}

// Statuses returns what the streams with a publisher do, ordered by path.
func (m *Monitor) Statuses() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Status, 0, len(m.streams))
	for _, w := range m.streams {
		list = append(list, w.status)
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Path, b.Path) })
	return list
}

// FrameRate returns how many pictures a second the stream at path has had over the last ten seconds or more; 0 if that
// cannot be said.
func (m *Monitor) FrameRate(path string) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.streams[path]; w != nil {
		return w.status.FrameRate
	}
	return 0
}

// Kinds yields each kind of fault, with the number of streams that have it now.
func (m *Monitor) Kinds(yield func(kind string, streams int)) {
	kinds := map[string]int{}
	m.mu.Lock()
	for _, w := range m.streams {
		var counted []string
		for i := range w.findings {
			if f := &w.findings[i]; !f.Info && !slices.Contains(counted, f.Kind) {
				counted = append(counted, f.Kind)
				kinds[f.Kind]++
			}
		}
	}
	m.mu.Unlock()
	for _, kind := range faults {
		yield(kind, kinds[kind])
	}
}

// look looks at all streams once.
func (m *Monitor) look() {
	now := time.Since(m.begun)
	live := map[string]bool{}
	var buf []stream.TrackStats
	for _, s := range m.opt.Streams() {
		st, h, tracks := s.Figures(buf[:0])
		buf = tracks
		if !st.Live {
			continue
		}
		live[s.Path()] = true
		w := m.of(s, &st, now)
		found := w.watch.look(now, &st, h, tracks)
		for _, c := range m.update(w, &st, found, now) {
			if m.opt.Changed != nil {
				m.opt.Changed(c)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.streams, func(path string, _ *watched) bool { return !live[path] })
}

// of returns what is known of a stream. A new publisher is watched anew; what was found of the one before
// stays until it is seen to be over.
func (m *Monitor) of(s *stream.Stream, st *stream.Stats, now time.Duration) *watched {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.streams[s.Path()]
	if w == nil || w.watch.stream != s {
		w = &watched{}
		m.streams[s.Path()] = w
	}
	if w.watch == nil || w.watch.publishers != st.Publishers {
		w.watch = newWatch(s, st, now)
	}
	return w
}

// update puts what was found into force, and returns what has changed.
func (m *Monitor) update(w *watched, st *stream.Stats, found []Finding, now time.Duration) (changes []Change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := w.watch.stream.Path()
	for i := range found {
		is := held{Finding: found[i], seen: now}
		at := slices.IndexFunc(w.findings, func(h held) bool { return h.Kind == is.Kind && h.Track == is.Track })
		if at < 0 {
			is.Since = time.Now()
			at, w.findings = len(w.findings), append(w.findings, is)
		} else {
			is.Since, is.told = w.findings[at].Since, w.findings[at].told
		}
		if !is.told && !is.Info && (is.Kind != KindStalled || st.Silent >= warnSilence) {
			is.told = true
			changes = append(changes, Change{Path: path, Finding: is.Finding})
		}
		w.findings[at] = is
	}
	w.findings = slices.DeleteFunc(w.findings, func(h held) bool {
		over := h.seen < now && (h.Kind == KindStalled || now-h.seen >= holdTime)
		if over && h.told {
			changes = append(changes, Change{Path: path, Finding: h.Finding, Over: true})
		}
		return over
	})
	faults, told := 0, 0
	for i := range w.findings {
		if !w.findings[i].Info {
			faults++
		}
		if w.findings[i].told {
			told++
		}
	}
	if n := len(changes); n > 0 && told == 0 {
		changes[n-1].Healthy = true
	}
	f := &w.watch.figures
	w.status = Status{
		Path: path, Players: st.Players, Bitrate: st.Bitrate, FrameRate: f.frameRate,
		KeyInterval: f.keyGap, Width: f.width, Height: f.height, Faults: faults,
	}
	return changes
}
