package m3u8

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// mediaParser is the state of ParseMedia and Read.
type mediaParser struct {
	p    Media
	seen map[string]bool // tags that may come once
	// window, if not nil, has the segments instead of p, and nothing else is kept that can be many.
	window *window
	added  uint64 // segments
	// next is the segment whose tags are read; begun once there was one, timed once EXTINF was.
	next         Segment
	begun, timed bool
}

// ParseMedia reads a media playlist. It fails with ErrSyntax, ErrTooLong, ErrKind or
// ErrEncrypted. The rules beyond syntax are Validate's.
func ParseMedia(b []byte) (*Media, error) {
	m := mediaParser{seen: map[string]bool{}}
	if err := scan(b, m.line); err != nil {
		return nil, err
	}
	return m.end()
}

// end returns what was read.
func (m *mediaParser) end() (*Media, error) {
	if m.timed || m.next.Range.Length > 0 {
		return nil, syntax("the last segment has no URI")
	}
	if m.begun {
		m.add()
	}
	if !m.seen["#EXT-X-TARGETDURATION"] {
		return nil, syntax("no EXT-X-TARGETDURATION")
	}
	p := m.p // without the parser, which has more than is returned
	if m.window != nil {
		m.window.fill(&p)
	}
	return &p, nil
}

// add ends a segment.
func (m *mediaParser) add() {
	if m.window != nil {
		m.window.add(&m.p, m.next)
	} else {
		m.p.Segments = append(m.p.Segments, m.next)
	}
	m.added++
	m.next, m.begun, m.timed = Segment{}, false, false
}

func (m *mediaParser) line(name, value string) error {
	if name == "" {
		return m.uri(value)
	}
	if err := m.once(name); err != nil {
		return err
	}
	known, err := m.header(name, value)
	if !known {
		known, err = m.segmentTag(name, value)
	}
	if !known {
		err = m.listTag(name, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "#"), err)
	}
	return nil
}

// uri ends a segment.
func (m *mediaParser) uri(uri string) error {
	if !m.timed {
		return syntax("a URI without EXTINF")
	}
	m.next.URI = uri
	m.add()
	return nil
}

// once fails for a tag that may come once and came before, or comes too late.
func (m *mediaParser) once(name string) error {
	switch name {
	case "#EXT-X-STREAM-INF", "#EXT-X-MEDIA", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-SESSION-DATA", "#EXT-X-SESSION-KEY", "#EXT-X-CONTENT-STEERING":
		return fmt.Errorf("%w: %s", ErrKind, name[1:])
	case "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-SKIP":
		if m.begun || m.added > 0 {
			return syntax("%s behind a segment", name[1:])
		}
	case "#EXTM3U", "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-TARGETDURATION", "#EXT-X-PLAYLIST-TYPE",
		"#EXT-X-I-FRAMES-ONLY", "#EXT-X-START", "#EXT-X-SERVER-CONTROL", "#EXT-X-PART-INF", "#EXT-X-ENDLIST":
	default:
		return nil
	}
	if m.seen[name] || name == "#EXTM3U" {
		return syntax("%s twice", name[1:])
	}
	m.seen[name] = true
	return nil
}

// header takes a tag that is about the whole playlist.
func (m *mediaParser) header(name, value string) (known bool, err error) {
	p := &m.p
	var n uint64
	switch name {
	case "#EXT-X-VERSION":
		p.Version, err = parseVersion(value)
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		p.IndependentSegments = true
	case "#EXT-X-TARGETDURATION":
		if n, err = parseInteger(value); err == nil && n > maxSeconds {
			err = syntax("out of range")
		}
		p.TargetDuration = int(min(n, maxSeconds))
	case "#EXT-X-PLAYLIST-TYPE":
		if p.Type = value; value != "EVENT" && value != "VOD" {
			err = syntax("%.20q is not a type", value)
		}
	case "#EXT-X-I-FRAMES-ONLY":
		p.IFramesOnly = true
	case "#EXT-X-START":
		p.Start, err = parseStart(value)
	case "#EXT-X-SERVER-CONTROL":
		a := parseAttributes(value)
		p.ServerControl = &ServerControl{
			a.yes("CAN-BLOCK-RELOAD"), a.seconds("CAN-SKIP-UNTIL"), a.yes("CAN-SKIP-DATERANGES"),
			a.seconds("HOLD-BACK"), a.seconds("PART-HOLD-BACK"),
		}
		err = a.err
	case "#EXT-X-PART-INF":
		a := parseAttributes(value)
		a.require("PART-TARGET")
		if p.PartTarget = a.seconds("PART-TARGET"); p.PartTarget <= 0 {
			a.fail(syntax("PART-TARGET is not positive"))
		}
		err = a.err
	case "#EXT-X-MEDIA-SEQUENCE":
		p.MediaSequence, err = parseInteger(value)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		p.DiscontinuitySequence, err = parseInteger(value)
	case "#EXT-X-SKIP":
		p.Skip, err = parseSkip(value)
	case "#EXT-X-ENDLIST":
		p.EndList = true
	default:
		return false, nil
	}
	return true, err
}

