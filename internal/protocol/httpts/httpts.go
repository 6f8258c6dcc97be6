// Package httpts sends streams to players as MPEG-TS, in an HTTP response without end or over a
// WebSocket with the packets of one frame of media in each of its frames.
package httpts

import (
	"weir/internal/live"
	"weir/internal/mux"
	"weir/internal/protocol"
)

var format = live.Format{Suffix: ".ts", ContentType: "video/mp2t", Variant: newVariant, Check: check}

// New returns HTTP-TS.
func New(env protocol.Env) *live.HTTP { return live.NewHTTP(env, format) }

// NewWebSocket returns WebSocket-TS.
func NewWebSocket(env protocol.Env) *live.WebSockets { return live.NewWebSockets(env, format) }

// variant is MPEG-TS without a preamble: tables go before each key frame. A message is the packets of one frame.
type variant struct {
	mux.Selection
	wrapping live.Wrapping
}

func newVariant(c live.Choice) mux.Variant { return variant{c.Selection, c.Wrapping} }

// Format implements mux.Variant.
func (variant) Format() string { return "ts" }

// NewEncoder implements mux.Variant.
func (v variant) NewEncoder() mux.Encoder { return &encoder{variant: v} }
