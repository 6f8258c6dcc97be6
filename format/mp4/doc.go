// Package mp4 writes MP4 files whose writer may die at any moment: ISO/IEC 14496-12, by the boxes of package fmp4.
//
// While it is written a file is fragmented MP4, which players open at any time:
//
//	ftyp  [free (reserved)]  free (16 bytes)  moov (with mvex)  uuid (stream and time)  moof mdat  moof mdat …
//
// Finish makes a plain MP4 file of it, in place and without moving a byte of media: a moov box with the sample tables goes behind
// the last fragment, and then the 16 bytes of the free box become the head of one mdat box that holds all that is between.
// Both are forced to the disk in this order, so that the file can be read whatever is interrupted. The fragments stay where they
// were: behind the moov box, a uuid box tells their places, and has the initialization segment that they need to be played
// on their own, as HLS does.
//
// If room was reserved in front, and the moov box fits there, it is moved there as the last step.
//
// Nothing is kept of the samples while a file grows. Finish reads the fragments' own descriptions, and Recover, which does the
// same after a crash, cannot find anything else than Finish would have.
//
// The package never logs. A Muxer makes bytes and does no I/O.
package mp4
