package hls

import (
	"os"
	"strconv"
	"strings"
	"time"

	"weir/av"
)

// frame is a frame as it is packaged, with the time that it has in the segments.
type frame struct {
	av.Frame
	at      time.Duration // decoding time as it is packaged
	version uint32        // of its track's configuration
}

// part is some whole frames, encoded.
type part struct {
	duration    time.Duration
	independent bool  // it begins with a key frame
	data        Piece // of Size 0 when it is on disk only
}

// segment is a run of parts. A segment that has come to its end never changes.
type segment struct {
	number        uint64 // media sequence number
	date          time.Time
	discontinuity bool
	init          *initialization // nil in MPEG-TS
	parts         []*part
	pages         *os.File      // where the parts' bytes are, unless they are in memory of our own
	duration      time.Duration // of the parts
	size          int
	whole         bool
	file          string // where it is on disk; "" if it is not
	gone          bool   // nobody will ask for it any more
}

// initialization is what comes before segments: EXT-X-MAP.
type initialization struct {
	number int
	data   []byte
}

// store keeps a part's bytes.
func (s *segment) store(b []byte, lender *pages) Piece {
	if len(s.parts) == 0 {
		s.pages = lender.open()
	}
	if s.pages == nil {
		return ofBytes(b)
	}
	if _, err := s.pages.WriteAt(b, int64(s.size)); err != nil { // there is no memory for it there
		return ofBytes(b)
	}
	return Piece{File: s.pages, At: int64(s.size), Size: int64(len(b))}
}

// isStored reports whether the segment's bytes are still in its parts.
func (s *segment) isStored() bool { return len(s.parts) > 0 && s.parts[0].data.Size > 0 }

// pieces returns the segment's bytes.
func (s *segment) pieces() []Piece {
	pieces := make([]Piece, 0, len(s.parts))
	for _, p := range s.parts {
		if n := len(pieces); n > 0 && p.data.File != nil && pieces[n-1].File == p.data.File && pieces[n-1].At+pieces[n-1].Size == p.data.At {
			pieces[n-1].Size += p.data.Size
			continue
		}
		pieces = append(pieces, p.data)
	}
	return pieces
}

// Kind says what a name names.
type Kind uint8

// What names name.
const (
	KindPlaylist Kind = iota
	KindInit
	KindSegment
	KindPart
)

// Name is the name of a resource: the last segment of its URL's path. No name is ever used for
// something else: ids are random, one for each stream's life, and numbers only rise.
type Name struct {
	ID        string // the packager's
	Rendition string
	Kind      Kind
	Number    uint64 // of the segment or initialization
	Part      int
	Ext       string // with its dot
}

// String returns the name as it is in a URL.
func (n Name) String() string {
	b := make([]byte, 0, 48)
	b = append(append(append(b, n.ID...), '_'), n.Rendition...)
	switch n.Kind {
	case KindInit:
		b = strconv.AppendUint(append(b, "_i"...), n.Number, 10)
	case KindSegment, KindPart:
		b = strconv.AppendUint(append(b, '_'), n.Number, 10)
		if n.Kind == KindPart {
			b = strconv.AppendInt(append(b, '.'), int64(n.Part), 10)
		}
	}
	return string(append(b, n.Ext...))
}

const maxName = 80

// ParseName reads what String writes; ok is false for anything else. It runs for each request,
// and allocates nothing.
func ParseName(s string) (n Name, ok bool) {
	dot := strings.LastIndexByte(s, '.')
	if len(s) > maxName || dot < 0 {
		return n, false
	}
	stem := s[:dot]
	n.Ext = s[dot:]
	n.ID, stem, _ = strings.Cut(stem, "_")
	rendition, number, numbered := strings.Cut(stem, "_")
	n.Rendition = rendition
	if len(n.ID) != idSize || !isWord(n.ID) || !isWord(rendition) {
		return n, false
	}
	if !numbered {
		return n, n.Ext == ".m3u8"
	}
	if i, found := strings.CutPrefix(number, "i"); found {
		n.Kind, number = KindInit, i
	} else if whole, index, found := strings.Cut(number, "."); found {
		part, ok := parseNumber(index, 31)
		if !ok {
			return n, false
		}
		n.Kind, n.Part, number = KindPart, int(part), whole
	} else {
		n.Kind = KindSegment
	}
	n.Number, ok = parseNumber(number, 64)
	return n, ok && (n.Ext == ".m4s" || n.Ext == ".ts" || n.Ext == ".mp4")
}

// parseNumber reads a number as it is written: what is not written just so, such as 01, would be
// a second name for the same.
func parseNumber(s string, bits int) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, bits)
	return v, err == nil
}

func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
