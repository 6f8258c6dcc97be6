// Package bench is a load generator for live-streaming servers: publishers whose frames
// carry a number and the time at which they were sent, and players that find these
// again, so that loss, repetition, order and latency are measured.
//
// Publishers speak RTMP and RTMPS. Players speak RTMP, RTMPS, HTTP-FLV and
// WebSocket-FLV, the latter two with TLS too. On Linux the players of plain TCP are
// descriptors in an epoll set, read into one buffer whose headers alone are followed, so
// that one core loads some thousands of them. Elsewhere, and with TLS, each player is a
// goroutine.
//
// The latency is exact only if publishers and players run on the same machine: on Linux
// frames carry CLOCK_MONOTONIC, elsewhere the time of day.
//
// Not supported: HTTP/2, RTMP's digest handshake, Enhanced RTMP, and servers that take
// the frames apart (an HLS segmenter, a transcoder): the bytes must come out as they went in.
package bench
