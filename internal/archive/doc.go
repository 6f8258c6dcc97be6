// Package archive knows what was recorded, and gives it out: which files there are of which stream, from when
// to when; any range of time as one MP4 file or as a playlist; and it removes what is too old.
//
// What it knows of the files is in an index, a database with a row for each file. The truth is in the
// files: an index that is lost, damaged or older than them is made anew from what they say of themselves,
// and questions are answered with ErrIndexing until that is done. A file's name says nothing.
//
// Time is that of the stream's clock, as the files have it. A file covers the time from its first frame to the
// end of its last one, the end excluded; so every question about a range finds exactly the files that have something of it.
package archive
