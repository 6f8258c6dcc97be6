package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/m3u8"
	"weir/format/mpegts"
)

// hlsList reads the segments of one media playlist.
type hlsList struct {
	s      *hlsSource
	url    *url.URL
	second bool // its sound comes in addition to another playlist's
	media  *m3u8.Media
	asked  time.Time
	next   uint64 // number of the next segment
	begun  bool
	ended  bool

	frames  []av.Frame
	demux   mpegts.Demuxer
	initial []byte // the initialization segment
	mapped  m3u8.Map
	configs map[clockKey][]byte
	leftOut []string
	missed  int64 // segments that were gone before they were read
	gaps    int64 // segments that the server says are missing
	bad     int64 // segments that could not be read
}

// take takes a new version of the playlist.
func (l *hlsList) take(p *m3u8.Media) {
	l.media, l.asked = p, time.Now()
	whole := len(p.Segments)
	if whole > 0 && !p.Segments[whole-1].Whole() {
		whole--
	}
	if l.begun && l.next > p.MediaSequence && l.next-p.MediaSequence > uint64(len(p.Segments)) {
		l.begun = false // the numbers begin again: the server was restarted
		l.add(l.demux.Flush(nil))
	}
	if !l.begun {
		l.begun = true
		l.next = p.MediaSequence
		if !p.EndList {
			l.next += uint64(max(whole-fromEnd, 0))
		}
	}
	if l.next < p.MediaSequence {
		l.missed += int64(p.MediaSequence - l.next)
		l.next = p.MediaSequence
	}
}

// reload reads the playlist again.
func (l *hlsList) reload() error {
	b, at, err := l.s.fetch(l.url, m3u8.ByteRange{}, m3u8.MaxSize)
	if err != nil {
		return fmt.Errorf("reading a media playlist: %w", err)
	}
	p, err := m3u8.ParseMedia(b)
	if err != nil {
		return fmt.Errorf("reading a media playlist: %w", err)
	}
	l.url = at
	l.take(p)
	return nil
}

// more reads the next segment, or waits for it.
func (l *hlsList) more() error {
	p := l.media
	if i := l.next - p.MediaSequence; i < uint64(len(p.Segments)) && p.Segments[i].Whole() {
		l.next++
		return l.segment(int(i))
	}
	if p.EndList {
		l.ended = true
		l.add(l.demux.Flush(nil))
		return nil
	}
	again := max(time.Duration(p.TargetDuration)*time.Second/2, minReload)
	t := time.NewTimer(time.Until(l.asked.Add(again)))
	defer t.Stop()
	select {
	case <-l.s.ctx.Done():
		return l.s.ctx.Err()
	case <-t.C:
	}
	return l.reload()
}

// segment reads segment i of the playlist.
func (l *hlsList) segment(i int) error {
	seg := &l.media.Segments[i]
	if seg.Discontinuity {
		l.add(l.demux.Flush(nil))
	}
	if seg.Gap {
		l.gaps++
		return nil
	}
	if err := l.initialize(i); err != nil {
		return fmt.Errorf("reading an initialization segment: %w", err)
	}
	u, err := resolve(l.url, seg.URI)
	if err != nil {
		return err
	}
	b, _, err := l.s.fetch(u, l.span(i), maxSegment)
	if err != nil {
		return fmt.Errorf("reading segment %d: %w", l.next-1, err)
	}
	switch {
	case l.initial != nil || isMP4(b):
		if err := l.fragment(b); err != nil {
			l.bad++
		}
	case isTS(b[:min(len(b), sniffSize)], len(b) <= sniffSize):
		l.add(l.demux.Demux(nil, b))
	default:
		return fmt.Errorf("segment %d is neither MPEG-TS nor fragmented MP4", l.next-1)
	}
	return nil
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
func (l *hlsList) initialize(i int) error {
	var m *m3u8.Map
	for ; i >= 0 && m == nil; i-- {
		m = l.media.Segments[i].Map
	}
	if m == nil || *m == l.mapped {
		return nil
	}
	u, err := resolve(l.url, m.URI)
	if err != nil {
		return err
	}
	r := m.Range
	r.Offset = max(r.Offset, 0)
	b, _, err := l.s.fetch(u, r, maxInit)
	if err != nil {
		return err
	}
	l.initial, l.mapped = b, *m
	return nil
}

// fragment reads a segment of fragmented MP4.
func (l *hlsList) fragment(b []byte) error {
	whole := append(slices.Clone(l.initial), b...)
	r, err := fmp4.NewReader(bytes.NewReader(whole), int64(len(whole)))
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

// add takes frames, except configurations that are already known.
func (l *hlsList) add(frames []av.Frame) {
	for _, f := range frames {
		if l.second && f.Kind == av.Audio && l.s.lists[0].configs[clockKey{av.Audio, f.Track}] != nil {
			f.Track++
		}
		if f.Type == av.Config {
			k := clockKey{f.Kind, f.Track}
			if bytes.Equal(l.configs[k], f.Payload) {
				continue
			}
			if l.configs == nil {
				l.configs = map[clockKey][]byte{}
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
	c.damage(l.gaps, "segment", "missing, as the playlist says")
	c.damage(l.bad, "segment", "damaged")
	return c
}
