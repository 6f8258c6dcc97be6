package relay

import (
	"bytes"

	"weir/av"
	"weir/internal/fetch"
)

// headers are what a target needs before media: the newest configuration and metadata of each
// track, in the order in which they first came.
type headers struct {
	newest map[headerKey]*av.Frame
	order  []headerKey
}

type headerKey struct {
	kind  av.Kind
	typ   av.Type
	track uint8
}

// note keeps f if it is a header. It reports whether the target already has the same one.
func (h *headers) note(f *av.Frame) (known bool) {
	if !fetch.IsHeader(f) {
		return false
	}
	k := headerKey{f.Kind, f.Type, f.Track}
	if h.newest == nil {
		h.newest = map[headerKey]*av.Frame{}
	}
	before := h.newest[k]
	if before == nil {
		h.order = append(h.order, k)
	}
	h.newest[k] = f
	return before != nil && before.Codec == f.Codec && bytes.Equal(before.Payload, f.Payload)
}
