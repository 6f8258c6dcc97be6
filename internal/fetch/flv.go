package fetch

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
)

// maxLeftOut bounds the tracks that are named.
const maxLeftOut = 16

// flvFeed makes frames of tag bodies and their 32-bit times, from a file or from messages.
type flvFeed struct {
	demux   flv.Demuxer
	clock   av.Unwrapper
	frames  []av.Frame
	leftOut []string
	bad     int64 // bodies that could not be read
}

// feed takes a body. Bodies that cannot be parsed are counted and skipped, as a player would.
func (s *flvFeed) feed(typ flv.TagType, timestamp uint32, body []byte) {
	var err error
	s.frames, err = s.demux.Demux(nil, typ, s.clock.Unwrap(timestamp), body)
	switch {
	case err == nil:
	case errors.Is(err, flv.ErrUnknownCodec):
		c, _ := flv.FourCC(typ, body)
		if name := fmt.Sprintf("%v %v", c, typ); len(s.leftOut) < maxLeftOut && !slices.Contains(s.leftOut, name) {
			s.leftOut = append(s.leftOut, name)
		}
	default:
		s.bad++
	}
}

// next returns the next frame of the bodies fed.
func (s *flvFeed) next() (*av.Frame, bool) {
	if len(s.frames) == 0 {
		return nil, false
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	return &f, true
}

func (s *flvFeed) condition() Condition {
	c := Condition{LeftOut: slices.Clone(s.leftOut)}
	c.damage(s.bad, "tag", "cannot be read")
	return c
}

// damage adds a line that says what is wrong with how many things, if n is not 0.
func (c *Condition) damage(n int64, thing, what string) {
	switch {
	case n == 1:
		c.Damage = append(c.Damage, "1 "+thing+" "+what)
	case n > 1:
		c.Damage = append(c.Damage, fmt.Sprintf("%d %ss %s", n, thing, what))
	}
}

// flvSource reads FLV from a byte stream.
type flvSource struct {
	flvFeed
	tags      *flv.Reader
	close     func() error
	live      bool
	truncated bool
}

// Live implements Source.
func (s *flvSource) Live() bool { return s.live }

// Close implements Source.
func (s *flvSource) Close() error { return s.close() }

// ReadFrame returns ErrLost, which is an io.EOF, when the connection breaks.
func (s *flvSource) ReadFrame() (*av.Frame, error) {
	for {
		if f, ok := s.next(); ok {
			return f, nil
		}
		t, err := s.tags.ReadTag()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			if err = ErrLost; !s.live {
				s.truncated, err = true, io.EOF
			}
		}
		if errors.Is(err, flv.ErrLimit) {
			err = session.Because(session.TooLarge, err)
		}
		if err != nil {
			return nil, err
		}
		s.feed(t.Type, t.Timestamp, t.Body)
	}
}

// Condition implements Source.
func (s *flvSource) Condition() Condition {
	c := s.condition()
	if c.Truncated = s.truncated; !s.truncated { // if it is, they are the bytes of the last tag
		c.damage(s.tags.Skipped(), "byte", "between the tags")
	}
	return c
}
