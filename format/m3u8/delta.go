package m3u8

import (
	"errors"
	"slices"
	"time"
)

// versionSkip is the version that EXT-X-SKIP needs, versionSkipDateRanges the one that
// leaving out date ranges does (RFC 8216bis §8).
const (
	versionSkip           = 9
	versionSkipDateRanges = 10
)

// Delta returns a delta update of p (RFC 8216bis §4.4.5.2, §6.2.5.1): what lies before the
// skip boundary, ServerControl.CanSkipUntil before the end, is replaced by EXT-X-SKIP.
// With dateRanges (the request's _HLS_skip=v2), and if the server's control allows, the
// date ranges that began before the boundary are left out too. The result shares p's
// memory. It reports false, and p is to be sent, if there is nothing to leave out.
func (p *Media) Delta(dateRanges bool) (*Media, bool) {
	c := p.ServerControl
	if c == nil || c.CanSkipUntil <= 0 || p.Skip != nil {
		return p, false
	}
	n := 0
	for left := p.Duration(); n < len(p.Segments) && p.Segments[n].Whole(); n++ {
		if left -= p.Segments[n].Duration; left < c.CanSkipUntil {
			break
		}
	}
	if n == 0 {
		return p, false
	}
	d := *p
	d.Version = max(p.Version, versionSkip)
	d.Skip = &Skip{Segments: n}
	d.Segments = p.Segments[n:]
	if boundary := dateOf(p.Segments, n); dateRanges && c.CanSkipDateRanges && !boundary.IsZero() {
		d.Version = max(p.Version, versionSkipDateRanges)
		d.DateRanges = nil
		for _, r := range p.DateRanges {
			if !r.StartDate.Before(boundary) {
				d.DateRanges = append(d.DateRanges, r)
			}
		}
	}
	return &d, true
}

// dateOf returns the program date-time of segment i, zero if none before it tells.
func dateOf(segments []Segment, i int) time.Time {
	var since time.Duration
	for ; i >= 0; i-- {
		if i < len(segments) && !segments[i].ProgramDateTime.IsZero() {
			return segments[i].ProgramDateTime.Add(since)
		}
		if i > 0 {
			since += segments[i-1].Duration
		}
	}
	return time.Time{}
}

// ErrDelta is returned for a delta update that does not continue the playlist.
var ErrDelta = errors.New("m3u8: delta update does not fit the playlist before it")

// Complete returns the whole playlist of which p is a delta update, given the one that was
// loaded before; p itself if it is whole. It fails with ErrDelta if old does not hold what
// was skipped.
func (p *Media) Complete(old *Media) (*Media, error) {
	if p.Skip == nil {
		return p, nil
	}
	if old == nil || p.MediaSequence < old.MediaSequence || old.Skip != nil {
		return nil, ErrDelta
	}
	from := p.MediaSequence - old.MediaSequence
	if from > uint64(len(old.Segments)) || uint64(p.Skip.Segments) > uint64(len(old.Segments))-from {
		return nil, ErrDelta
	}
	skipped := slices.Clone(old.Segments[from : from+uint64(p.Skip.Segments)])
	for i := range skipped {
		if !skipped[i].Whole() {
			return nil, ErrDelta
		}
		skipped[i].Parts = nil // which a server no longer lists for segments this old
	}
	whole := *p
	whole.Skip = nil
	whole.Segments = append(skipped, p.Segments...)
	if first := &whole.Segments[0]; len(skipped) > 0 && first.Map == nil {
		first.Map = mapOf(old.Segments, int(from))
	}
	whole.DateRanges = nil
	for _, r := range old.DateRanges {
		removed := slices.Contains(p.Skip.RemovedDateRanges, r.ID)
		if !removed && !slices.ContainsFunc(p.DateRanges, func(o DateRange) bool { return o.ID == r.ID }) {
			whole.DateRanges = append(whole.DateRanges, r)
		}
	}
	whole.DateRanges = append(whole.DateRanges, p.DateRanges...)
	return &whole, nil
}

// mapOf returns the initialization in force at segment i.
func mapOf(segments []Segment, i int) *Map {
	for i = min(i, len(segments)-1); i >= 0; i-- {
		if segments[i].Map != nil {
			return segments[i].Map
		}
	}
	return nil
}
