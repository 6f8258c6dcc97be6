package hls

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/av"
)

// frame is a frame in a part, at its place in time.
type frame struct {
	av.Frame
	at      time.Duration // decoding time as it is packaged
	version uint32        // of its track's configuration
}

// part is some whole frames, encoded.
type part struct {
	duration    time.Duration
	independent bool // it begins with a key frame
	data        []byte
}

// segment is a run of parts. A segment that has come to its end never changes.
type segment struct {
	number        uint64 // media sequence number
	date          time.Time
	discontinuity bool
	init          *initialization // nil in MPEG-TS
	parts         []*part
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

// inMemory reports whether the segment's bytes are in its parts.
func (s *segment) inMemory() bool { return len(s.parts) > 0 && s.parts[0].data != nil }

// pieces returns the segment's bytes.
func (s *segment) pieces() [][]byte {
	b := make([][]byte, len(s.parts))
	for i, p := range s.parts {
		b[i] = p.data
	}
	return b
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

// ParseName reads what String writes; ok is false for anything else.
func ParseName(s string) (n Name, ok bool) {
	dot := strings.LastIndexByte(s, '.')
	if len(s) > maxName || dot < 0 {
		return n, false
	}
	fields := strings.Split(s[:dot], "_")
	n.Ext = s[dot:]
	if len(fields) < 2 || len(fields[0]) != idSize || !isWord(fields[0]) || !isWord(fields[1]) {
		return n, false
	}
	n.ID, n.Rendition = fields[0], fields[1]
	switch {
	case len(fields) == 2:
		return n, n.Ext == ".m3u8"
	case len(fields) > 3:
		return n, false
	}
	number := fields[2]
	if i, found := strings.CutPrefix(number, "i"); found {
		n.Kind, number = KindInit, i
	} else if whole, index, found := strings.Cut(number, "."); found {
		p, err := strconv.ParseUint(index, 10, 31)
		if err != nil {
			return n, false
		}
		n.Kind, n.Part, number = KindPart, int(p), whole
	} else {
		n.Kind = KindSegment
	}
	var err error
	n.Number, err = strconv.ParseUint(number, 10, 64)
	// What is not written just so would be a second name for the same.
	return n, err == nil && slices.Contains([]string{".m4s", ".ts", ".mp4"}, n.Ext) && n.String() == s
}

func isWord(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
