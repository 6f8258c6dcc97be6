package m3u8

import (
	"slices"
	"time"
)

// ValidateUpdate returns what a playlist that was loaded after old has against the rules of
// changing one (RFC 8216bis §6.2.1, §6.2.2), joined, each wrapping ErrRule. Neither may be
// a delta update: Complete makes it whole.
func ValidateUpdate(old, p *Media) error {
	var c check
	c.that(old.Skip == nil && p.Skip == nil, "delta updates cannot be compared")
	if len(c.errs) > 0 {
		return c.result()
	}
	c.that(p.TargetDuration == old.TargetDuration, "the target duration changed from %d to %d (§6.2.1)", old.TargetDuration, p.TargetDuration)
	c.that(p.PartTarget == old.PartTarget, "the part target changed from %v to %v (§4.4.3.7)", old.PartTarget, p.PartTarget)
	c.that(p.Type == old.Type, "the playlist's type changed (§6.2.1)")
	// A live stream may turn out not to keep it: taking it back is better than to lie.
	c.that(!p.IndependentSegments || old.IndependentSegments, "EXT-X-INDEPENDENT-SEGMENTS was added")
	c.that(p.MediaSequence >= old.MediaSequence, "the media sequence went back from %d to %d (§6.2.2)", old.MediaSequence, p.MediaSequence)
	c.that(p.DiscontinuitySequence >= old.DiscontinuitySequence, "the discontinuity sequence went back (§6.2.2)")
	c.that(old.end().notBehind(p.end()), "the playlist lost its end: %v, then %v (§6.2.1)", old.end(), p.end())
	c.that(!old.EndList || p.EndList, "a playlist that had ended goes on (§6.2.1)")
	c.that(!old.EndList || old.end() == p.end(), "a playlist that had ended grew (§6.2.1)")
	if p.MediaSequence >= old.MediaSequence {
		compareSegments(&c, old, p)
	}
	compareNames(&c, old, p)
	return c.result()
}

// end is the last thing in a playlist: how many whole segments come before it ever, and how
// many parts there are of the one that is not whole.
type end struct {
	segments uint64
	parts    int
}

func (p *Media) end() end {
	e := end{segments: p.MediaSequence + uint64(p.skipped()+len(p.Segments))}
	if n := len(p.Segments); n > 0 && !p.Segments[n-1].Whole() {
		e.segments--
		e.parts = len(p.Segments[n-1].Parts)
	}
	return e
}

// notBehind reports whether o is not before e.
func (e end) notBehind(o end) bool {
	return o.segments > e.segments || o.segments == e.segments && o.parts >= e.parts
}

func compareSegments(c *check, old, p *Media) {
	removed := p.MediaSequence - old.MediaSequence
	gone := old.Segments[:min(removed, uint64(len(old.Segments)))]
	if len(gone) > 0 && p.Type != "" {
		c.that(false, "segments were removed from a playlist of type %s (§6.2.2)", p.Type)
	}
	jumps := uint64(0)
	for i := range gone {
		if gone[i].Discontinuity {
			jumps++
		}
	}
	if removed <= uint64(len(old.Segments)) {
		c.that(p.DiscontinuitySequence == old.DiscontinuitySequence+jumps, "the discontinuity sequence is %d, was %d, and %d discontinuities were removed (§6.2.2)",
			p.DiscontinuitySequence, old.DiscontinuitySequence, jumps)
	}
	if removed > 0 && !p.EndList {
		c.that(p.Duration() >= 3*p.target(), "segments were removed, and %v are left: less than 3 target durations (§6.2.2)", p.Duration())
	}
	for i, a := range old.Segments[len(gone):] {
		if i >= len(p.Segments) {
			break
		}
		number := p.MediaSequence + uint64(i)
		b := &p.Segments[i]
		c.that(a.Discontinuity == b.Discontinuity, "EXT-X-DISCONTINUITY of segment %d changed (§6.2.1)", number)
		c.that(a.ProgramDateTime.IsZero() || b.ProgramDateTime.IsZero() || a.ProgramDateTime.Equal(b.ProgramDateTime), "the date of segment %d changed (§6.2.1)", number)
		was, is := mapOf(old.Segments, len(gone)+i), mapOf(p.Segments, i)
		if was != nil || is != nil {
			c.that(was != nil && is != nil && *was == *is, "EXT-X-MAP of segment %d changed (§6.2.1)", number)
		}
		if a.Whole() {
			c.that(a.URI == b.URI && a.Duration == b.Duration && a.Range == b.Range, "segment %d changed (§6.2.1)", number)
		}
		if len(b.Parts) > 0 || !b.Whole() {
			n := min(len(a.Parts), len(b.Parts))
			c.that(slices.Equal(a.Parts[:n], b.Parts[:n]) && len(b.Parts) >= len(a.Parts), "parts of segment %d changed (§6.2.1)", number)
		}
	}
}

