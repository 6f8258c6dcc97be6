package m3u8

import (
	"fmt"
	"strings"
)

// ParseMultivariant reads a multivariant playlist. It fails with ErrSyntax, ErrTooLong or
// ErrKind. The rules beyond syntax are Validate's.
func ParseMultivariant(b []byte) (*Multivariant, error) {
	p := new(Multivariant)
	seen := map[string]bool{}
	var variant *Variant
	err := scan(b, func(name, value string) (err error) {
		switch name {
		case "":
			if variant == nil {
				return syntax("a URI without EXT-X-STREAM-INF")
			}
			variant.URI = value
			p.Variants = append(p.Variants, *variant)
			variant = nil
			return nil
		case "#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-START", "#EXTM3U":
			if seen[name] || name == "#EXTM3U" {
				return syntax("%s twice", name[1:])
			}
			seen[name] = true
		}
		if variant != nil {
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
		case "#EXT-X-STREAM-INF":
			variant, err = parseVariant(value)
		case "#EXTINF", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST", "#EXT-X-PART", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL":
			return fmt.Errorf("%w: %s", ErrKind, name[1:])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimPrefix(name, "#"), err)
		}
		return nil
	})
	if err == nil && variant != nil {
		err = syntax("EXT-X-STREAM-INF without a URI behind it")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
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
