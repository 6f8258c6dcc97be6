package m3u8

import "strings"

// Append appends the playlist as text. Control characters in strings, and quotes where a
// string is quoted, are left out: a playlist cannot have them.
func (p *Media) Append(b []byte) []byte {
	b = appendHead(b, p.Version, p.IndependentSegments)
	b = appendUint(b, "#EXT-X-TARGETDURATION", uint64(max(p.TargetDuration, 0)))
	if p.Type != "" {
		b = appendURI(append(b, "#EXT-X-PLAYLIST-TYPE:"...), p.Type)
	}
	if p.IFramesOnly {
		b = appendLine(b, "#EXT-X-I-FRAMES-ONLY")
	}
	b = p.Start.Append(b)
	b = p.ServerControl.append(b)
	if p.PartTarget > 0 {
		l := tag(b, "#EXT-X-PART-INF")
		l.seconds("PART-TARGET", p.PartTarget)
		b = l.end()
	}
	b = appendUint(b, "#EXT-X-MEDIA-SEQUENCE", p.MediaSequence)
	if p.DiscontinuitySequence > 0 {
		b = appendUint(b, "#EXT-X-DISCONTINUITY-SEQUENCE", p.DiscontinuitySequence)
	}
	if p.Skip != nil {
		l := tag(b, "#EXT-X-SKIP")
		l.integer("SKIPPED-SEGMENTS", uint64(max(p.Skip.Segments, 0)))
		if len(p.Skip.RemovedDateRanges) > 0 {
			l.name("RECENTLY-REMOVED-DATERANGES")
			l.b = append(l.b, '"')
			for i, id := range p.Skip.RemovedDateRanges {
				if i > 0 {
					l.b = append(l.b, '\t')
				}
				l.b = appendText(l.b, id, true)
			}
			l.b = append(l.b, '"')
		}
		b = l.end()
	}
	for i := range p.DateRanges {
		b = p.DateRanges[i].append(b)
	}
	for i := range p.Segments {
		b = p.Segments[i].append(b)
	}
	for i := range p.PreloadHints {
		h := &p.PreloadHints[i]
		l := tag(b, "#EXT-X-PRELOAD-HINT")
		l.enum("TYPE", h.Type)
		l.quoted("URI", h.URI)
		l.positive("BYTERANGE-START", h.Start)
		l.positive("BYTERANGE-LENGTH", h.Length)
		b = l.end()
	}
	for i := range p.RenditionReports {
		r := &p.RenditionReports[i]
		l := tag(b, "#EXT-X-RENDITION-REPORT")
		l.quoted("URI", r.URI)
		l.integer("LAST-MSN", r.LastMSN)
		if r.LastPart >= 0 {
			l.integer("LAST-PART", uint64(r.LastPart))
		}
		b = l.end()
	}
	if p.EndList {
		b = appendLine(b, "#EXT-X-ENDLIST")
	}
	return b
}

func (c *ServerControl) append(b []byte) []byte {
	if c == nil {
		return b
	}
	l := tag(b, "#EXT-X-SERVER-CONTROL")
	l.yes("CAN-BLOCK-RELOAD", c.CanBlockReload)
	l.positiveSeconds("CAN-SKIP-UNTIL", c.CanSkipUntil)
	l.yes("CAN-SKIP-DATERANGES", c.CanSkipDateRanges)
	l.positiveSeconds("HOLD-BACK", c.HoldBack)
	l.positiveSeconds("PART-HOLD-BACK", c.PartHoldBack)
	return l.end()
}

func (s *Segment) append(b []byte) []byte {
	if s.Discontinuity {
		b = appendLine(b, "#EXT-X-DISCONTINUITY")
	}
	if k := s.Key; k != nil {
		l := tag(b, "#EXT-X-KEY")
		l.enum("METHOD", k.Method)
		if k.Method != MethodNone {
			l.quoted("URI", k.URI)
			if k.IV != nil {
				l.hex("IV", k.IV)
			}
		}
		b = l.end()
	}
	if s.Map != nil {
		l := tag(b, "#EXT-X-MAP")
		l.quoted("URI", s.Map.URI)
		l.quotedRange(s.Map.Range)
		b = l.end()
	}
	if !s.ProgramDateTime.IsZero() {
		b = append(appendTime(append(b, "#EXT-X-PROGRAM-DATE-TIME:"...), s.ProgramDateTime), '\n')
	}
	if s.Gap {
		b = appendLine(b, "#EXT-X-GAP")
	}
	if s.Bitrate > 0 {
		b = appendUint(b, "#EXT-X-BITRATE", uint64(s.Bitrate))
	}
	for i := range s.Parts {
		b = s.Parts[i].append(b)
	}
	if !s.Whole() {
		return b
	}
	b = append(appendSeconds(append(b, "#EXTINF:"...), s.Duration), ',')
	b = appendURI(b, s.Title)
	if s.Range.Length > 0 {
		b = append(appendRange(append(b, "#EXT-X-BYTERANGE:"...), s.Range), '\n')
	}
	return appendURI(b, s.URI)
}

func (t *Part) append(b []byte) []byte {
	l := tag(b, "#EXT-X-PART")
	l.seconds("DURATION", t.Duration)
	l.quoted("URI", t.URI)
	l.quotedRange(t.Range)
	l.yes("INDEPENDENT", t.Independent)
	l.yes("GAP", t.Gap)
	return l.end()
}

func (d *DateRange) append(b []byte) []byte {
	l := tag(b, "#EXT-X-DATERANGE")
	l.quoted("ID", d.ID)
	l.quoted("CLASS", d.Class)
	l.date("START-DATE", d.StartDate)
	l.date("END-DATE", d.EndDate)
	if d.Duration != nil {
		l.seconds("DURATION", *d.Duration)
	}
	if d.PlannedDuration != nil {
		l.seconds("PLANNED-DURATION", *d.PlannedDuration)
	}
	for _, a := range d.Extra {
		if quoted, ok := strings.CutPrefix(a.Value, `"`); ok {
			l.name(a.Name)
			l.b = append(appendText(append(l.b, '"'), strings.TrimSuffix(quoted, `"`), true), '"')
		} else {
			l.enum(a.Name, a.Value)
		}
	}
	l.hex("SCTE35-CMD", d.SCTE35Cmd)
	l.hex("SCTE35-OUT", d.SCTE35Out)
	l.hex("SCTE35-IN", d.SCTE35In)
	l.yes("END-ON-NEXT", d.EndOnNext)
	return l.end()
}
