// Package m3u8 writes, reads and checks the playlists of HTTP Live Streaming: RFC 8216 and
// its second edition (draft-pantos-hls-rfc8216bis, "8216bis" below), with Low-Latency HLS,
// delta updates, rendition reports and date ranges.
//
// Media and Multivariant are a playlist as data. Append writes one, ParseMedia and
// ParseMultivariant read one, and Read one of either kind within bounds of memory; Validate and ValidateUpdate report where one, or one after
// another, breaks the rules of the RFC and of Apple's authoring specification, as far
// as playlists alone show it.
//
// Reading is strict: what contradicts the syntax is an error. Tags and attributes that are
// unknown are passed over, as the RFC asks.
//
// Not supported: encryption other than AES-128 (EXT-X-KEY with another method or key format is an error), EXT-X-DEFINE,
// EXT-X-SESSION-DATA, EXT-X-SESSION-KEY, EXT-X-I-FRAME-STREAM-INF and
// EXT-X-CONTENT-STEERING, which are passed over.
package m3u8

// ContentType is the media type of playlists (RFC 8216 §10).
const ContentType = "application/vnd.apple.mpegurl"
