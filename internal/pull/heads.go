package pull

import (
	"weir/av"
	"weir/internal/fetch"
)

// maxHeads bounds the headers that are kept of a source: more than the tracks of a stream have.
const maxHeads = 64

// heads are the newest headers of each track of a source, in the order in which they first came. A publisher that begins
// within the stream sends them first.
type heads struct{ frames []*av.Frame }

// note keeps f if it is a header.
func (h *heads) note(f *av.Frame) {
	if !fetch.IsHeader(f) {
		return
	}
	for i, g := range h.frames {
		if g.Kind == f.Kind && g.Type == f.Type && g.Track == f.Track {
			h.frames[i] = f
			return
		}
	}
	if len(h.frames) < maxHeads {
		h.frames = append(h.frames, f)
	}
}
