package fetch

import (
	"errors"
	"io"

	"weir/av"
	"weir/format/mpegts"
)

// tsSource reads MPEG-TS from a byte stream.
type tsSource struct {
	in     io.Reader
	close  func() error
	live   bool
	demux  mpegts.Demuxer
	begin  beginning
	buf    []byte
	frames []av.Frame
	ended  error // why nothing follows
	// truncated says that bytes followed the last packet.
	truncated bool
}

// Live implements Source.
func (s *tsSource) Live() bool { return s.live }

// Close implements Source.
func (s *tsSource) Close() error { return s.close() }

// ReadFrame reads packets until they give a frame.
func (s *tsSource) ReadFrame() (*av.Frame, error) {
	for {
		if len(s.frames) > 0 {
			f := s.frames[0]
			s.frames = s.frames[1:]
			return &f, nil
		}
		if s.ended != nil {
			return nil, s.ended
		}
		n, err := s.in.Read(s.buf)
		frames := s.demux.Demux(nil, s.buf[:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if s.ended = io.EOF; s.live && errors.Is(err, io.ErrUnexpectedEOF) {
				s.ended = ErrLost
			}
			before := s.demux.Counters()
			frames = s.demux.Flush(frames)
			s.truncated = !s.live && s.demux.Counters().Skipped > before.Skipped
		case err != nil:
			return nil, err
		}
		s.frames = s.begin.take(frames, playable(s.demux.Tracks()), s.ended != nil)
	}
}

// Condition implements Source.
func (s *tsSource) Condition() Condition {
	c := tsCondition(&s.demux)
	c.Truncated = s.truncated
	return c
}

// tsCondition says what is wrong with a transport stream so far.
func tsCondition(d *mpegts.Demuxer) (c Condition) {
	c.LeftOut = d.LeftOut()
	n := d.Counters()
	c.damage(int64(n.Errors), "transport packet", "marked as damaged")
	c.damage(int64(n.Malformed), "transport packet", "malformed")
	c.damage(int64(n.Scrambled), "transport packet", "encrypted")
	c.damage(int64(n.Gaps), "place", "where transport packets are missing")
	c.damage(int64(n.BadSections), "table", "damaged")
	c.damage(int64(n.DroppedPES), "PES packet", "damaged or incomplete")
	c.damage(int64(n.BadFrames), "frame", "damaged")
	return c
}
