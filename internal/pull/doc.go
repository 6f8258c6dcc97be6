// Package pull fetches streams from other servers: those of streams[].pull, of an edge's origin, and those that the API or
// the decision hook give, always or as soon as somebody plays them.
//
// A Manager has a pull for each path, and each pull that is at work one goroutine, which opens the sources in their order,
// publishes what one of them sends through the one door (internal/peer), as a session of its own, and goes on with
// the next when that fails. The stream stays meanwhile, as it does when an encoder's connection breaks: its
// players wait for the grace of the stream's settings, and go on at the next source's first key frame.
//
// All players of a stream share its pull. When no source can be had, those that wait are told at once.
package pull
