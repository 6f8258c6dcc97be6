package hls

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/av"
	"weir/format/m3u8"
)

// Text is a playlist as it is sent. It is made once for all who ask for the same, and does not change.
type Text struct {
	Plain []byte
	// Gzip is Plain compressed.
	Gzip []byte
	// ETag and GzipETag tell versions apart; both are quoted.
	ETag, GzipETag string
	Target         time.Duration
	// Ended says that the playlist will not change any more.
	Ended bool
}

// Skip says which delta update is asked for.
type Skip uint8

// The delta updates of _HLS_skip.
const (
	Whole Skip = iota
	SkipSegments
	SkipDateRanges
)

type cacheKey struct {
	version uint64
	skip    Skip
}

// Rendition returns the rendition of a name, nil if there is none.
func (p *Packager) Rendition(name string) *Rendition {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.renditions {
		if r.name == name {
			return r
		}
	}
	return nil
}

// Playlist renders the media playlist as it is now, or returns what was rendered before of
// the same version. It fails with ErrNothing if there is no segment.
func (r *Rendition) Playlist(skip Skip) (*Text, error) {
	c := &r.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	p := r.p
	p.mu.Lock()
	key := cacheKey{r.version, skip}
	if t := c.made[key]; t != nil {
		p.mu.Unlock()
		return t, nil
	}
	list := r.playlist()
	p.mu.Unlock()
	if list == nil {
		return nil, ErrNothing
	}
	if skip != Whole {
		list, _ = list.Delta(skip == SkipDateRanges)
	}
	plain := list.Append(make([]byte, 0, 4096))
	tag := fmt.Sprintf("%s-%s-%d-%d", p.id, r.name, key.version, skip)
	t := &Text{
		Plain: plain, Gzip: compress(plain), ETag: `"` + tag + `"`, GzipETag: `"` + tag + `-gz"`,
		Target: time.Duration(list.TargetDuration) * time.Second, Ended: list.EndList,
	}
	for k := range c.made {
		if k.version != key.version {
			delete(c.made, k)
		}
	}
	if c.made == nil {
		c.made = map[cacheKey]*Text{}
	}
	c.made[key] = t
	return t, nil
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is valid
	_, _ = w.Write(b)                                 // a Buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// playlist makes the playlist's data; nil if there is no segment. The packager's lock is held.
func (r *Rendition) playlist() *m3u8.Media {
	p := r.p
	listed := r.segments[min(r.listed, len(r.segments)):]
	if !p.settled || len(listed) == 0 || !listed[0].whole && len(listed[0].parts) == 0 {
		return nil
	}
	target := p.pace.target
	out := &m3u8.Media{
		Version: 6, TargetDuration: int(target / time.Second), MediaSequence: listed[0].number,
		DiscontinuitySequence: r.dropped, IndependentSegments: p.pace.regular || r.lead.kind == av.Audio,
		EndList: p.ended,
		ServerControl: &m3u8.ServerControl{
			CanBlockReload: true, CanSkipUntil: 6 * target, HoldBack: 3 * target,
		},
		Segments: make([]m3u8.Segment, 0, len(listed)),
	}
	if p.pace.part > 0 {
		out.PartTarget = p.pace.part
		out.ServerControl.PartHoldBack = 3 * p.pace.part
	}
	var init *initialization
	left := time.Duration(0)
	for _, s := range listed {
		left += round(s.duration)
	}
	for _, s := range listed {
		left -= round(s.duration)
		if !s.whole && (p.pace.part == 0 || len(s.parts) == 0) {
			continue
		}
		seg := m3u8.Segment{Discontinuity: s.discontinuity, ProgramDateTime: s.date}
		if s.whole {
			seg.Duration, seg.URI = round(s.duration), r.nameOf(s, -1)
		}
		if s.init != init {
			init = s.init
			seg.Map = &m3u8.Map{URI: r.initName(init)}
		}
		if p.pace.part > 0 && left <= partsListed*target {
			for i, t := range s.parts {
				seg.Parts = append(seg.Parts, m3u8.Part{Duration: round(t.duration), URI: r.nameOf(s, i), Independent: t.independent})
			}
		}
		out.Segments = append(out.Segments, seg)
	}
	if len(out.Segments) == 0 {
		return nil
	}
	if p.pace.part > 0 && !p.ended {
		n := Name{ID: p.id, Rendition: r.name, Kind: KindPart, Number: r.next, Ext: r.box.ext()}
		if s := r.openSegment(); s != nil {
			n.Number, n.Part = s.number, len(s.parts)
		}
		out.PreloadHints = []m3u8.PreloadHint{{Type: m3u8.HintPart, URI: n.String()}}
	}
	if !p.ended {
		r.report(out)
	}
	out.DateRanges = p.events.ranges(listed[0].date)
	return out
}

// report adds how far the other renditions are.
func (r *Rendition) report(out *m3u8.Media) {
	for _, o := range r.p.renditions {
		s := o.last()
		if o == r || s == nil {
			continue
		}
		report := m3u8.RenditionReport{URI: o.PlaylistName(), LastPart: -1}
		if r.p.pace.part > 0 {
			if len(s.parts) == 0 && len(o.segments) > 1 {
				s = o.segments[len(o.segments)-2]
			}
			report.LastPart = max(len(s.parts)-1, 0)
		} else if !s.whole && s.number > 0 {
			s = o.segments[max(len(o.segments)-2, 0)]
		}
		report.LastMSN = s.number
		out.RenditionReports = append(out.RenditionReports, report)
	}
}

// round gives durations a length that people can read.
func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// PlaylistName returns the name of the rendition's playlist.
func (r *Rendition) PlaylistName() string {
	return Name{ID: r.p.id, Rendition: r.name, Ext: ".m3u8"}.String()
}

func (r *Rendition) nameOf(s *segment, part int) string {
	n := Name{ID: r.p.id, Rendition: r.name, Kind: KindSegment, Number: s.number, Ext: r.box.ext()}
	if part >= 0 {
		n.Kind, n.Part = KindPart, part
	}
	return n.String()
}

func (r *Rendition) initName(i *initialization) string {
	return Name{ID: r.p.id, Rendition: r.name, Kind: KindInit, Number: uint64(i.number), Ext: ".mp4"}.String()
}

// Position is a point in a playlist that a request wants to be there: a whole segment, or
// one of its parts.
type Position struct {
	Number uint64
	Part   int // -1: the whole segment
}

// ErrFar says that a request asks for more of the future than it may (RFC 8216bis §6.2.5.2).
var ErrFar = errors.New("hls: the playlist will not be that far soon")

// Wait waits until the playlist holds a position, or the stream has ended. It fails with
// ErrFar at once, and with ErrNothing when ctx or HoldTime ends before.
func (r *Rendition) Wait(ctx context.Context, at Position) error {
	p := r.p
	var h hold
	defer h.end()
	for {
		p.mu.Lock()
		p.shown = true
		if p.ended || p.shut || r.holds(at) {
			p.mu.Unlock()
			return nil
		}
		if r.far(at) {
			p.mu.Unlock()
			return ErrFar
		}
		wake := h.begin(r)
		p.mu.Unlock()
		if !h.wait(ctx, wake) {
			return ErrNothing
		}
	}
}

// hold is the wait of one request. Its time runs from the first change that it waits for.
type hold struct{ timer *time.Timer }

// begin returns what is closed at the rendition's next change. The packager's lock is held.
func (h *hold) begin(r *Rendition) <-chan struct{} {
	if h.timer == nil {
		h.timer = time.NewTimer(r.holdTime())
	}
	r.waiting = true
	return r.wake
}

// wait reports false when the request has waited for long enough, or is gone.
func (h *hold) wait(ctx context.Context, wake <-chan struct{}) bool {
	select {
	case <-wake:
		return true
	case <-h.timer.C:
	case <-ctx.Done():
	}
	return false
}

func (h *hold) end() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// Holds reports whether the playlist holds a position, so that Wait would not wait.
func (r *Rendition) Holds(at Position) bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.ended || r.holds(at)
}

