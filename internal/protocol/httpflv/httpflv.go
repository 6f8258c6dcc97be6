// Package httpflv sends streams to players as FLV, by a plain HTTP response that does
// not end, or by a WebSocket with a tag in each frame.
package httpflv

import (
	"net/url"

	"weir/av"
	"weir/format/flv"
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/stream"
)

var live = protocol.Live{
	Suffix: ".flv", ContentType: "video/x-flv",
	Plain: mux.FLV, WebSocket: mux.WebSocketFLV,
	Variant: variant, First: fileHeader,
}

// New returns HTTP-FLV.
func New(env protocol.Env) *protocol.LiveHTTP { return protocol.NewLiveHTTP(env, live) }

// NewWebSocket returns WebSocket-FLV.
func NewWebSocket(env protocol.Env) *protocol.LiveWebSocket {
	return protocol.NewLiveWebSocket(env, live)
}

// variant completes what the request asks for: its query may ask for H.265 under the
// legacy codec id.
func variant(v *mux.Variant, q url.Values) {
	v.Form.SingleTrack = !v.AllTracks
	v.Form.HEVC12 = q.Get("codec") == "legacy"
}

// fileHeader is the FLV header with the flags of the tracks that are there.
func fileHeader(s *stream.Stream, v *mux.Variant) []byte {
	h := s.Headers()
	return flv.AppendFileHeader(nil, h.Has(av.Audio) && !v.NoAudio, h.Has(av.Video) && !v.NoVideo)
}
