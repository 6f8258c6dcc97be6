// Package httpflv sends streams to players as FLV, in an HTTP response without end or over a
// WebSocket with a tag in each frame.
package httpflv

import (
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/flvbody"
	"weir/internal/live"
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/stream"
)

var format = live.Format{Suffix: ".flv", ContentType: "video/x-flv", Variant: newVariant, First: fileHeader}

// New returns HTTP-FLV.
func New(env protocol.Env) *live.HTTP { return live.NewHTTP(env, format) }

// NewWebSocket returns WebSocket-FLV.
func NewWebSocket(env protocol.Env) *live.WebSockets { return live.NewWebSockets(env, format) }

// variant is FLV tags without the file's header.
type variant struct {
	flvbody.Options
	wrapping live.Wrapping
}

// newVariant returns the variant for a request, whose query may ask for H.265 under the legacy codec id.
func newVariant(c live.Choice) mux.Variant {
	form := flv.Form{SingleTrack: !c.AllTracks, HEVC12: c.Query.Get("codec") == "legacy"}
	return variant{flvbody.Options{Selection: c.Selection, Form: form, Repair: c.Repair}, c.Wrapping}
}

// Format implements mux.Variant.
func (variant) Format() string { return "flv" }

// NewEncoder implements mux.Variant.
func (v variant) NewEncoder() mux.Encoder { return flvbody.NewEncoder(v.Options, tags(v.wrapping)) }

// tags implements flvbody.Framing: FLV tags in a wrapping.
type tags live.Wrapping

const tagOverhead = 11 + 4 // header and the size behind (FLV 10.1 Annex E.4.1)

// Size implements flvbody.Framing.
func (w tags) Size(_ time.Duration, n int) int { return live.Wrapping(w).Size(tagOverhead + n) }

// Append implements flvbody.Framing.
func (w tags) Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	dst = live.Wrapping(w).AppendHead(dst, tagOverhead+len(header)+len(payload))
	dst = flv.AppendTag(dst, t, av.Milliseconds(dts), header, payload)
	return live.Wrapping(w).AppendTail(dst)
}

// AppendEnd implements flvbody.Framing.
func (w tags) AppendEnd(dst []byte) []byte { return live.Wrapping(w).AppendEnd(dst) }

// fileHeader returns the FLV header, with flags for the media that the stream has.
func fileHeader(h *stream.Headers, s mux.Selection) []byte {
	return flv.AppendFileHeader(nil, h.Has(av.Audio) && !s.NoAudio, h.Has(av.Video) && !s.NoVideo)
}
