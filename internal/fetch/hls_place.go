package fetch

import (
	"path"
	"strings"

	"weir/format/m3u8"
)

// Place is how far a live HLS stream has been read. Who opens it again with its Place is given what came after that, and waits if
// there is nothing: the playlist of an encoder that has stopped stays as it is, and is no new stream. A Place belongs to one source, whose kind does not
// matter, and to one reader at a time. The zero value is that of a source that was not read yet.
type Place struct{ spots [2]spot }

// spot is how far one playlist has been read.
type spot struct {
	next uint64 // number of the segment that is to be read next; 0: none was read
	name string // of the segment before it
}

// spot returns where the playlist with a number was left, nil if nobody remembers it.
func (p *Place) spot(number int) *spot {
	if p == nil || number >= len(p.spots) {
		return nil
	}
	return &p.spots[number]
}

// isIn reports whether a playlist has the segment after which reading ended: then it is the same stream. If it has not, the stream
// has gone far, or begins again.
func (s *spot) isIn(p *m3u8.Media) bool {
	if s == nil || s.next == 0 {
		return false
	}
	i := s.next - 1 - p.MediaSequence
	return i < uint64(len(p.Segments)) && segmentName(p.Segments[i].URI) == s.name
}

// segmentName is the last part of a segment's URI, without what may differ each time that a playlist is asked for: folders and queries hold tokens.
func segmentName(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	return path.Base(uri)
}
