package archive

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"weir/format/m3u8"
)

// listKey is what a playlist is of: of a range, or, with event, of all from a time on until a life of the stream ends.
type listKey struct {
	stream, recording, link string
	from, to                time.Time
	event                   bool
	life                    uint64 // epoch of the stream
	target                  int    // target duration in seconds
}

// text is a playlist as it is sent.
type text struct {
	plain, gzip []byte
	tag         string
	// What stands before and behind the place where a tag may be put in, compressed each on its own, so that neither is again for each viewer.
	place       int
	front, rest []byte
}

func newText(b []byte) *text {
	t := &text{plain: b, place: max(bytes.Index(b, []byte("#EXT-X-MEDIA-SEQUENCE")), 0)}
	t.front, t.rest = deflate(b[:t.place], false), deflate(b[t.place:], true)
	t.seal(nil, b)
	return t
}

// deflate compresses a piece of a playlist; pieces that follow one another are one stream.
func deflate(b []byte, last bool) []byte {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 5) // the level is one there is
	_, _ = w.Write(b)              // to memory
	if last {
		_ = w.Close()
	} else {
		_ = w.Flush()
	}
	return z.Bytes()
}

// seal makes the answers of the pieces, with a line between them. name is what their tag is made of.
func (t *text) seal(line, name []byte) {
	sum := sha256.Sum256(name)
	t.tag = `"` + hex.EncodeToString(sum[:8]) + `"`
	t.gzip = append(t.gzip, 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255) // RFC 1952
	t.gzip = append(t.gzip, t.front...)
	if len(line) > 0 {
		t.gzip = append(t.gzip, deflate(line, false)...)
	}
	t.gzip = append(t.gzip, t.rest...)
	t.gzip = binary.LittleEndian.AppendUint32(t.gzip, crc32.ChecksumIEEE(t.plain))
	t.gzip = binary.LittleEndian.AppendUint32(t.gzip, uint32(len(t.plain)))
}

// size is how many bytes it takes.
func (t *text) size() int {
	if t == nil {
		return 0
	}
	return len(t.plain) + 2*len(t.gzip)
}

// withStart is the playlist with a tag that tells players where to begin: those of ffmpeg and Chromium look for it here alone.
func (t *text) withStart(s *m3u8.Start) *text {
	line := s.Append(nil)
	n := &text{plain: slices.Concat(t.plain[:t.place], line, t.plain[t.place:]), front: t.front, rest: t.rest}
	n.seal(line, append([]byte(t.tag), line...))
	return n
}

// Bounds of the playlists that are kept.
const (
	maxLists     = 256
	maxListBytes = 64 << 20
	// keptTime is for how long one is kept that nobody asks for.
	keptTime = 5 * time.Minute
)

// playlists are those that were asked for last: all who ask for one get the same.
type playlists struct {
	mu    sync.Mutex // guards below
	byKey map[listKey]*playlist
	bytes int
}

// playlist is one of them.
type playlist struct {
	// Guarded by the list's lock.
	used time.Time
	held int // bytes

	mu      sync.Mutex // guards below; held while it is made
	made    time.Time
	whole   bool   // it does not change any more
	sign    string // tells whether it has changed
	full    *text
	delta   *text
	numbers numbers
	marks   []mark
	length  time.Duration
}

// How long a playlist is given out without looking whether it has changed.
const (
	growingAge = time.Second
	wholeAge   = 10 * time.Second
)

// get returns a playlist as it is now. who asks for it takes turns with others.
func (l *playlists) get(ctx context.Context, p *Player, who string, key listKey) (*playlist, error) {
	l.mu.Lock()
	e := l.byKey[key]
	if e == nil {
		if len(l.byKey) >= maxLists {
			l.forgetOldest()
		}
		e = &playlist{}
		l.byKey[key] = e
	}
	e.used = time.Now()
	l.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	age := time.Since(e.made)
	if e.full == nil || age > wholeAge || !e.whole && age > growingAge {
		if err := e.make(ctx, p, who, &key); err != nil {
			return nil, err
		}
		l.weigh(key, e)
	}
	return e, nil
}

// weigh counts what a playlist takes by now, for which others may have to go. The playlist's lock is held.
func (l *playlists) weigh(key listKey, e *playlist) {
	const markSize = 32
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey[key] != e {
		return
	}
	l.bytes -= e.held
	e.held = e.full.size() + e.delta.size() + markSize*len(e.marks)
	for l.bytes += e.held; l.bytes > maxListBytes && len(l.byKey) > 1; {
		l.forgetOldest()
	}
}

