package httpts

import "weir/internal/protocol"

// Config puts the protocols into the table of protocols. They have no section of the configuration.
type Config struct{}

// Protocols implements protocol.Section.
func (Config) Protocols() []protocol.Entry {
	return []protocol.Entry{
		{Name: "http-ts", New: func(env protocol.Env) (protocol.Protocol, error) { return New(env), nil }},
		{Name: "ws-ts", New: func(env protocol.Env) (protocol.Protocol, error) { return NewWebSocket(env), nil }},
	}
}