// compareNames finds new resources under old names, and hints that led nowhere.
func compareNames(c *check, old, p *Media) {
	seen := map[string]bool{}
	for i := range old.Segments {
		s := &old.Segments[i]
		seen[s.URI] = true
		for j := range s.Parts {
			seen[s.Parts[j].URI] = true
		}
	}
	since := old.end()
	first := ""       // the part that came first after old
	complete := false // old listed all parts of the segment at its end
	for i := range p.Segments {
		s := &p.Segments[i]
		number := p.MediaSequence + uint64(i)
		if number == since.segments && s.Whole() {
			complete = since.parts > 0 && len(s.Parts) == since.parts
		}
		for j := range s.Parts {
			if number < since.segments || number == since.segments && j < since.parts {
				continue
			}
			if first == "" && (number == since.segments && j == since.parts || complete && number == since.segments+1 && j == 0) {
				first = s.Parts[j].URI
			}
			c.that(s.Parts[j].Range.Length > 0 || !seen[s.Parts[j].URI], "part %d.%d is named %s, as something before (§6.2.1)", number, j, s.Parts[j].URI)
		}
		if s.Whole() && number >= since.segments && s.Range.Length == 0 {
			c.that(!seen[s.URI], "segment %d is named %s, as something before (§6.2.1)", number, s.URI)
		}
	}
	for _, h := range old.PreloadHints {
		if h.Type == HintPart && first != "" && old.end() != p.end() {
			c.that(first == h.URI, "%s was hinted, and %s came (§6.2.6)", h.URI, first)
		}
	}
}

// History checks every playlist that is loaded of one stream, in the order in which they
// were made, and remembers all names: none may ever be used for something else.
// The zero value is ready. It is not safe for concurrent use.
type History struct {
	last  *Media
	names map[string]uint64 // what segment a name belongs to
	dates map[uint64]time.Time
}

// Add checks p by itself and after those before it. A delta update is completed first.
func (h *History) Add(p *Media) error {
	var c check
	if err := p.Validate(); err != nil {
		return err
	}
	whole, err := p.Complete(h.last)
	if err != nil {
		return err
	}
	if h.last != nil {
		if err := ValidateUpdate(h.last, whole); err != nil {
			return err
		}
	}
	if h.names == nil {
		h.names, h.dates = map[string]uint64{}, map[uint64]time.Time{}
	}
	use := func(uri string, number uint64) {
		if n, ok := h.names[uri]; ok {
			c.that(n == number, "%s was in segment %d, and is in segment %d (§6.2.1)", uri, n, number)
		}
		h.names[uri] = number
	}
	for i := range whole.Segments {
		s := &whole.Segments[i]
		number := whole.MediaSequence + uint64(i)
		if s.Whole() && s.Range.Length == 0 {
			use(s.URI, number)
		}
		for j := range s.Parts {
			if s.Parts[j].Range.Length == 0 {
				use(s.Parts[j].URI, number)
			}
		}
		if d := s.ProgramDateTime; !d.IsZero() {
			was, ok := h.dates[number]
			c.that(!ok || was.Equal(d), "the date of segment %d changed (§6.2.1)", number)
			h.dates[number] = d
		}
	}
	h.last = whole
	return c.result()
}