// forgetIdle forgets the playlists that nobody has asked for since a time.
func (l *playlists) forgetIdle(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, e := range l.byKey {
		if e.used.Before(since) {
			l.forget(k)
		}
	}
}

// forget forgets a playlist. mu is held.
func (l *playlists) forget(k listKey) {
	l.bytes -= l.byKey[k].held
	delete(l.byKey, k)
}

// forgetOldest forgets the playlist that nobody has asked for for longest. mu is held.
func (l *playlists) forgetOldest() {
	var oldest listKey
	first := true
	for k, e := range l.byKey {
		if first || e.used.Before(l.byKey[oldest].used) {
			oldest, first = k, false
		}
	}
	l.forget(oldest)
}

// text returns the playlist, or the update for those who have its beginning.
func (e *playlist) text(skip bool) *text {
	e.mu.Lock()
	defer e.mu.Unlock()
	if skip && e.delta != nil {
		return e.delta
	}
	return e.full
}

// startAt tells players to begin with a date.
func (e *playlist) startAt(date time.Time) *m3u8.Start {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := startAt(e.marks, date, max(0, e.length-nearly)); s != nil {
		return s
	}
	return &m3u8.Start{Precise: true} // without it they would begin near the end
}

// make makes the playlist again if it has changed. mu is held.
func (e *playlist) make(ctx context.Context, p *Player, who string, key *listKey) error {
	now := time.Now()
	to := key.to
	if key.event {
		to = key.from.Add(maxShift)
	}
	look := p.archive.Range
	if key.event {
		look = p.archive.Recent
	}
	parts, err := p.archive.inTurn(ctx, who, func() ([]Part, error) { return look(ctx, key.stream, key.recording, key.from, to) })
	if err != nil {
		return err
	}
	if err := p.archive.fetchIndexes(ctx, who, parts); err != nil {
		return err
	}
	end, err := p.archive.making.begin(ctx, who)
	if err != nil {
		return err
	}
	defer end()
	ended := true
	if key.event {
		parts, ended = p.following(parts, key, to)
	}
	w, err := p.write(ctx, parts, key, ended)
	if err != nil {
		return err
	}
	if len(w.Segments) == 0 {
		return fmt.Errorf("%w: nothing of this stream was recorded since %s", ErrNotFound, stamp(key.from))
	}
	e.made, e.whole = now, ended && parts[len(parts)-1].State != Recording
	e.numbers.put(w)
	if sign := fmt.Sprint(e.numbers, ended, len(parts)); sign != e.sign || e.full == nil {
		e.sign, e.full, e.delta = sign, newText(w.Append(nil)), nil
		e.marks, e.length = w.marks, w.Duration()
		if d, ok := delta(w.Media); ok {
			e.delta = newText(d.Append(nil))
		}
	}
	return nil
}

// numbers gives the segments of a playlist the same numbers again, also when files at its beginning are gone.
type numbers struct {
	gone, goneBreaks uint64 // segments and discontinuities that are not listed any more
	count, breaks    int    // that are
	last             string // the last of them, and where it is in its file
	offset           int64
}

// put numbers the segments of a new version.
func (n *numbers) put(w *written) {
	kept, keptBreaks, breaks := 0, 0, 0
	for i := range w.Segments {
		s := &w.Segments[i]
		if s.Discontinuity {
			breaks++
		}
		if s.URI == n.last && w.offsets[i] == n.offset {
			kept, keptBreaks = i+1, breaks
		}
	}
	n.gone += uint64(max(0, n.count-kept))
	n.goneBreaks += uint64(max(0, n.breaks-keptBreaks))
	w.MediaSequence, w.DiscontinuitySequence = n.gone, n.goneBreaks
	end := len(w.Segments) - 1
	n.count, n.breaks, n.last, n.offset = end+1, breaks, w.Segments[end].URI, w.offsets[end]
}

// following returns what of parts a playlist has that goes on until a life of the stream ends, and whether that is all
// there will be. A stream that came online again has another life.
func (p *Player) following(parts []Part, key *listKey, to time.Time) ([]Part, bool) {
	n := len(parts) - 1
	for n >= 0 && parts[n].Epoch != key.life {
		n--
	}
	if n < 0 { // what it was made for is gone
		return parts, true
	}
	last, later := &parts[n], n+1 < len(parts)
	ended := !last.To.Before(to) || last.State != Recording && (later || !p.lives(key.stream, key.life))
	return parts[:n+1], ended
}
