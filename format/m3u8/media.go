package m3u8

import "time"

// Media is a media playlist. Durations are written as they are, to the nanosecond: round
// them before.
type Media struct {
	Version int // EXT-X-VERSION; 0 writes none, and stands for 1
	// TargetDuration is the longest a segment may be, rounded, in whole seconds.
	TargetDuration        int
	MediaSequence         uint64 // number of the first segment, skipped ones included
	DiscontinuitySequence uint64
	// Type is EVENT or VOD, empty for a live playlist whose window slides.
	Type                string
	IndependentSegments bool
	IFramesOnly         bool
	Start               *Start
	ServerControl       *ServerControl
	PartTarget          time.Duration // 0: no EXT-X-PART-INF
	Skip                *Skip         // not nil in a delta update
	DateRanges          []DateRange
	// Segments are in order. The last one, and only it, may be without URI: it is what is
	// known so far of the segment that comes next, its parts above all.
	Segments         []Segment
	PreloadHints     []PreloadHint
	RenditionReports []RenditionReport
	EndList          bool
}

// Segment is a media segment with the tags before it.
type Segment struct {
	Duration        time.Duration
	Title           string
	URI             string
	Range           ByteRange
	Discontinuity   bool
	Gap             bool
	Map             *Map      // where it changes, the initialization of this segment and those after it
	ProgramDateTime time.Time // zero: no tag
	Bitrate         int       // in kbit/s; 0: no tag
	Parts           []Part
}

// Whole reports whether the segment has come to its end.
func (s *Segment) Whole() bool { return s.URI != "" }

// ByteRange is a part of a resource. The zero value is none.
type ByteRange struct {
	Length int64
	Offset int64 // -1: behind the range before it of the same resource
}

// Map is EXT-X-MAP: where a segment's initialization is.
type Map struct {
	URI   string
	Range ByteRange
}

// Part is EXT-X-PART: a partial segment.
type Part struct {
	Duration    time.Duration
	URI         string
	Range       ByteRange
	Independent bool // it begins with a key frame
	Gap         bool
}

// Start is EXT-X-START: where a player should begin.
type Start struct {
	Offset  time.Duration // from the beginning; negative from the end
	Precise bool
}

// ServerControl is EXT-X-SERVER-CONTROL.
type ServerControl struct {
	CanBlockReload    bool
	CanSkipUntil      time.Duration // 0: no delta updates
	CanSkipDateRanges bool
	HoldBack          time.Duration // 0: not told
	PartHoldBack      time.Duration // 0: not told
}

// Skip is EXT-X-SKIP: what a delta update leaves out.
type Skip struct {
	Segments          int
	RemovedDateRanges []string // the ids of date ranges that were removed lately
}

// The types of preload hints.
const (
	HintPart = "PART"
	HintMap  = "MAP"
)

// PreloadHint is EXT-X-PRELOAD-HINT: a resource that will be needed next.
type PreloadHint struct {
	Type   string // HintPart or HintMap
	URI    string
	Start  int64 // of its byte range
	Length int64 // of its byte range; 0: to the end
}

// RenditionReport is EXT-X-RENDITION-REPORT: how far another rendition is.
type RenditionReport struct {
	URI      string
	LastMSN  uint64
	LastPart int // -1: not told
}

// DateRange is EXT-X-DATERANGE.
type DateRange struct {
	ID              string
	Class           string
	StartDate       time.Time
	EndDate         time.Time      // zero: not told
	Duration        *time.Duration // nil: not told
	PlannedDuration *time.Duration // nil: not told
	EndOnNext       bool
	SCTE35Cmd       []byte
	SCTE35Out       []byte
	SCTE35In        []byte
	// Extra are the attributes whose names begin with "X-", in order.
	Extra []Attribute
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
