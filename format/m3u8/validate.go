package m3u8

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrRule is wrapped by every error of Validate and ValidateUpdate.
var ErrRule = errors.New("m3u8: against the rules")

// check collects violations of the rules.
type check struct{ errs []error }

const maxErrs = 20

// that notes a breach unless ok.
func (c *check) that(ok bool, format string, args ...any) {
	if !ok && len(c.errs) < maxErrs {
		c.errs = append(c.errs, fmt.Errorf("%w: "+format, append([]any{ErrRule}, args...)...))
	}
}

func (c *check) result() error { return errors.Join(c.errs...) }

const (
	// tolerance is how much sums of rounded durations may be off.
	tolerance = 5 * time.Millisecond
	// leastPart is how much of the part target a part lasts at least, in percent (§4.4.3.7).
	leastPart = 85
)

// Validate returns what in p is against the rules that one playlist shows, joined, each
// wrapping ErrRule; nil if nothing is. Numbers of sections are RFC 8216bis's.
func (p *Media) Validate() error {
	var c check
	p.checkHead(&c)
	p.checkSegments(&c)
	p.checkParts(&c)
	p.checkNames(&c)
	p.checkDates(&c)
	return c.result()
}

// lowLatency reports whether the playlist is one of Low-Latency HLS.
func (p *Media) lowLatency() bool { return p.PartTarget > 0 }

func (p *Media) target() time.Duration { return time.Duration(p.TargetDuration) * time.Second }

// needs returns the version that what the playlist uses asks for (§8).
func (p *Media) needs() (version int, why string) {
	version = 1
	need := func(v int, cond bool, what string) {
		if cond && v > version {
			version, why = v, what
		}
	}
	for i := range p.Segments {
		s := &p.Segments[i]
		need(2, s.Key != nil && s.Key.IV != nil, "EXT-X-KEY with IV")
		need(3, s.Duration%time.Second != 0, "decimal EXTINF")
		need(4, s.Range.Length > 0, "EXT-X-BYTERANGE")
		need(5, s.Map != nil && p.IFramesOnly, "EXT-X-MAP")
		need(6, s.Map != nil && !p.IFramesOnly, "EXT-X-MAP")
		need(8, s.Gap, "EXT-X-GAP")
	}
	need(4, p.IFramesOnly, "EXT-X-I-FRAMES-ONLY")
	need(versionSkip, p.Skip != nil, "EXT-X-SKIP")
	need(versionSkipDateRanges, p.Skip != nil && len(p.Skip.RemovedDateRanges) > 0, "EXT-X-SKIP without date ranges")
	return version, why
}

func (p *Media) checkHead(c *check) {
	need, why := p.needs()
	c.that(max(p.Version, 1) >= need, "EXT-X-VERSION is %d, and %s needs %d (§8)", max(p.Version, 1), why, need)
	c.that(p.TargetDuration > 0, "EXT-X-TARGETDURATION is not positive (§4.4.3.1)")
	c.that(len(p.Segments) > 0, "there are no segments")
	if p.Start != nil && !p.EndList {
		c.that(p.Start.Offset.Abs() <= p.Duration(), "EXT-X-START is outside of the playlist (§4.4.2.2)")
	}
	if s := p.ServerControl; s != nil {
		c.that(s.HoldBack == 0 || s.HoldBack >= 3*p.target(), "HOLD-BACK %v is less than 3 target durations (§4.4.3.8)", s.HoldBack)
		c.that(s.CanSkipUntil == 0 || s.CanSkipUntil >= 6*p.target(), "CAN-SKIP-UNTIL %v is less than 6 target durations (§4.4.3.8)", s.CanSkipUntil)
		c.that(!s.CanSkipDateRanges || s.CanSkipUntil > 0, "CAN-SKIP-DATERANGES without CAN-SKIP-UNTIL (§4.4.3.8)")
		c.that(s.PartHoldBack == 0 || s.PartHoldBack >= 2*p.PartTarget, "PART-HOLD-BACK %v is less than 2 part targets (§4.4.3.8)", s.PartHoldBack)
	}
	if p.lowLatency() {
		c.that(p.ServerControl != nil && p.ServerControl.PartHoldBack > 0, "EXT-X-PART-INF without PART-HOLD-BACK (§4.4.3.8)")
		c.that(p.ServerControl != nil && p.ServerControl.CanBlockReload, "Low-Latency HLS without CAN-BLOCK-RELOAD (appendix B.1)")
		c.that(p.PartTarget <= p.target(), "part target %v is more than the target duration (§4.4.3.7)", p.PartTarget)
	}
	if p.Skip != nil {
		c.that(p.Skip.Segments > 0, "EXT-X-SKIP of no segments (§4.4.5.2)")
		c.that(p.ServerControl != nil && p.ServerControl.CanSkipUntil > 0, "EXT-X-SKIP without CAN-SKIP-UNTIL (§4.4.5.2)")
		c.that(p.ServerControl == nil || p.Duration() >= p.ServerControl.CanSkipUntil, "EXT-X-SKIP of segments behind the skip boundary (§6.2.5.1)")
	}
}

