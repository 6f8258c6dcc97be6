package m3u8

import (
	"fmt"
	"strings"
)

// ParseMultivariant reads a multivariant playlist. It fails with ErrSyntax, ErrTooLong or
// ErrKind. The rules beyond syntax are Validate's.
func ParseMultivariant(b []byte) (*Multivariant, error) {
	m := multivariantParser{seen: map[string]bool{}}
	if err := scan(b, m.line); err != nil {
		return nil, err
	}
	return m.end()
}

// variantSize is about the memory that a variant or rendition takes besides its texts, in bytes.
const variantSize = 320

// multivariantParser is the state of ParseMultivariant and Read.
type multivariantParser struct {
	p       Multivariant
	seen    map[string]bool // tags that may come once
	variant *Variant        // its URI is to come
	most    int             // the memory for variants and renditions, in bytes; 0: as much as they take
	size    int
}

// end returns what was read.
func (m *multivariantParser) end() (*Multivariant, error) {
	if m.variant != nil {
		return nil, syntax("EXT-X-STREAM-INF without a URI behind it")
	}
	return &m.p, nil
}

func (m *multivariantParser) line(name, value string) (err error) {
	p := &m.p
	switch name {
	case "":
		if m.variant == nil {
			return syntax("a URI without EXT-X-STREAM-INF")
		}
		m.variant.URI = value
		p.Variants = append(p.Variants, *m.variant)
		m.variant = nil
		return m.room(value)
	case "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-START", "#EXTM3U":
		if m.seen[name] || name == "#EXTM3U" {
			return syntax("%s twice", name[1:])
		}
		m.seen[name] = true
	}
	if m.variant != nil {
		return syntax("EXT-X-STREAM-INF without a URI behind it")
	}
	switch name {
	case "#EXT-X-VERSION":
		p.Version, err = parseVersion(value)
	case "#EXT-X-INDEPENDENT-SEGMENTS":
		p.IndependentSegments = true
	case "#EXT-X-START":
		p.Start, err = parseStart(value)
	case "#EXT-X-MEDIA":
		var r Rendition
		r, err = parseRendition(value)
		p.Renditions = append(p.Renditions, r)
		if err == nil {
			err = m.room(value)
		}
	case "#EXT-X-STREAM-INF":
		if m.variant, err = parseVariant(value); err == nil {
			err = m.room(value)
		}
	case "#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST", "#EXT-X-PART", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL":
		return fmt.Errorf("%w: %s", ErrKind, name[1:])
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "#"), err)
	}
	return nil
}

// room fails if there is none for a variant or rendition of which a line, or a part of it, is kept.
func (m *multivariantParser) room(line string) error {
	if m.size += variantSize/2 + len(line); m.most > 0 && m.size > m.most {
		return fmt.Errorf("%w: more variants and renditions than %d bytes hold", ErrTooLong, m.most)
	}
	return nil
}

func parseRendition(s string) (Rendition, error) {
	a := parseAttributes(s)
	a.require("TYPE", "GROUP-ID", "NAME")
	r := Rendition{
		Type: a.enum("TYPE"), GroupID: a.quoted("GROUP-ID"), Name: a.quoted("NAME"), URI: a.quoted("URI"),
		Language: a.quoted("LANGUAGE"), AssocLanguage: a.quoted("ASSOC-LANGUAGE"),
		Default: a.yes("DEFAULT"), Autoselect: a.yes("AUTOSELECT"), Forced: a.yes("FORCED"),
		InstreamID: a.quoted("INSTREAM-ID"), Characteristics: a.quoted("CHARACTERISTICS"), Channels: a.quoted("CHANNELS"),
	}
	if a.err == nil && (r.GroupID == "" || r.Name == "") {
		a.fail(syntax("empty GROUP-ID or NAME"))
	}
	return r, a.err
}

func parseVariant(s string) (*Variant, error) {
	a := parseAttributes(s)
	a.require("BANDWIDTH")
	v := Variant{
		Bandwidth: a.count("BANDWIDTH"), AverageBandwidth: a.count("AVERAGE-BANDWIDTH"), Score: a.decimal("SCORE"),
		Codecs: a.quoted("CODECS"), FrameRate: a.decimal("FRAME-RATE"),
		VideoRange: a.enum("VIDEO-RANGE"), HDCPLevel: a.enum("HDCP-LEVEL"),
		Audio: a.quoted("AUDIO"), Video: a.quoted("VIDEO"), Subtitles: a.quoted("SUBTITLES"),
	}
	v.Width, v.Height = a.resolution("RESOLUTION")
	if cc, _ := a.get("CLOSED-CAPTIONS"); cc == none {
		v.ClosedCaptions = none
	} else {
		v.ClosedCaptions = a.quoted("CLOSED-CAPTIONS")
	}
	return &v, a.err
}
