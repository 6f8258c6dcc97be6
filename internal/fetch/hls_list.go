package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/m3u8"
	"weir/format/mpegts"
)

// hlsList reads the segments of one media playlist.
type hlsList struct {
	s       *hlsSource
	url     *url.URL // as it was named: what it redirects to may be good for a moment only
	base    *url.URL // where it was found, which the URIs in it are relative to
	second  bool     // its sound comes in addition to another playlist's
	media   *m3u8.Media
	cut     bool // the playlist has segments behind those of media
	asked   time.Time
	changed bool   // the last request brought something new
	refused int    // requests in a row that failed
	next    uint64 // number of the next segment
	begun   bool
	ended   bool
	clock   hlsClock
	spot    *spot  // where it was left; nil: nobody remembers it
	given   string // name of the segment before next

	frames  []av.Frame
	demux   mpegts.Demuxer
	begin   beginning
	initial []byte // the initialization segment
	mapped  m3u8.Map
	key     hlsKey
	configs map[trackKey][]byte
	leftOut []string
	any     bool  // a segment was read
	failed  int   // segments in a row that could not be read
	failure error // of the last of them
	missed  int64 // segments that were gone before they were read
	gaps    int64 // segments that are missing: the server says so, or does not have them
	bad     int64 // segments that could not be read
}

// take takes a new version of the playlist.
func (l *hlsList) take(p *m3u8.Media, cut bool) {
	old := l.media
	l.asked, l.refused = time.Now(), 0
	if old != nil && p.MediaSequence < old.MediaSequence && continues(p, old) {
		l.changed = false // a cache has answered with an older version
		return
	}
	l.changed = old == nil || p.EndList || p.MediaSequence != old.MediaSequence || len(p.Segments) != len(old.Segments)
	l.media, l.cut = p, cut
	switch {
	case !l.begun:
	case old != nil && p.MediaSequence < old.MediaSequence, l.next > p.MediaSequence && l.next-p.MediaSequence > uint64(len(p.Segments)):
		l.rejoin() // the numbers begin again: the server was restarted
	case l.next < p.MediaSequence:
		l.missed += int64(min(p.MediaSequence-l.next, 1<<32))
		l.rejoin()
	}
	if !l.begun {
		l.begun = true
		l.next = p.MediaSequence + uint64(l.start(p))
		if old == nil && !p.EndList && l.spot.isIn(p) {
			l.next = max(l.next, l.spot.next)
		}
		l.clock.enter(l.s, epoch{l.clock.epoch.restarts, l.discontinuity(int(l.next - p.MediaSequence))})
	}
}

// continues reports whether a playlist with lower numbers is an earlier version of the other: a segment that both have
// is the same in both.
func continues(p, later *m3u8.Media) bool {
	i := later.MediaSequence - p.MediaSequence
	return i < uint64(len(p.Segments)) && len(later.Segments) > 0 && p.Segments[i].URI == later.Segments[0].URI
}

// rejoin gives up the place in the playlist: reading begins anew at its end.
func (l *hlsList) rejoin() {
	l.begun = false
	l.clock.epoch.restarts++
	l.add(l.demux.Flush(nil))
}

// start returns the index of the segment at which reading begins.
func (l *hlsList) start(p *m3u8.Media) int {
	if p.EndList {
		return 0
	}
	whole := len(p.Segments)
	if whole > 0 && !p.Segments[whole-1].Whole() {
		whole--
	}
	c := p.ServerControl
	if c == nil || c.HoldBack <= 0 {
		return max(whole-fromEnd, 0)
	}
	at := whole
	for back := time.Duration(0); at > 0 && back < c.HoldBack; at-- {
		back += p.Segments[at-1].Duration
	}
	return at
}

// discontinuity returns the discontinuity sequence number of what is before segment i of the playlist.
func (l *hlsList) discontinuity(i int) uint64 {
	n := l.media.DiscontinuitySequence
	for j := range min(i, len(l.media.Segments)) {
		if l.media.Segments[j].Discontinuity {
			n++
		}
	}
	return n
}

