package m3u8

// Multivariant is a multivariant playlist, which RFC 8216 calls a master playlist.
type Multivariant struct {
	Version             int // EXT-X-VERSION; 0 writes none, and stands for 1
	IndependentSegments bool
	Start               *Start
	Renditions          []Rendition
	Variants            []Variant
}

// Variant is EXT-X-STREAM-INF and the URI behind it.
type Variant struct {
	URI              string
	Bandwidth        int // peak of any segment, in bit/s
	AverageBandwidth int // in bit/s; 0: not told
	Score            float64
	Codecs           string // RFC 6381, parted by commas
	Width, Height    int    // 0: not told
	FrameRate        float64
	VideoRange       string // SDR, HLG, PQ; empty: not told
	HDCPLevel        string
	Audio            string // id of a group of renditions; empty: none
	Video            string
	Subtitles        string
	// ClosedCaptions is the id of a group, or NONE.
	ClosedCaptions string
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
	Type            string
	GroupID         string
	Name            string
	URI             string // empty: it is in the variant's own playlist
	Language        string // RFC 5646
	AssocLanguage   string
	Default         bool
	Autoselect      bool
	Forced          bool
	InstreamID      string
	Characteristics string
	Channels        string // of sound: their number, then what RFC 8216bis §4.4.6.1 adds to it
}
