// Package hls cuts streams into the segments and parts of HTTP Live Streaming, and makes
// the playlists: RFC 8216 and its second edition (draft-pantos-hls-rfc8216bis), Low-Latency
// HLS included. It speaks no HTTP.
//
// A Packager is one stream's. It is a muxer of the stream: on the publisher's goroutine it
// gathers frames, cuts parts and segments and notes what is new; playlists are rendered, and
// compressed, once, for the first viewer that asks for them.
//
// A packager runs from the first request for its stream until a minute after the last one:
// a stream that nobody watches by HLS costs nothing. What its next run must know, so that
// numbers go on, names are never used again and the target duration stays, is kept as long
// as the stream lives. The alternative, to package every stream from its first frame on,
// would save the first viewer the wait for one group of pictures.
//
// Cuts are made by the lead track: the video, else the sound. Segments are cut at key
// frames, or by time if there is no video; parts hold whole frames.
//
// A track that cannot be carried is left out, and so is one that is announced and never comes. For
// one that falls silent while others go on something stands in, the last key frame or silence,
// since players wait for every track that they were promised. MP3 goes out in MPEG-TS without
// parts, whatever the settings say: browsers take nothing else.
//
// Segments on disk are in a folder of the server's own below hls.directory, which is locked as long
// as the server runs.
//
// Not supported: several video tracks (the first is taken), sound tracks that appear beside
// others while a packager runs, encryption, I-frame playlists.
package hls