// load reads the playlist; query is added to that of its URL.
func (l *hlsList) load(query string) error {
	u := *l.url
	if query != "" {
		if u.RawQuery != "" {
			query = u.RawQuery + "&" + query
		}
		u.RawQuery = query
	}
	w := m3u8.Window{Size: maxListed}
	if l.begun {
		w.From = l.next
	}
	p, at, err := l.s.playlist(&u, w)
	if err == nil && p.Media == nil {
		err = m3u8.ErrKind
	}
	if err != nil {
		return fmt.Errorf("reading a media playlist: %w", err)
	}
	l.base = at
	l.take(p.Media, p.More)
	return nil
}

// reload is load of a playlist that was read before: a few failures are borne.
func (l *hlsList) reload(query string) error {
	err := l.load(query)
	if err == nil {
		return nil
	}
	l.asked, l.changed = time.Now(), false
	if l.refused++; l.refused >= maxFailed || l.s.ctx.Err() != nil || errors.Is(err, m3u8.ErrEncrypted) {
		return err
	}
	return nil
}

// target is the longest that a segment is.
func (l *hlsList) target() time.Duration { return time.Duration(l.media.TargetDuration) * time.Second }

// has reports whether the playlist has the next segment.
func (l *hlsList) has() bool {
	i := l.next - l.media.MediaSequence
	return i < uint64(len(l.media.Segments)) && l.media.Segments[i].Whole()
}

// more reads the next segment, or waits for it. The frames of those before have been taken.
func (l *hlsList) more() error {
	if l.spot != nil && l.given != "" {
		*l.spot = spot{l.next, l.given}
	}
	if l.has() && !l.media.EndList && time.Since(l.asked) >= max(l.target(), minReload) {
		if err := l.reload(""); err != nil { // what slides out of it is to be noticed in time
			return err
		}
	}
	if l.has() {
		i := int(l.next - l.media.MediaSequence)
		l.next++
		return l.segment(i)
	}
	if l.media.EndList && !l.cut {
		l.ended = true
		l.add(l.demux.Flush(nil))
		return nil
	}
	query, again := "", max(l.target()/2, minReload)
	if l.media.EndList {
		if again = 0; l.refused > 0 {
			again = minReload
		}
	} else if c := l.media.ServerControl; c != nil && c.CanBlockReload && l.refused == 0 {
		query = "_HLS_msn=" + strconv.FormatUint(l.next, 10) // the server holds the answer until there is something new
		if again = minReload; l.changed {
			again = 0
		}
	} else if l.changed {
		again = max(l.target(), minReload)
	}
	t := time.NewTimer(time.Until(l.asked.Add(again)))
	defer t.Stop()
	select {
	case <-l.s.ctx.Done():
		return l.s.ctx.Err()
	case <-t.C:
	}
	return l.reload(query)
}

// segment reads segment i of the playlist. One that cannot be read is a gap, unless too many in a row are.
func (l *hlsList) segment(i int) error {
	seg, number := &l.media.Segments[i], l.next-1
	l.given = segmentName(seg.URI)
	if seg.Discontinuity { // counted here: many servers do not number them as they slide out of the playlist
		l.add(l.demux.Flush(nil))
		l.clock.enter(l.s, epoch{l.clock.epoch.restarts, l.clock.epoch.discontinuity + 1})
	}
	if seg.Gap {
		l.gaps++
		l.leave(seg.Duration)
		return nil
	}
	err := l.read(i, number)
	switch {
	case l.s.ctx.Err() != nil:
		return l.s.ctx.Err()
	case err == nil:
		l.any, l.failed, l.clock.gap = true, 0, 0
		return nil
	}
	l.leave(seg.Duration)
	l.failed++
	l.failure = err
	if l.failed >= maxFailed {
		return err
	}
	return nil
}

// leave passes over a segment.
func (l *hlsList) leave(d time.Duration) {
	l.add(l.demux.Flush(nil)) // what follows does not continue it
	l.clock.gap += d
}

// read reads segment i, with its number.
func (l *hlsList) read(i int, number uint64) error {
	if err := l.initialize(i, number); err != nil {
		l.gaps++
		return fmt.Errorf("reading an initialization segment: %w", err)
	}
	b, err := l.resource(l.keyAt(i), number, l.media.Segments[i].URI, l.span(i), maxSegment)
	if err != nil {
		l.gaps++
		return fmt.Errorf("reading segment %d: %w", number, err)
	}
	switch {
	case l.initial != nil || isMP4(b):
		if err := l.fragment(b); err != nil {
			l.bad++
			return fmt.Errorf("segment %d is damaged: %w", number, err)
		}
	case isTS(b[:min(len(b), sniffSize)], len(b) <= sniffSize):
		l.add(l.begin.take(l.demux.EndSegment(l.demux.Demux(nil, b)), 0, true))
	default:
		l.bad++
		return fmt.Errorf("segment %d is neither MPEG-TS nor fragmented MP4", number)
	}
	return nil
}