// holds is Holds for a stream that has not ended. The packager's lock is held.
func (r *Rendition) holds(at Position) bool {
	last := r.last()
	if last == nil || at.Number > last.number+1 {
		return false
	}
	if at.Number < last.number {
		if at.Part < 0 || at.Number+1 < last.number {
			return true
		}
		// A part behind a segment's last is the first of the next (§6.2.5.2).
		s := r.find(at.Number)
		return s == nil || at.Part < len(s.parts) || last.whole || len(last.parts) > 0
	}
	if at.Number == last.number+1 {
		return false
	}
	if last.whole {
		return at.Part < len(last.parts)
	}
	return at.Part >= 0 && at.Part < len(last.parts)
}

// far reports whether a position is beyond what may be waited for.
func (r *Rendition) far(at Position) bool {
	whole, parts := r.next, 0 // the number after the last whole segment, and the parts behind it
	if s := r.openSegment(); s != nil {
		whole, parts = s.number, len(s.parts)
	}
	if at.Number > whole+1 { // the last segment's number and 2
		return true
	}
	limit := 3
	if t := r.p.pace.part; t > 0 && t < time.Second {
		limit = int((3*time.Second + t - 1) / t)
	}
	if at.Part < 0 {
		return false
	}
	if at.Number == whole {
		return at.Part >= parts+limit
	}
	return at.Number > whole && at.Part >= limit
}

