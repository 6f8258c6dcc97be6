package server

import (
	"crypto/tls"

	"weir/internal/hls"
	"weir/internal/protocol"
	"weir/internal/protocol/httpflv"
	"weir/internal/protocol/httphls"
	"weir/internal/protocol/httpts"
	"weir/internal/protocol/rtmp"
)

// setup is what a protocol may be built from besides its Env.
type setup struct {
	conf    *Config
	stream  func(path string) *StreamConfig
	loadTLS func(cert, key string) (*tls.Config, error)
}

// protocols is every protocol that the server speaks. The name is its log key, metric
// label and name in the API, and its section of the configuration if it has one.
var protocols = []struct {
	name string
	new  func(env protocol.Env, s setup) (protocol.Protocol, error)
}{
	{"rtmp", func(env protocol.Env, s setup) (protocol.Protocol, error) {
		return rtmp.New(env, s.conf.RTMP, s.loadTLS)
	}},
	{"http-flv", func(env protocol.Env, _ setup) (protocol.Protocol, error) { return httpflv.New(env), nil }},
	{"ws-flv", func(env protocol.Env, _ setup) (protocol.Protocol, error) { return httpflv.NewWebSocket(env), nil }},
	{"http-ts", func(env protocol.Env, _ setup) (protocol.Protocol, error) { return httpts.New(env), nil }},
	{"ws-ts", func(env protocol.Env, _ setup) (protocol.Protocol, error) { return httpts.NewWebSocket(env), nil }},
	{"hls", func(env protocol.Env, s setup) (protocol.Protocol, error) {
		return httphls.New(env, func(path string) (hls.Settings, bool) { return s.stream(path).HLS.settings() }), nil
	}},
}
