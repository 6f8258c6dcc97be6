// Package httpts sends streams to players as MPEG-TS, by a plain HTTP response that does
// not end, or by a WebSocket with the packets of a frame in each of its own.
package httpts

import (
	"net/url"

	"weir/internal/live"
	"weir/internal/mux"
	"weir/internal/protocol"
)

var format = live.Format{Suffix: ".ts", ContentType: "video/mp2t", Variant: newVariant, Check: check}

// New returns HTTP-TS.
func New(env protocol.Env) *live.HTTP { return live.NewHTTP(env, format) }

// NewWebSocket returns WebSocket-TS.
func NewWebSocket(env protocol.Env) *live.WebSocket { return live.NewWebSocket(env, format) }

// variant is MPEG-TS: tables go before each key frame, so that nothing need precede it. For a
// WebSocket the packets of each frame are in a frame of it.
type variant struct {
	mux.Selection
	webSocket bool
}

func newVariant(_ url.Values, s mux.Selection, webSocket bool) mux.Variant {
	return variant{s, webSocket}
}

// Format implements mux.Variant.
func (v variant) Format() string {
	if v.webSocket {
		return "ws-ts"
	}
	return "http-ts"
}

// NewEncoder implements mux.Variant.
func (v variant) NewEncoder() mux.Encoder { return &encoder{variant: v} }
