// Package record keeps streams as files: MP4 that survives a crash, FLV, and MPEG-TS.
//
// # The walk of one frame
//
//  1. A recording is a stream.Follower with a goroutine. It wakes up a few times a second, joins what came in pieces, and puts
//     the frames of all tracks in the order in which they are shown (order.go).
//  2. The taker (take.go) decides to which file a frame belongs: at a key frame, and there only, it cuts.
//  3. Frames gather in a batch, a group of pictures or a second of them. A whole batch goes into the queue of its
//     output (output.go), which is bounded: a disk that is too slow costs the recording frames, and nobody else anything.
//  4. A worker of the directory's pool (pool.go) encodes the batch by the file's container (container.go), and writes it with one write.
//
// A file is called NAME.part until it is whole and on the disk. Everything about files goes through a storage (storage.go), which never
// leaves the recording's directory.
//
// The Manager starts and stops the recordings of streams, by the configuration, by what a hook grants, and by the API.
package record
