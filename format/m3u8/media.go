package m3u8

import "time"

// Media is a media playlist. Durations are written as they are, to the nanosecond: round
// them before.
type Media struct {
	Version               int    // EXT-X-VERSION; 0 writes none and means 1
	TargetDuration        int    // EXT-X-TARGETDURATION: the longest that a segment may be, rounded, in seconds
	MediaSequence         uint64 // EXT-X-MEDIA-SEQUENCE: the number of the first segment, also if a delta update skips it
	DiscontinuitySequence uint64 // EXT-X-DISCONTINUITY-SEQUENCE: the discontinuities before the first segment
	Type                  string // EXT-X-PLAYLIST-TYPE: EVENT or VOD; empty for a live playlist whose window slides
	IndependentSegments   bool   // EXT-X-INDEPENDENT-SEGMENTS: each segment can be decoded without those before it
	IFramesOnly           bool   // EXT-X-I-FRAMES-ONLY: each segment is one key frame
	Start                 *Start // EXT-X-START; nil: no tag
	ServerControl         *ServerControl
	PartTarget            time.Duration // EXT-X-PART-INF: the longest that a part may be; 0: no tag
	Skip                  *Skip         // EXT-X-SKIP: not nil in a delta update
	DateRanges            []DateRange   // EXT-X-DATERANGE, in the order in which they are written
	// Segments are in order. Only the last may have no URI: then it is what is known so far of
	// the next segment, usually its parts.
	Segments         []Segment
	PreloadHints     []PreloadHint     // EXT-X-PRELOAD-HINT: what the player will need next
	RenditionReports []RenditionReport // EXT-X-RENDITION-REPORT: how far the other renditions are
	EndList          bool              // EXT-X-ENDLIST: nothing will be added
}

// Segment is a media segment with the tags before it.
type Segment struct {
	Duration        time.Duration // EXTINF
	Title           string        // behind the comma of EXTINF; for people
	URI             string        // relative to the playlist's; empty while the segment has not ended
	Range           ByteRange     // EXT-X-BYTERANGE: where in the resource the segment is
	Discontinuity   bool          // EXT-X-DISCONTINUITY: times or encoding do not continue those before
	Gap             bool          // EXT-X-GAP: the segment is missing, and must not be loaded
	Key             *Key          // EXT-X-KEY, where the encryption changes: it holds from this segment on
	Map             *Map          // EXT-X-MAP, where the initialization changes: it holds from this segment on
	ProgramDateTime time.Time     // EXT-X-PROGRAM-DATE-TIME: the date at which the segment begins; zero: no tag
	Bitrate         int           // EXT-X-BITRATE, in kbit/s; 0: no tag
	Parts           []Part        // EXT-X-PART, in order
}

// Whole reports whether the segment has come to its end.
func (s *Segment) Whole() bool { return s.URI != "" }

// ByteRange is a range of a resource's bytes. The zero value is the whole resource.
type ByteRange struct {
	Length int64 // in bytes
	Offset int64 // of the first byte; -1: the range follows the previous one of the same resource
}

// The methods of encryption.
const (
	MethodNone   = "NONE"    // none
	MethodAES128 = "AES-128" // whole segments, by AES in CBC mode with a padding as of PKCS #7
)

// Key is EXT-X-KEY: how segments are encrypted, and initializations whose EXT-X-MAP follows it.
type Key struct {
	Method string // MethodNone or MethodAES128
	URI    string // where the 16 bytes of the key are, relative to the playlist's URI
	IV     []byte // the initialization vector, of 16 bytes; nil: the number of the segment
}

// Map is EXT-X-MAP: where a segment's initialization is.
type Map struct {
	URI   string    // relative to the playlist's
	Range ByteRange // where in the resource it is
	// Key is how it is encrypted if the segment's Key, which is then another one, does not say it: nil but for what Read has read.
	Key *Key
}

// Part is EXT-X-PART: a partial segment.
type Part struct {
	Duration    time.Duration
	URI         string    // relative to the playlist's
	Range       ByteRange // where in the resource the part is
	Independent bool      // it begins with a key frame
	Gap         bool      // it is missing, and must not be loaded
}

// Start is EXT-X-START: where a player should begin.
type Start struct {
	Offset  time.Duration // from the beginning; negative from the end
	Precise bool          // begin exactly there, not at the beginning of the segment
}

// ServerControl is EXT-X-SERVER-CONTROL: what the server can do, and how far from the end players stay.
type ServerControl struct {
	CanBlockReload    bool          // the server holds a request for a playlist until it has what is asked for
	CanSkipUntil      time.Duration // how far from the end delta updates begin; 0: there are none
	CanSkipDateRanges bool          // delta updates can leave out date ranges
	HoldBack          time.Duration // the least distance from the end without parts; 0: not given
	PartHoldBack      time.Duration // the least distance from the end with parts; 0: not given
}

// Skip is EXT-X-SKIP: what a delta update leaves out.
type Skip struct {
	Segments          int      // how many, from the first on
	RemovedDateRanges []string // the ids of date ranges that were removed recently
}

// The types of preload hints.
const (
	HintPart = "PART" // a part
	HintMap  = "MAP"  // an initialization
)

// PreloadHint is EXT-X-PRELOAD-HINT: a resource that will be needed next.
type PreloadHint struct {
	Type   string // HintPart or HintMap
	URI    string // relative to the playlist's
	Start  int64  // the first byte of its range
	Length int64  // the bytes of its range; 0: to the end
}

// RenditionReport is EXT-X-RENDITION-REPORT: how far another rendition is.
type RenditionReport struct {
	URI      string // of the rendition's playlist, relative to this one's
	LastMSN  uint64 // the number of its newest segment
	LastPart int    // the number of its newest part in that segment; -1: not given
}

// DateRange is EXT-X-DATERANGE: something that happens from one date to another.
type DateRange struct {
	ID              string // unique in the playlist
	Class           string // date ranges of one class mean the same kind of thing; may be empty
	StartDate       time.Time
	EndDate         time.Time      // zero: not given
	Duration        *time.Duration // nil: not given
	PlannedDuration *time.Duration // while Duration is not known; nil: not given
	EndOnNext       bool           // it ends where the next of its class begins
	SCTE35Cmd       []byte         // a splice_info_section; nil: not given
	SCTE35Out       []byte         // a splice_info_section that leads out of the programme; nil: not given
	SCTE35In        []byte         // a splice_info_section that leads back; nil: not given
	Extra           []Attribute    // attributes whose names begin with "X-", in order
}

// Attribute is an attribute as it is written: a quoted string's value has its quotes.
type Attribute struct{ Name, Value string }

// Duration returns the sum of all segments and parts that the playlist holds, skipped ones
// not counted.
func (p *Media) Duration() (sum time.Duration) {
	for i := range p.Segments {
		sum += p.Segments[i].length()
	}
	return sum
}

// length is the segment's duration, or of what there is of it.
func (s *Segment) length() time.Duration {
	if s.Whole() {
		return s.Duration
	}
	return partsDuration(s.Parts)
}

func partsDuration(parts []Part) (sum time.Duration) {
	for i := range parts {
		sum += parts[i].Duration
	}
	return sum
}

// skipped is how many segments a delta update leaves out.
func (p *Media) skipped() int {
	if p.Skip == nil {
		return 0
	}
	return p.Skip.Segments
}
