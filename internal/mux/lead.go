package mux

import (
	"sync"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/stream"
)

const (
	// leadFrames, leadPictures and leadBytes bound a lead. With a longer group of pictures players start
	// at its key frame, as if they had not asked for live. The frames are those of all tracks, and most
	// of them are sound, which a lead leaves out. The pictures are 20 s at 30 a second.
	leadFrames   = 2048
	leadPictures = 600
	leadBytes    = 8 << 20
	// leadStep is the time between two pictures in a lead.
	leadStep = time.Millisecond
	// leadFresh is how long players share a lead. They start at most that far behind live.
	leadFresh = 100 * time.Millisecond
	// leadBudget bounds the bytes of all leads not released yet.
	leadBudget = 128 << 20
)

// Leader is an Encoder whose messages depend on earlier ones, by counters for example.
type Leader interface {
	// Lead is called like Append. It returns a function that encodes frames to be sent before the
	// encoder's next message, and that is called once, without the stream's lock.
	Lead() func(entries []stream.Entry, out Output)
}

// leads makes the leads of one muxer.
type leads struct {
	mu    sync.Mutex // guards below; kept while a lead is made, so that players that come together share it
	last  *fanout.Lead
	until time.Time
}

// Lead returns a lead that puts a player at live: the newest key frame and the pictures since,
// squeezed to just before the log's head, without their sound. The caller joins with it or calls
// its Release. Lead returns nil if there is no key frame, or too much since.
func (m *Muxer) Lead() *fanout.Lead {
	m.leads.mu.Lock()
	defer m.leads.mu.Unlock()
	now := time.Now()
	if now.Before(m.leads.until) && m.leads.last != nil {
		m.leads.last.Hold()
		return m.leads.last
	}
	m.give()
	d := m.makeLead()
	if d == nil {
		return nil
	}
	d.Hold() // for the muxer, until the next lead or the end
	d.Hold()
	m.leads.last, m.leads.until = d, now.Add(leadFresh)
	time.AfterFunc(leadFresh, func() { m.dropStale(d) })
	return d
}

// give releases the muxer's own hold. leads.mu is held.
func (m *Muxer) give() {
	if d := m.leads.last; d != nil {
		m.leads.last = nil
		d.Release()
	}
}

// dropStale gives d up if it is too old to be shared.
func (m *Muxer) dropStale(d *fanout.Lead) {
	m.leads.mu.Lock()
	defer m.leads.mu.Unlock()
	if m.leads.last == d {
		m.give()
	}
}

func (m *Muxer) makeLead() *fanout.Lead {
	encode := func(entries []stream.Entry, out Output) {
		e := m.variant.NewEncoder()
		for i := range entries {
			e.Append(&entries[i], out)
		}
	}
	var to fanout.Point
	entries := m.stream.Recent(leadFrames, leadBytes, func() {
		to = m.log.Head()
		if l, ok := m.encoder.(Leader); ok {
			encode = l.Lead()
		}
	})
	if entries = squeeze(entries); len(entries) == 0 {
		return nil
	}
	var out leadOutput
	encode(entries, &out)
	size := int64(len(out.bytes))
	if size == 0 {
		return nil
	}
	if m.set.leadBytes.Add(size) > leadBudget {
		m.set.leadBytes.Add(-size)
		return nil
	}
	return &fanout.Lead{Bytes: out.bytes, To: to, Released: func() { m.set.leadBytes.Add(-size) }}
}

// squeeze returns the frames of the main video, moved to end at the newest one with a leadStep
// between two, in the order of display as well as of decoding. What is displayed after the newest
// frame is decoded keeps its time. Without video squeeze returns only the newest sound. It returns
// nothing if there are more than leadPictures.
func squeeze(entries []stream.Entry) []stream.Entry {
	if len(entries) == 0 {
		return nil
	}
	if entries[0].Kind != av.Video {
		last := entries[len(entries)-1]
		last.Sync = true
		return []stream.Entry{last}
	}
	video := entries[:0]
	for _, e := range entries {
		if e.Kind == av.Video && e.Track == entries[0].Track {
			video = append(video, e)
		}
	}
	if len(video) > leadPictures {
		return nil
	}
	first, head := video[0].DTS, video[len(video)-1].DTS
	if step := leadStep * time.Duration(len(video)-1); head-first > step {
		at := func(t time.Duration) time.Duration {
			if t >= head {
				return t
			}
			return head - time.Duration(float64(head-t)/float64(head-first)*float64(step))
		}
		for i := range video {
			f := &video[i].Frame
			f.DTS, f.PTS = at(f.DTS), at(f.PTS)
			video[i].Sync = i == 0
		}
	}
	return video
}

// leadOutput collects messages, from the first at which a player may start.
type leadOutput struct {
	bytes []byte
	begun bool
}

// Reserve implements Output.
func (o *leadOutput) Reserve(n int) []byte { return make([]byte, 0, n) }

// Commit implements Output.
func (o *leadOutput) Commit(b []byte, m fanout.Message) {
	if m.Sync && !o.begun {
		o.begun = true
		o.bytes = append(o.bytes, m.Preamble...)
	}
	if o.begun {
		o.bytes = append(o.bytes, b...)
	}
}
