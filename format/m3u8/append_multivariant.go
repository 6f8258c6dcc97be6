package m3u8

import "strconv"

// none is what closed captions are if there are none.
const none = "NONE"

// Append appends the playlist as text. Control characters in strings, and quotes where a
// string is quoted, are left out: a playlist cannot have them.
func (p *Multivariant) Append(b []byte) []byte {
	b = appendHead(b, p.Version, p.IndependentSegments)
	b = p.Start.Append(b)
	for i := range p.Renditions {
		b = p.Renditions[i].append(b)
	}
	for i := range p.Variants {
		b = p.Variants[i].append(b)
	}
	return b
}

func (r *Rendition) append(b []byte) []byte {
	l := tag(b, "#EXT-X-MEDIA")
	l.enum("TYPE", r.Type)
	l.quoted("GROUP-ID", r.GroupID)
	l.quoted("NAME", r.Name)
	l.quoted("LANGUAGE", r.Language)
	l.quoted("ASSOC-LANGUAGE", r.AssocLanguage)
	l.yes("DEFAULT", r.Default)
	l.yes("AUTOSELECT", r.Autoselect)
	l.yes("FORCED", r.Forced)
	l.quoted("INSTREAM-ID", r.InstreamID)
	l.quoted("CHARACTERISTICS", r.Characteristics)
	l.quoted("CHANNELS", r.Channels)
	l.quoted("URI", r.URI)
	return l.end()
}

func (v *Variant) append(b []byte) []byte {
	l := tag(b, "#EXT-X-STREAM-INF")
	l.integer("BANDWIDTH", uint64(max(v.Bandwidth, 0)))
	l.positive("AVERAGE-BANDWIDTH", int64(v.AverageBandwidth))
	l.decimal("SCORE", v.Score)
	l.quoted("CODECS", v.Codecs)
	if v.Width > 0 && v.Height > 0 {
		l.name("RESOLUTION")
		l.b = strconv.AppendInt(l.b, int64(v.Width), 10)
		l.b = strconv.AppendInt(append(l.b, 'x'), int64(v.Height), 10)
	}
	l.decimal("FRAME-RATE", v.FrameRate)
	l.enum("VIDEO-RANGE", v.VideoRange)
	l.enum("HDCP-LEVEL", v.HDCPLevel)
	l.quoted("AUDIO", v.Audio)
	l.quoted("VIDEO", v.Video)
	l.quoted("SUBTITLES", v.Subtitles)
	if v.ClosedCaptions == none {
		l.enum("CLOSED-CAPTIONS", none)
	} else {
		l.quoted("CLOSED-CAPTIONS", v.ClosedCaptions)
	}
	return appendURI(l.end(), v.URI)
}
