// Package stream is the hub: live streams by path, their publisher, the one
// timeline that runs on through every publisher, their tracks and headers, and the
// bounded list of recent frames from which players start.
//
// # The walk of one frame
//
// Publisher.Write runs on the publisher's own goroutine. Under the stream's lock it puts the frame
// on the timeline, learns from it about its track, decides whether players may start at it, and
// appends it to the list with the headers in force. Every attached Muxer is handed it there. Once
// the lock is released, Write strikes the bell and wakes the muxers. Nothing here does I/O, and
// no player can make a publisher wait.
//
// There are two ways to read. A Muxer is called under the lock with each frame, and encodes it once
// for all players of a format. A Follower has a goroutine of its own, and gets each frame as follows:
//
//  1. list.append writes entry n into the tail block and then stores n+1 in next.
//  2. bell.strike finds the bell armed, because a follower waits, and sends to the bell's goroutine.
//     If that is busy with the frame before, it will find this one too: a burst wakes once.
//  3. The goroutine closes the channel of each group with a waiting follower.
//  4. Follower.Next loads next, finds its number below it, finds the block by the ring, copies the
//     entry, and moves its pin when it leaves the block.
//
// No step takes the stream's lock, so Write costs the same for one follower as for thousands.
//
// # Invariants
//
// Of the list, which is also true while others read it:
//
//   - An entry whose number is below next never changes. Numbers never fall and have no gaps.
//   - The blocks kept are those from list.first on, without gaps, and the block of next is one.
//   - A block before the oldest start is kept only while a follower's next entry is in it or in an
//     older block that is kept for the same reason; no longer than MaxLag after its newest entry
//     arrived; and among heldFrames and heldBytes. To find the blocks to give up, append
//     looks only at the oldest block, and stops at the first that must stay; so its cost does not depend
//     on how many follow.
//   - A follower between two calls refers to entries by number. It holds no block, and the entry
//     that it returned holds its own payload and the headers in force then.
//
// Of followers:
//
//   - One that waits is woken by the next frame, by the end, by Close and by its context.
//   - It misses a frame only by a skip, which it counts; it reads none twice.
//   - What it reads first, and first after a skip, is a start.
//
// Of streams:
//
//   - At most one publisher is live. Only its frames come in, and its first media is a discontinuity if
//     it is not the stream's first publisher.
//   - Without a live publisher there is no start: who joins then begins with the next publisher.
//   - A stream is in the hub's map as long as it has references, unless it has ended. At most
//     Limits.Streams of them have a publisher or wait for its return, and at most Limits.Waiting
//     have neither. Only those without a publisher give way to others.
//   - Events of one stream are told in the order in which they happened.
//
// # Locks
//
// Hub.mu guards the map of streams and their references, Stream.mu everything in one stream that
// is not atomic. Neither is taken while the other is held, and neither is held over a callback
// other than a Muxer's, which does memory work only. A follower's lock is its own; those of the
// bell and its groups are leaves. Of these only the bell's is taken under Stream.mu, to join.
package stream