func (p *Media) checkSegments(c *check) {
	mapped := p.Skip != nil || len(p.Segments) > 0 && p.Segments[0].Map != nil
	for i := range p.Segments {
		s := &p.Segments[i]
		number := p.MediaSequence + uint64(p.skipped()+i)
		if !s.Whole() {
			c.that(i == len(p.Segments)-1, "segment %d has no URI", number)
			c.that(partsDuration(s.Parts).Round(time.Second) <= p.target(), "parts of segment %d are longer than the target duration (§4.4.3.1)", number)
			continue
		}
		c.that(s.Duration > 0, "EXTINF of segment %d is not positive (§4.4.4.1)", number)
		c.that(s.Duration.Round(time.Second) <= p.target(), "EXTINF %v of segment %d is more than the target duration (§4.4.3.1)", s.Duration, number)
		c.that(s.Map == nil || mapped, "EXT-X-MAP only from segment %d on (§4.4.4.5)", number)
		if mp4 := strings.Contains(s.URI, ".m4s") || strings.Contains(s.URI, ".mp4"); mp4 {
			c.that(mapped, "segment %d is MP4 without EXT-X-MAP (§3.3)", number)
		}
		if len(s.Parts) > 0 {
			off := s.Duration - partsDuration(s.Parts)
			c.that(off.Abs() <= tolerance, "parts of segment %d last %v, and it %v (§4.4.4.9)", number, partsDuration(s.Parts), s.Duration)
		}
	}
}

func (p *Media) checkParts(c *check) {
	after := p.Duration() // from the segment's end to the end of the playlist
	for i := range p.Segments {
		s := &p.Segments[i]
		after -= s.length()
		number := p.MediaSequence + uint64(p.skipped()+i)
		c.that(len(s.Parts) == 0 || p.lowLatency(), "EXT-X-PART without EXT-X-PART-INF (§4.4.4.9)")
		c.that(len(s.Parts) == 0 || after <= 3*p.target(), "parts of segment %d, %v before the end (§6.2.2)", number, after)
		for j := range s.Parts {
			t := &s.Parts[j]
			c.that(t.Duration > 0 && t.Duration <= p.PartTarget, "part %d.%d lasts %v, the target is %v (§4.4.3.7)", number, j, t.Duration, p.PartTarget)
			if j < len(s.Parts)-1 { // of the last one known it shows only with the next whether it is the last
				c.that(t.Duration*100 >= p.PartTarget*leastPart, "part %d.%d lasts %v, less than %d %% of %v (§4.4.3.7)", number, j, t.Duration, leastPart, p.PartTarget)
			}
			c.that(j > 0 || !p.IndependentSegments || t.Independent, "part %d.0 is not independent, and segments are (§4.4.2.1)", number)
		}
	}
	hints := map[string]int{}
	for _, h := range p.PreloadHints {
		hints[h.Type]++
		c.that(hints[h.Type] == 1, "several hints of type %s (§4.4.5.3)", h.Type)
		c.that(h.Type == HintPart || h.Type == HintMap, "hint of type %.20q (§4.4.5.3)", h.Type)
		c.that(!p.EndList, "a hint in a playlist that has ended (§4.4.5.3)")
	}
	for _, r := range p.RenditionReports {
		c.that(!p.lowLatency() || r.LastPart >= 0, "report of %s without LAST-PART (§4.4.5.4)", r.URI)
	}
}

