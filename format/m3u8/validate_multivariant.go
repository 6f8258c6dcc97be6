package m3u8

import "strings"

// Validate returns what in p is against the rules, joined, each wrapping ErrRule; nil if
// nothing is. Beside RFC 8216bis §4.4.6 they are what Apple's authoring specification
// demands of a multivariant playlist: codecs, resolution and frame rate of all variants.
func (p *Multivariant) Validate() error {
	var c check
	c.that(len(p.Variants) > 0, "there are no variants")
	groups := map[[2]string]bool{} // by type and id
	names := map[[3]string]bool{}
	defaults := map[[2]string]bool{}
	for i := range p.Renditions {
		r := &p.Renditions[i]
		g := [2]string{r.Type, r.GroupID}
		groups[g] = true
		n := [3]string{r.Type, r.GroupID, r.Name}
		c.that(!names[n], "two renditions of group %s are called %s (§4.4.6.1.1)", r.GroupID, r.Name)
		names[n] = true
		c.that(!r.Default || !defaults[g], "group %s has two defaults (§4.4.6.1.1)", r.GroupID)
		defaults[g] = defaults[g] || r.Default
		c.that(!r.Default || r.Autoselect, "rendition %s is the default and not selected automatically (§4.4.6.1)", r.Name)
		switch r.Type {
		case TypeAudio:
			c.that(r.Channels != "", "rendition %s does not tell its channels (Apple 9.13)", r.Name)
		case TypeSubtitles:
			c.that(r.URI != "", "rendition %s has no URI (§4.4.6.1)", r.Name)
		case TypeClosedCaptions:
			c.that(r.URI == "" && r.InstreamID != "", "rendition %s of closed captions has a URI or no INSTREAM-ID (§4.4.6.1)", r.Name)
		case TypeVideo:
		default:
			c.that(false, "rendition of type %.20q (§4.4.6.1)", r.Type)
		}
		c.that(!r.Forced || r.Type == TypeSubtitles, "rendition %s is forced and no subtitles (§4.4.6.1)", r.Name)
	}
	for i := range p.Variants {
		p.Variants[i].check(&c, groups)
		for _, o := range p.Variants[:i] {
			c.that(o.URI != p.Variants[i].URI || o.Audio != p.Variants[i].Audio, "variant %s is there twice", o.URI)
		}
	}
	return c.result()
}

func (v *Variant) check(c *check, groups map[[2]string]bool) {
	c.that(v.URI != "", "variant without URI")
	c.that(v.Bandwidth > 0, "variant %s has no bandwidth (§4.4.6.2)", v.URI)
	c.that(v.AverageBandwidth <= v.Bandwidth, "the average bandwidth of variant %s is more than its peak (§4.4.6.2)", v.URI)
	c.that(v.Codecs != "", "variant %s does not tell its codecs (Apple 9.2)", v.URI)
	video := false
	for codec := range strings.SplitSeq(v.Codecs, ",") {
		c.that(codec == strings.TrimSpace(codec), "the codecs of variant %s have white space", v.URI)
		switch kind, _, _ := strings.Cut(codec, "."); kind {
		case "avc1", "hvc1", "av01", "vp09":
			video = true
		case "avc3", "hev1":
			c.that(false, "variant %s has parameter sets in the stream: %s (Apple 1.10)", v.URI, codec)
		}
	}
	if video {
		c.that(v.Width > 0 && v.Height > 0, "variant %s does not tell its resolution (Apple 9.4)", v.URI)
		c.that(v.FrameRate > 0, "variant %s does not tell its frame rate (Apple 9.5)", v.URI)
	}
	for _, g := range [][2]string{{TypeAudio, v.Audio}, {TypeVideo, v.Video}, {TypeSubtitles, v.Subtitles}, {TypeClosedCaptions, v.ClosedCaptions}} {
		c.that(g[1] == "" || g[1] == none || groups[g], "variant %s is of group %s, which is not there (§4.4.6.2)", v.URI, g[1])
	}
}