// segmentTag takes a tag that belongs to the next segment.
func (m *mediaParser) segmentTag(name, value string) (known bool, err error) {
	s := &m.next
	switch name {
	case "#EXTINF":
		if m.timed {
			return true, syntax("twice for a segment")
		}
		duration, title, comma := strings.Cut(value, ",")
		s.Duration, err = parseSeconds(duration)
		if s.Title = title; err == nil && (!comma || s.Duration < 0 || strings.Contains(title, "\t")) {
			err = syntax("%.40q is not a duration", value)
		}
		if m.timed = true; m.window != nil {
			s.Title = ""
		}
	case "#EXT-X-BYTERANGE":
		s.Range, err = parseRange(value)
	case "#EXT-X-DISCONTINUITY":
		s.Discontinuity = true
	case "#EXT-X-GAP":
		s.Gap = true
	case "#EXT-X-BITRATE":
		var n uint64
		if n, err = parseInteger(value); err == nil && (n == 0 || n > 1<<31-1) {
			err = syntax("out of range")
		}
		s.Bitrate = int(n)
	case "#EXT-X-MAP":
		a := parseAttributes(value)
		a.require("URI")
		s.Map, err = &Map{URI: m.kept(a.quoted("URI")), Range: a.quotedRange("BYTERANGE")}, a.err
		if a.err != nil {
			err = a.err
		} else if s.Map.URI == "" {
			err = syntax("empty URI")
		}
	case "#EXT-X-PROGRAM-DATE-TIME":
		s.ProgramDateTime, err = parseTime(value)
	case "#EXT-X-PART":
		if m.window != nil {
			break
		}
		var part Part
		part, err = parsePart(value)
		s.Parts = append(s.Parts, part)
	case "#EXT-X-KEY":
		if s.Key, err = parseKey(value); err == nil {
			s.Key.URI = m.kept(s.Key.URI)
		}
		return true, err
	default:
		return false, nil
	}
	m.begun = true
	return true, err
}

// kept returns a part of a line that may be kept for long, without the rest of the line.
func (m *mediaParser) kept(s string) string {
	if m.window != nil {
		return strings.Clone(s)
	}
	return s
}

// parseKey reads EXT-X-KEY.
func parseKey(value string) (*Key, error) {
	a := parseAttributes(value)
	method := a.enum("METHOD")
	format, ok := a.get("KEYFORMAT")
	switch {
	case a.err != nil:
		return nil, a.err
	case method == MethodNone:
		return &Key{Method: MethodNone}, nil
	case method != MethodAES128, ok && format != `"identity"`:
		return nil, ErrEncrypted
	}
	k := &Key{Method: MethodAES128}
	if k.URI = a.quoted("URI"); k.URI == "" {
		a.fail(syntax("no URI"))
	}
	if iv, ok := a.get("IV"); ok {
		digits, isHex := cutPrefixFold(iv, "0x")
		var err error
		if k.IV, err = hex.DecodeString(digits); err != nil || !isHex || len(k.IV) != ivSize {
			a.fail(syntax("%.40q is not an initialization vector", iv))
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return k, nil
}

// ivSize is the size of an initialization vector, in bytes.
const ivSize = 16

// cutPrefixFold is strings.CutPrefix whatever the case of letters.
func cutPrefixFold(s, prefix string) (after string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// listTag parses a tag that may occur any number of times.
func (m *mediaParser) listTag(name, value string) error {
	p := &m.p
	if m.window != nil {
		return nil
	}
	switch name {
	case "#EXT-X-DATERANGE":
		d, err := parseDateRange(value)
		p.DateRanges = append(p.DateRanges, d)
		return err
	case "#EXT-X-PRELOAD-HINT":
		a := parseAttributes(value)
		a.require("TYPE", "URI")
		h := PreloadHint{a.enum("TYPE"), a.quoted("URI"), int64(a.count("BYTERANGE-START")), int64(a.count("BYTERANGE-LENGTH"))}
		if h.URI == "" {
			a.fail(syntax("empty URI"))
		}
		p.PreloadHints = append(p.PreloadHints, h)
		return a.err
	case "#EXT-X-RENDITION-REPORT":
		a := parseAttributes(value)
		a.require("URI", "LAST-MSN")
		r := RenditionReport{URI: a.quoted("URI"), LastMSN: a.integer("LAST-MSN"), LastPart: -1}
		if _, ok := a.get("LAST-PART"); ok {
			r.LastPart = a.count("LAST-PART")
		}
		p.RenditionReports = append(p.RenditionReports, r)
		return a.err
	}
	return nil
}
