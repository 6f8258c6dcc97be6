// Package stream is the hub: live streams by path, their publisher, the one
// timeline that runs on through every publisher, their tracks and headers, and the
// bounded list of recent frames from which players start.
//
// A frame walks Publisher.Write on the publisher's own goroutine: it is put on the timeline, its
// track is updated, it is appended to the list, and every attached Muxer is handed
// it. Nothing here does I/O, and no player can make a publisher wait.
//
// Locks: Hub.mu guards the map of streams and their reference counts, Stream.mu
// everything in one stream. Neither is taken while the other is held, and neither is
// held over a callback other than a Muxer's, which does memory work only.
package stream
