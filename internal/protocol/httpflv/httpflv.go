// Package httpflv sends streams to players as FLV, by a plain HTTP response that does
// not end, or by a WebSocket with a tag in each frame.
package httpflv

import (
	"net/url"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/flvbody"
	"weir/internal/live"
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/stream"
	"weir/internal/websocket"
)

var format = live.Format{Suffix: ".flv", ContentType: "video/x-flv", Variant: newVariant, First: fileHeader}

// New returns HTTP-FLV.
func New(env protocol.Env) *live.HTTP { return live.NewHTTP(env, format) }

// NewWebSocket returns WebSocket-FLV.
func NewWebSocket(env protocol.Env) *live.WebSocket { return live.NewWebSocket(env, format) }

// variant is FLV tags without the file's header, each in a frame of its own for a WebSocket.
type variant struct {
	flvbody.Options
	webSocket bool
}

// newVariant is what a request asks for: its query may ask for H.265 under the legacy codec id.
func newVariant(q url.Values, s mux.Selection, webSocket bool) mux.Variant {
	form := flv.Form{SingleTrack: !s.AllTracks, HEVC12: q.Get("codec") == "legacy"}
	return variant{flvbody.Options{Selection: s, Form: form}, webSocket}
}

// Format implements mux.Variant.
func (v variant) Format() string {
	if v.webSocket {
		return "ws-flv"
	}
	return "http-flv"
}

// NewEncoder implements mux.Variant.
func (v variant) NewEncoder() mux.Encoder { return flvbody.NewEncoder(v.Options, tags(v.webSocket)) }

// tags implements flvbody.Framing. It is true of tags in frames of a WebSocket.
type tags bool

const tagOverhead = 11 + 4 // header and the size behind (FLV 10.1 Annex E.4.1)

// Size implements flvbody.Framing.
func (webSocket tags) Size(_ time.Duration, n int) int {
	n += tagOverhead
	if webSocket {
		n += websocket.HeaderSize(n)
	}
	return n
}

// Append implements flvbody.Framing.
func (webSocket tags) Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	if webSocket {
		dst = websocket.AppendHeader(dst, tagOverhead+len(header)+len(payload))
	}
	return flv.AppendTag(dst, t, av.Milliseconds(dts), header, payload)
}

// AppendEnd implements flvbody.Framing.
func (webSocket tags) AppendEnd(dst []byte) []byte {
	if webSocket {
		return websocket.AppendClose(dst)
	}
	return dst
}

// fileHeader is the FLV header with the flags of the tracks that are there.
func fileHeader(h *stream.Headers, s mux.Selection) []byte {
	return flv.AppendFileHeader(nil, h.Has(av.Audio) && !s.NoAudio, h.Has(av.Video) && !s.NoVideo)
}
