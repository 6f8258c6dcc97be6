package record

import (
	"time"

	"weir/internal/event"
)

// File is one file of a recording, as the archive's index has a row of it.
type File struct {
	ID        string // ULID
	Stream    string // path of the stream
	Recording string // name of the recording that made it ("main")
	Take      string // ULID: the same for files that continue one another without a gap
	Epoch     uint64
	Dir, Name string    // directory of the recording, path of the file below it (without .part)
	Format    string    // "mp4", "flv", "ts"
	Start     time.Time // wall time (from stream time) of its first frame, UTC
	Duration  time.Duration
	Bytes     int64
	Codecs    string // RFC 6381
	Coding    string // hash of how the tracks are coded: what must be equal for two files to be played as one
	Missing   string // why what was sent before it is in no file: MissingSlow, MissingFailed, or nothing was
	Keep      Keep   // the retention rule of the entry that made it
	Upload    string // name of the s3 entry it goes to; "" none

	// publisher is the session with which it began, as events have it; nil if that is not known, as after a crash. What the
	// session showed may be in it: it is in no file.
	publisher *event.Session
}

// Why something is missing before a file.
const (
	MissingSlow   = "slow"   // the disk was too slow, or the server too busy
	MissingFailed = "failed" // no file could be written
)

// MediaType is that of the file's format.
func (f *File) MediaType() string {
	return map[string]string{"mp4": "video/mp4", "flv": "video/x-flv", "ts": "video/mp2t"}[f.Format]
}

// Catalog is told of files. It must not block for long: it may do I/O, but other recordings of the directory wait for it. No
// stream does.
type Catalog interface {
	Begun(f File) error       // NAME.part exists
	Done(f File) error        // NAME exists, whole
	Failed(f File, err error) // it stays as NAME.part, or is gone
	// Repaired tells that a file which a crash left is whole. What it does not say of itself is empty: Dir and Name tell which it is.
	Repaired(f File) error
	// Taken reports whether a name below a directory is that of a file which is somewhere else now, such as in the storage it was uploaded to.
	Taken(dir, name string) bool
}
