package flv

import (
	"io"

	"weir/av"
)

// A FrameReader reads the frames of an FLV file or stream.
type FrameReader struct {
	tags    *Reader
	demuxer Demuxer
	clock   av.Unwrapper
	frames  []av.Frame
	next    int
	dropped int64
}

// NewFrameReader returns a FrameReader of r.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{tags: NewReader(r)} }

// Header returns the file header, as Reader's does.
func (r *FrameReader) Header() (Header, error) { return r.tags.Header() }

// Skipped returns how many bytes were no tags, as Reader's does.
func (r *FrameReader) Skipped() int64 { return r.tags.Skipped() }

// Dropped returns how many tags could not be read to their end as frames.
func (r *FrameReader) Dropped() int64 { return r.dropped }

// ReadFrame returns the next frame. Its times are the file's, carried on where the
// 32-bit milliseconds wrap: each timestamp is taken for the nearest to the one before,
// the first for the nearest to 0, so that it may be negative. Tags that are not frames
// are passed over and counted. The errors are those of Reader.ReadTag.
func (r *FrameReader) ReadFrame() (*av.Frame, error) {
	for r.next == len(r.frames) {
		t, err := r.tags.ReadTag()
		if err != nil {
			return nil, err
		}
		r.next = 0
		r.frames, err = r.demuxer.Demux(r.frames[:0], t.Type, r.clock.Unwrap(t.Timestamp), t.Body)
		if err != nil {
			r.dropped++
		}
	}
	f := r.frames[r.next]
	r.next++
	return &f, nil
}
