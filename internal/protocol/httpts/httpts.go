// Package httpts sends streams to players as MPEG-TS, by a plain HTTP response that does
// not end, or by a WebSocket with the packets of a frame in each of its own.
package httpts

import (
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/stream"
)

var live = protocol.Live{
	Suffix: ".ts", ContentType: "video/mp2t",
	Plain: mux.TS, WebSocket: mux.WebSocketTS,
	Check: check,
}

// New returns HTTP-TS.
func New(env protocol.Env) *protocol.LiveHTTP { return protocol.NewLiveHTTP(env, live) }

// NewWebSocket returns WebSocket-TS.
func NewWebSocket(env protocol.Env) *protocol.LiveWebSocket {
	return protocol.NewLiveWebSocket(env, live)
}

// check refuses a stream of which the format can carry nothing. Tracks that it cannot
// carry beside others are left out.
func check(s *stream.Stream, v *mux.Variant) error {
	return v.CheckTS(s.Headers().Descriptions())
}
