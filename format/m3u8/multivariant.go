package m3u8

// Multivariant is a multivariant playlist, which RFC 8216 calls a master playlist.
type Multivariant struct {
	Version             int         // EXT-X-VERSION; 0 writes none and means 1
	IndependentSegments bool        // EXT-X-INDEPENDENT-SEGMENTS: it holds for the segments of all playlists
	Start               *Start      // EXT-X-START; nil: no tag
	Renditions          []Rendition // EXT-X-MEDIA, in the order in which they are written
	Variants            []Variant   // the first is what players begin with
}

// Variant is EXT-X-STREAM-INF and the URI behind it: one form of the presentation.
type Variant struct {
	URI              string  // of its media playlist, relative to this one's
	Bandwidth        int     // the peak of any segment, in bit/s
	AverageBandwidth int     // in bit/s; 0: not given
	Score            float64 // the publisher's preference, larger is better; 0: not given
	Codecs           string  // as in RFC 6381, separated by commas
	Width, Height    int     // of the picture; 0: not given
	FrameRate        float64 // the largest, in frames a second; 0: not given
	VideoRange       string  // SDR, HLG or PQ; empty: not given
	HDCPLevel        string  // the copy protection that the output needs: TYPE-0, TYPE-1 or NONE; empty: not given
	Audio            string  // the id of a group of audio renditions; empty: none
	Video            string  // the id of a group of video renditions; empty: none
	Subtitles        string  // the id of a group of subtitles; empty: none
	ClosedCaptions   string  // the id of a group of closed captions, or NONE; empty: not given
}

// The types of renditions.
const (
	TypeAudio          = "AUDIO"
	TypeVideo          = "VIDEO"
	TypeSubtitles      = "SUBTITLES"
	TypeClosedCaptions = "CLOSED-CAPTIONS"
)

// Rendition is EXT-X-MEDIA: an alternative for one kind of media.
type Rendition struct {
	Type            string // TypeAudio, TypeVideo, TypeSubtitles or TypeClosedCaptions
	GroupID         string // of its group, which variants name
	Name            string // for people; unique in its group
	URI             string // of its media playlist; empty: it is in the variant's own
	Language        string // as in RFC 5646; empty: not given
	AssocLanguage   string // a language used in another role, such as a script; empty: not given
	Default         bool   // players take it if the viewer chooses nothing
	Autoselect      bool   // players may take it by the viewer's settings, such as the language
	Forced          bool   // subtitles that are essential
	InstreamID      string // of closed captions: which service in the video, such as CC1
	Characteristics string // media characteristic tags, separated by commas; empty: none
	Channels        string // of sound: their number, then what RFC 8216bis §4.4.6.1 adds to it
}
