package record

import "os"

// The room that is taken ahead of what is written, once that is leastAhead: as much as was written, within these.
const (
	leastAhead = 1 << 20
	mostAhead  = 16 << 20
)

// ahead is a file on the disk for which room is taken ahead of what is written, so that the files of many recordings do not lie between
// each other in small pieces. What it does not need is given back when it is closed.
type ahead struct {
	*os.File
	until int64 // room is taken up to here
	off   bool  // this file system does not do that, or is full
}

// WriteAt implements io.WriterAt.
func (f *ahead) WriteAt(b []byte, at int64) (int, error) {
	if end := at + int64(len(b)); !f.off && end > max(f.until, leastAhead) {
		to := end + min(end, mostAhead)
		if f.off = reserve(f.File, f.until, to-f.until) != nil; !f.off {
			f.until = to
		}
	}
	return f.File.WriteAt(b, at)
}

// Truncate changes the file's length, and gives back what was reserved behind it.
func (f *ahead) Truncate(size int64) error {
	f.until = min(f.until, size)
	return f.File.Truncate(size)
}

// Close gives back what was reserved behind the file's end. Without that the file is as good.
func (f *ahead) Close() error {
	if info, err := f.Stat(); err == nil && info.Size() < f.until {
		_ = f.File.Truncate(info.Size())
	}
	return f.File.Close()
}
