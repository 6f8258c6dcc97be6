package m3u8

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxLine is the longest line of a playlist that Read reads, and so the longest URI, in bytes.
const MaxLine = 8 << 10

// Window says how much of a playlist Read keeps.
type Window struct {
	// Size is about how much memory the segments may take, or the variants and renditions, in bytes. A single segment is always kept.
	Size int
	// From is the number of the first segment that is wanted of a playlist that has ended. If it has none like that, it is not the one
	// that From is of.
	From uint64
}

// Playlist is what Read has read: one of Media and Multivariant is not nil.
type Playlist struct {
	Media        *Media
	Multivariant *Multivariant
	// More says that Media's last segment is not the playlist's last one, but as much as there was room for.
	More bool
}

// Read reads a playlist of either kind, line by line, and keeps as much of it as a reader of whole segments needs who comes again for the rest: of
// a playlist that has ended the first segments from w.From on, of others the last ones. MediaSequence, DiscontinuitySequence, keys, initializations
// and byte ranges are then those of the segments that are kept. Titles, parts, date ranges, hints and reports are left out.
// It fails with the errors of ParseMedia and ParseMultivariant, with ErrTooLong also for a line beyond MaxLine and for more variants than fit into w.Size,
// or with that of r.
func Read(r io.Reader, w Window) (*Playlist, error) {
	media := mediaParser{seen: map[string]bool{}, window: &window{Window: w}}
	multi := multivariantParser{seen: map[string]bool{}, most: w.Size}
	var notMedia, notMulti error
	err := readLines(r, func(name, value string) error {
		if notMedia == nil {
			notMedia = media.line(name, value)
		}
		if notMulti == nil {
			notMulti = multi.line(name, value)
		}
		switch {
		case notMedia != nil && !errors.Is(notMedia, ErrKind):
			return notMedia
		case notMedia != nil:
			return notMulti
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if notMedia == nil {
		p, err := media.end()
		if err != nil {
			return nil, err
		}
		return &Playlist{Media: p, More: media.window.more}, nil
	}
	p, err := multi.end()
	if err != nil {
		return nil, err
	}
	return &Playlist{Multivariant: p}, nil
}

// readLines is scan of what a reader returns.
func readLines(r io.Reader, line func(name, value string) error) error {
	in := bufio.NewReaderSize(r, MaxLine+len("\r\n"))
	for number, size := 1, 0; ; number++ {
		b, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull) || len(bytes.TrimRight(b, "\r\n")) > MaxLine:
			return fmt.Errorf("%w: line %d has over %d bytes", ErrTooLong, number, MaxLine)
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if size += len(b); size > MaxSize {
			return ErrTooLong
		}
		if len(b) == 0 && number == 1 {
			return syntax("it is empty")
		}
		if len(b) > 0 {
			if bad := scanNumbered(string(b), number, line); bad != nil {
				return bad
			}
		}
		if err != nil {
			return nil
		}
	}
}

// segmentSize is about the memory that a segment takes besides its texts, in bytes.
const segmentSize = 160

// window is what Read keeps of the segments: until the end it is not known whether the first or the last ones are wanted.
type window struct {
	Window
	head, tail pane
	full       bool // there is no more room in head
	more       bool
}

// pane is some of a playlist's segments in a row.
type pane struct {
	begun           bool
	first           uint64 // number of the first of them
	discontinuities uint64 // before it
	segments        []Segment
	dropped         int // of segments, at the front
	size            int
}

func (p *pane) kept() []Segment { return p.segments[p.dropped:] }

// add takes the playlist's next segment.
func (w *window) add(p *Media, s Segment) {
	for _, to := range []*pane{&w.head, &w.tail} {
		if !to.begun {
			to.begun, to.first, to.discontinuities = true, p.MediaSequence, p.DiscontinuitySequence
		}
	}
	w.tail.push(s)
	for w.tail.size > w.Size && len(w.tail.kept()) > 1 {
		w.tail.drop()
	}
	if w.full {
		return
	}
	w.head.push(s)
	for w.head.first < w.From && len(w.head.kept()) > 1 {
		w.head.drop()
	}
	if w.head.size > w.Size && len(w.head.kept()) > 1 {
		w.full = true
		w.head.segments = w.head.segments[:len(w.head.segments)-1]
	}
}

// fill gives the playlist the segments that are kept.
func (w *window) fill(p *Media) {
	from := &w.tail
	if end := from.first + uint64(len(from.kept())); p.EndList && w.From <= end {
		from, w.more = &w.head, w.full
	}
	if from.begun {
		p.MediaSequence, p.DiscontinuitySequence, p.Segments = from.first, from.discontinuities, slices.Clone(from.kept())
	}
}

func (p *pane) push(s Segment) {
	if len(p.segments) == cap(p.segments) && p.dropped > len(p.segments)/2 { // there is room in front
		n := copy(p.segments, p.kept())
		clear(p.segments[n:])
		p.segments, p.dropped = p.segments[:n], 0
	}
	p.segments = append(p.segments, s)
	p.size += memory(&s)
}

// memory is about how much a segment takes.
func memory(s *Segment) int {
	n := segmentSize + len(s.URI)
	if s.Map != nil {
		n += segmentSize + len(s.Map.URI)
	}
	if s.Key != nil {
		n += segmentSize + len(s.Key.URI)
	}
	return n
}

// drop leaves the first segment out. What holds from it on is then said of the next one, which there must be.
func (p *pane) drop() {
	s, next := &p.kept()[0], &p.kept()[1]
	p.size -= memory(s) + memory(next)
	if s.Discontinuity {
		p.discontinuities++
	}
	if next.Map == nil && s.Map != nil {
		m := *s.Map
		if m.Key == nil {
			m.Key = s.Key
		}
		next.Map = &m
	}
	if next.Key == nil {
		next.Key = s.Key
	}
	if next.Range.Length > 0 && next.Range.Offset < 0 && next.URI == s.URI {
		next.Range.Offset = max(s.Range.Offset, 0) + s.Range.Length
	}
	p.size += memory(next)
	p.first++
	*s = Segment{} // its texts are not to stay in memory for as long as the slice
	p.dropped++
}