// HoldTime is how long a request may wait at most: three target durations.
func (r *Rendition) HoldTime() time.Duration {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.holdTime()
}

// holdTime is HoldTime. The packager's lock is held.
func (r *Rendition) holdTime() time.Duration { return max(3*r.p.pace.target, 3*time.Second) }

// Media is the bytes of what a name names: in pieces, or in a file.
type Media struct {
	ContentType string
	Pieces      []Piece
	File        string // if it is not empty there are no pieces
}

// Media returns what a name names. If it is the part that comes next, it waits for it. It
// fails with ErrUnknown, and with ErrNothing when ctx or the rendition's HoldTime ends before.
func (p *Packager) Media(ctx context.Context, n Name) (m Media, err error) {
	r := p.Rendition(n.Rendition)
	if r == nil || n.ID != p.id || n.Kind == KindPlaylist {
		return m, ErrUnknown
	}
	m.ContentType = "video/mp4"
	if r.box.ext() == ".ts" {
		m.ContentType = "video/mp2t"
	}
	if n.Kind == KindInit {
		m.Pieces, err = r.initialization(n)
		return m, err
	}
	if n.Ext != r.box.ext() {
		return m, ErrUnknown
	}
	var h hold
	defer h.end()
	for {
		p.mu.Lock()
		s := r.find(n.Number)
		switch {
		case s == nil:
		case n.Kind == KindSegment && s.whole && s.isStored():
			m.Pieces = s.pieces()
		case n.Kind == KindSegment && s.whole:
			m.File = s.file
		case n.Kind == KindPart && n.Part < len(s.parts) && s.isStored():
			m.Pieces = []Piece{s.parts[n.Part].data}
		}
		next := n.Kind == KindPart && !p.ended && !p.shut && p.running && r.comesNext(n)
		if m.Pieces != nil || m.File != "" || !next {
			p.mu.Unlock()
			break
		}
		wake := h.begin(r)
		p.mu.Unlock()
		if !h.wait(ctx, wake) {
			return m, ErrNothing
		}
	}
	if m.Pieces == nil && m.File == "" {
		return m, ErrUnknown
	}
	return m, nil
}

// Hinted reports whether a name is that of the part that comes next, for which Media would wait.
func (p *Packager) Hinted(n Name) bool {
	r := p.Rendition(n.Rendition)
	if r == nil || n.Kind != KindPart {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.ended && p.running && r.comesNext(n)
}

// comesNext reports whether n is the part that is hinted. The packager's lock is held.
func (r *Rendition) comesNext(n Name) bool {
	if s := r.openSegment(); s != nil {
		return n.Number == s.number && n.Part == len(s.parts)
	}
	return n.Number == r.next && n.Part == 0
}

// find returns a stored segment. The packager's lock is held.
func (r *Rendition) find(number uint64) *segment {
	if len(r.segments) == 0 || number < r.segments[0].number {
		return nil
	}
	if i := number - r.segments[0].number; i < uint64(len(r.segments)) {
		return r.segments[i]
	}
	return nil
}

func (r *Rendition) initialization(n Name) ([]Piece, error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	for _, i := range r.inits {
		if uint64(i.number) == n.Number && strings.EqualFold(n.Ext, ".mp4") {
			return []Piece{ofBytes(i.data)}, nil
		}
	}
	return nil, ErrUnknown
}
