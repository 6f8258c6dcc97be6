package fmp4

import "strconv"

// LeftOut names the tracks that the Reader leaves out, because their codec is not known or their
// description is damaged, in the file's order: "PCM audio", "timecode track".
func (r *Reader) LeftOut() []string { return r.leftOut }

// entryNames are the sample entries that files have and this package does not read.
var entryNames = map[string]string{
	"sowt": "PCM", "twos": "PCM", "lpcm": "PCM", "in24": "PCM", "in32": "PCM", "fl32": "PCM", "fl64": "PCM",
	"raw ": "PCM", "NONE": "PCM", "ipcm": "PCM", "fpcm": "PCM", "alaw": "G.711 A-law", "ulaw": "G.711 mu-law", "ima4": "ADPCM",
	"alac": "ALAC", "samr": "AMR", "sawb": "AMR-WB", "dtsc": "DTS", "mlpa": "TrueHD",
	"mp4v": "MPEG-4 Part 2", "s263": "H.263", "jpeg": "JPEG", "mjpa": "Motion JPEG", "mjpb": "Motion JPEG", "png ": "PNG",
	"apcn": "ProRes", "apch": "ProRes", "apcs": "ProRes", "apco": "ProRes", "ap4h": "ProRes", "ap4x": "ProRes",
	"vvc1": "H.266", "vvi1": "H.266", "dvh1": "Dolby Vision", "dvhe": "Dolby Vision",
	"encv": "encrypted", "enca": "encrypted", "m2v1": "MPEG-2", "mx5p": "MPEG-2",
}

// describeUnread names a track that is not read, by its media information.
func describeUnread(mdia, stsd []byte) string {
	handler, entry := "", ""
	if b := find(mdia, "hdlr"); len(b) >= 12 {
		handler = string(b[8:12])
	}
	if len(stsd) >= 16 {
		entry = string(stsd[12:16])
	}
	kind := "track"
	switch handler {
	case "vide":
		kind = "video"
	case "soun":
		kind = "audio"
	case "tmcd":
		return "timecode track"
	case "text", "sbtl", "subt", "subp", "clcp":
		return "subtitle track"
	case "hint":
		return "hint track"
	}
	name, ok := entryNames[entry]
	switch {
	case !ok && entry == "":
		name = "damaged"
	case !ok: // known codecs come here when their configuration is damaged, and codecs of mp4a that are not AAC
		name = strconv.QuoteToASCII(entry)
	}
	return name + " " + kind
}
