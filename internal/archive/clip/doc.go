// Package clip makes a plain MP4 file of a range of time of recorded files: the media stays where it is,
// and only the description before it is new. Its size is known before a byte is sent, and any range of it
// can be read.
//
// The media is what the files' fragments hold, from the key frame before the range on. An edit list makes
// players begin and end exactly where they were told to. Between two files that follow one another the
// last samples last until the next ones begin. Nothing is encoded.
package clip
