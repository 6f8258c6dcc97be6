// Package fanout delivers one stream's encoded bytes to any number of players.
//
// A Log is the shared, append-only list of bytes already framed for the wire. A
// Player is a cursor on it. A few workers own the players and send, without ever
// blocking, the contiguous bytes from each cursor to the head of its log. There is
// no goroutine, channel, copy or allocation per player per message.
//
// # Invariants
//
//  1. Bytes below a segment's committed length never change; the length and the
//     number of marks only grow; next is stored after the last commit, so that a reader
//     that sees next must load the length again before it leaves the segment.
//  2. One worker owns a player; a goroutine that waits for a socket only reports to it.
//  3. An audience's queued flag is cleared before the log is read, and a worker says
//     that it sleeps before it looks at its queue again: no wake-up is lost.
//  4. A cursor leaves byte order only at a message boundary and lands only on a sync
//     mark, or where its lead ends; the rest of the message in flight is sent first.
//  5. A player that is blocked and too far behind is detached: it keeps the rest
//     of one message and no more of the log.
//  6. Only the worker closes a player's connection, so that a descriptor is never
//     used after it was closed and given away again.
//  7. Appending never waits for a player, and a round never blocks.
//  8. What is in a log depends neither on its players nor on where they joined.
package fanout