// checkNames finds names that stand for two things.
func (p *Media) checkNames(c *check) {
	type name struct {
		uri string
		ByteRange
	}
	seen := map[name]bool{}
	take := func(uri string, r ByteRange) {
		n := name{uri, r}
		c.that(!seen[n], "%s is used twice", uri)
		seen[n] = true
	}
	for i := range p.Segments {
		s := &p.Segments[i]
		for j := range s.Parts {
			take(s.Parts[j].URI, s.Parts[j].Range)
		}
		if s.Whole() && !(len(s.Parts) == 1 && s.Parts[0].URI == s.URI && s.Parts[0].Range == s.Range) {
			take(s.URI, s.Range)
		}
	}
	for _, h := range p.PreloadHints {
		c.that(!seen[name{h.URI, ByteRange{h.Length, h.Start}}] && !seen[name{uri: h.URI}], "hint of %s, which is there (§4.4.5.3)", h.URI)
	}
	reports := map[string]bool{}
	for _, r := range p.RenditionReports {
		c.that(!reports[r.URI], "%s is reported twice (§4.4.5.4)", r.URI)
		reports[r.URI] = true
	}
}

func (p *Media) checkDates(c *check) {
	var last time.Time
	dated := false
	for i := range p.Segments {
		if t := p.Segments[i].ProgramDateTime; !t.IsZero() {
			dated = true
			c.that(!t.Before(last), "program date-time goes back at segment %d (§4.4.4.6)", p.MediaSequence+uint64(p.skipped()+i))
			last = t
		}
	}
	c.that(dated || len(p.DateRanges) == 0, "date ranges without program date-time (§4.4.5.1)")
	for i := range p.DateRanges {
		d := &p.DateRanges[i]
		c.that(d.ID != "" && !d.StartDate.IsZero(), "date range without ID or START-DATE (§4.4.5.1)")
		c.that(d.EndDate.IsZero() || !d.EndDate.Before(d.StartDate), "date range %s ends before it begins (§4.4.5.1)", d.ID)
		c.that(d.Duration == nil || *d.Duration >= 0, "date range %s has a negative duration (§4.4.5.1)", d.ID)
		c.that(d.PlannedDuration == nil || *d.PlannedDuration >= 0, "date range %s has a negative planned duration (§4.4.5.1)", d.ID)
		if d.Duration != nil && !d.EndDate.IsZero() {
			c.that(d.StartDate.Add(*d.Duration).Sub(d.EndDate).Abs() <= tolerance, "date range %s has a duration and another end (§4.4.5.1)", d.ID)
		}
		c.that(!d.EndOnNext || d.Class != "" && d.Duration == nil && d.EndDate.IsZero(), "date range %s: END-ON-NEXT asks for a class, no duration and no end (§4.4.5.1)", d.ID)
		for _, o := range p.DateRanges[:i] {
			same := o.StartDate.Equal(d.StartDate) && o.Class == d.Class && slices.Equal(o.SCTE35Out, d.SCTE35Out)
			c.that(o.ID != d.ID || same, "date ranges of ID %s contradict each other (§4.4.5.1)", d.ID)
		}
	}
}
