package main

import (
	"fmt"
	"time"
)

// The contenders' names.
const (
	weirAtOnce = "weir, every frame at once"
	weirAuto   = "weir"
	weir350    = "weir, 350 ms"
	weirRTMPS  = "weir, RTMPS"
	weirHTTP   = "weir, HTTP-FLV"
	weirHTTPS  = "weir, HTTPS-FLV"
	weirWS     = "weir, WebSocket-FLV"
	weirSlow   = "weir, a tenth of the players slow"
	floorPlain = "floor"
	floor350   = "floor, 350 ms"
	nginxRTMP  = "nginx-rtmp"
	weirHLS    = "weir, HLS"
	nginxHTTP  = "nginx, the same bytes from memory"
)

// kind is what a window does.
type kind int

const (
	playing    kind = iota
	publishing      // no players
	storming
	requesting // playlists and parts
)

// server is a program that is measured.
type server int

const (
	weirServer server = iota
	floorServer
	nginxServer
	filesServer // nginx with files
)

// contender is a server with its settings and, where that differs, its load.
type contender struct {
	name   string
	server server
	set    []string      // of weir, KEY=VALUE
	gather time.Duration // of the floor
	scheme string        // of the players; rtmp if empty
	slow   int           // players that read at a fifth of the rate
}

// scenario is a load and those that take it.
type scenario struct {
	name       string
	title      string
	kind       kind
	streams    int
	players    int // in all
	bitrate    int // of each stream
	sample     int // players that are looked into; 0 is all
	settle     time.Duration
	warmup     time.Duration
	window     time.Duration
	contenders []contender
}

const (
	usualBitrate = 2_500_000
	lowBitrate   = 600_000
	usualSettle  = 300 * time.Millisecond
	usualWarmup  = 1500 * time.Millisecond
	usualWindow  = 4 * time.Second // two groups of pictures: the key frames weigh the same in each
)

func gathering(d string) []string {
	return []string{"delivery.min_delay=" + d, "delivery.max_delay=" + d}
}

var (
	atOnce  = contender{name: weirAtOnce, set: []string{"delivery.max_delay=0s", "rtmp.ingest_delay=0s"}}
	auto    = contender{name: weirAuto}
	late    = contender{name: weir350, set: gathering("350ms")}
	flat    = contender{name: floorPlain, server: floorServer}
	flatLat = contender{name: floor350, server: floorServer, gather: 350 * time.Millisecond}
	nginx   = contender{name: nginxRTMP, server: nginxServer}
)

// one is a scenario of one stream.
func one(players int, c ...contender) scenario {
	return scenario{
		name: fmt.Sprintf("1x%d", players), title: fmt.Sprintf("1 stream, %d players", players),
		streams: 1, players: players, bitrate: usualBitrate,
		settle: usualSettle, warmup: usualWarmup, window: usualWindow, contenders: c,
	}
}

// many is a scenario of streams with five players each.
func many(streams, bitrate int, c ...contender) scenario {
	s := one(5*streams, c...)
	s.name, s.title = fmt.Sprintf("%dx5", streams), fmt.Sprintf("%d streams, 5 players each", streams)
	s.streams, s.bitrate = streams, bitrate
	return s
}

// memory is a scenario of 5000 players of which hardly anything is looked into.
func memory(name, title, scheme, contenderName string) scenario {
	s := one(5000, contender{name: contenderName, scheme: scheme})
	s.name, s.title, s.sample, s.bitrate = name, title, 100, lowBitrate
	s.settle, s.warmup, s.window = 2500*time.Millisecond, 2*time.Second, 2*time.Second
	return s
}

// scenarios is all that is measured, in this order.
func scenarios() []scenario {
	s := []scenario{
		one(50, atOnce, auto, flat, nginx),
		one(500, atOnce, auto, flat, nginx),
		one(1000, atOnce, auto, late, flat, flatLat, nginx),
		one(2000, atOnce, auto, flat, nginx),
	}

	low := one(2000, auto, nginx)
	low.name, low.title, low.bitrate = "1x2000-600k", "1 stream of 600 kbit/s, 2000 players", lowBitrate

	large := one(5000, auto, flat)
	large.title, large.sample = "1 stream, 5000 players, 100 of them looked into", 100
	large.settle, large.warmup = 2500*time.Millisecond, 3*time.Second

	slow := one(500, auto, contender{name: weirSlow, slow: 50, set: []string{
		"streams.0.match=**", "streams.0.slow_player.max_lag=1s",
	}})
	slow.name, slow.title, slow.warmup = "slow", "1 stream, 500 players, 50 of them at a fifth of the rate", 5*time.Second

	tls := one(300, auto, contender{name: weirRTMPS, scheme: "rtmps"},
		contender{name: weirHTTP, scheme: "http"}, contender{name: weirHTTPS, scheme: "https"})
	tls.name, tls.title, tls.sample = "tls", "1 stream, 300 players, with and without TLS 1.3", 10
	tls.settle = 8 * time.Second // with few players, what the stream itself needs would weigh in the memory of each

	http := one(500, contender{name: weirHTTP, scheme: "http"}, contender{name: weirWS, scheme: "ws"}, flat)
	http.name, http.title = "flv", "1 stream, 500 players, FLV by HTTP and WebSocket"

	storm := one(1000, auto)
	storm.name, storm.title, storm.kind = "storm", "1000 players join 1000 others within a second", storming

	ingest := one(0, auto, nginx)
	ingest.name, ingest.title, ingest.kind, ingest.streams = "ingest", "200 publishers, no players", publishing, 200

	hls := one(50, contender{name: weirHLS}, contender{name: nginxHTTP, server: filesServer})
	hls.name, hls.title, hls.kind = "hls", "HLS: 50 connections, one playlist to one part", requesting
	hls.settle = 5 * time.Second // until there are segments

	return append(s, low, large,
		many(100, usualBitrate, atOnce, auto, flat),
		many(500, lowBitrate, atOnce, auto, flat),
		slow, tls, http, storm, ingest, hls,
		memory("memory-rtmp", "Memory: 5000 players by RTMP", "rtmp", weirAuto),
		memory("memory-http", "Memory: 5000 players by HTTP-FLV", "http", weirHTTP),
		memory("memory-ws", "Memory: 5000 players by WebSocket-FLV", "ws", weirWS),
	)
}

// quick is the one row that is measured in passing, with shorter windows.
func quick() []scenario {
	s := one(500, atOnce, auto, flat, nginx)
	s.warmup, s.window = 700*time.Millisecond, 2*time.Second
	return []scenario{s}
}