// resource reads what a segment consists of, and decrypts it.
func (l *hlsList) resource(k *m3u8.Key, number uint64, uri string, span m3u8.ByteRange, most int64) ([]byte, error) {
	u, err := resolve(l.base, uri)
	if err != nil {
		return nil, err
	}
	b, _, err := l.s.fetch(u, span, most)
	if err != nil {
		return nil, err
	}
	return l.decrypt(k, number, b)
}

// span returns the byte range of segment i; a missing offset follows from the segments before.
func (l *hlsList) span(i int) m3u8.ByteRange {
	r := l.media.Segments[i].Range
	if r.Length == 0 || r.Offset >= 0 {
		return r
	}
	r.Offset = 0
	for j := i - 1; j >= 0 && l.media.Segments[j].URI == l.media.Segments[i].URI; j-- {
		before := l.media.Segments[j].Range
		r.Offset += before.Length
		if before.Offset >= 0 {
			r.Offset += before.Offset
			break
		}
	}
	return r
}

// initialize reads the initialization segment of segment i if it is a new one.
func (l *hlsList) initialize(i int, number uint64) error {
	var m *m3u8.Map
	at := i
	for ; at >= 0 && m == nil; at-- {
		m = l.media.Segments[at].Map
	}
	if m == nil || m.URI == l.mapped.URI && m.Range == l.mapped.Range {
		return nil
	}
	r := m.Range
	r.Offset = max(r.Offset, 0)
	key := m.Key
	if key == nil {
		key = l.keyAt(at + 1)
	}
	b, err := l.resource(key, number, m.URI, r, maxInit)
	if err != nil {
		return err
	}
	l.initial, l.mapped = b, *m
	return nil
}

// fragment reads a segment of fragmented MP4.
func (l *hlsList) fragment(b []byte) error {
	r, err := fmp4.NewReader(joined{l.initial, b}, int64(len(l.initial)+len(b)))
	if err != nil {
		return err
	}
	for _, name := range r.LeftOut() {
		if !slices.Contains(l.leftOut, name) && len(l.leftOut) < maxLeftOut {
			l.leftOut = append(l.leftOut, name)
		}
	}
	var frames []av.Frame
	for {
		f, err := r.Next()
		if err != nil {
			l.add(frames)
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		f.DTS += r.Start() // a reader's times begin at 0, the playlist's do not
		f.PTS += r.Start()
		frames = append(frames, *f)
	}
}

// joined is two pieces one behind the other, without a copy of the second one, which may be large.
type joined struct{ first, second []byte }

// ReadAt implements io.ReaderAt.
func (j joined) ReadAt(p []byte, at int64) (n int, err error) {
	for _, piece := range [][]byte{j.first, j.second} {
		if at < int64(len(piece)) && n < len(p) {
			n += copy(p[n:], piece[at:])
			at = 0
		} else {
			at -= min(at, int64(len(piece)))
		}
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// add takes frames, except configurations that are already known.
func (l *hlsList) add(frames []av.Frame) {
	l.clock.meet(l.s, frames)
	for _, f := range frames {
		if l.second && f.Kind == av.Audio && l.s.lists[0].configs[trackKey{av.Audio, f.Track}] != nil {
			f.Track++
		}
		if f.Type == av.Config {
			k := trackKey{f.Kind, f.Track}
			if bytes.Equal(l.configs[k], f.Payload) {
				continue
			}
			if l.configs == nil {
				l.configs = map[trackKey][]byte{}
			}
			l.configs[k] = f.Payload
		}
		l.frames = append(l.frames, f)
	}
}

// condition says what could not be read.
func (l *hlsList) condition() Condition {
	c := tsCondition(&l.demux)
	c.LeftOut = append(c.LeftOut, l.leftOut...)
	c.damage(l.missed, "segment", "gone before it could be read")
	c.damage(l.gaps, "segment", "missing")
	c.damage(l.bad, "segment", "damaged")
	return c
}
