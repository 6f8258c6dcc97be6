package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The types of messages (RTMP 1.0 §5.4, §7.1).
const (
	typeChunkSize  = 1
	typeAck        = 3
	typeControl    = 4
	typeWindowSize = 5
	typeAudio      = 8
	typeVideo      = 9
	typeData       = 18
	typeCommand    = 20
)

const (
	commandHead = 512 // how much of a command is kept
	maxCSIDs    = 16
	maxHeader   = 3 + 11 + 4
)

// errFraming is wrapped by everything that says the bytes make no sense.
var errFraming = errors.New("lost the framing")

// messages is what a follower of chunks reports to. head is the beginning of the payload,
// valid during the call.
type messages interface {
	// message is called for each whole message. tail is its last four bytes.
	message(typ byte, head []byte, length int, tail uint32) error
}

// rtmpFollower follows the chunks of one direction of an RTMP connection (RTMP 1.0
// §5.3). It looks at headers and at the first and last bytes of messages, and passes
// over the rest. Its input may begin with any message that has a header of fmt 0 or 1.
type rtmpFollower struct {
	to        messages
	chunkSize uint32
	left      uint32 // of the current chunk
	cur       *chunkStream
	open      int // messages begun and not ended
	partial   []byte
	space     [maxHeader]byte
	streams   []*chunkStream
}

// chunkStream is the state of one chunk stream id.
type chunkStream struct {
	csid   uint32
	length uint32
	got    uint32
	typ    byte
	ext    bool // the last header with a timestamp had an extended one
	tail   uint32
	head   []byte
}

func newRTMPFollower(to messages) *rtmpFollower {
	return &rtmpFollower{to: to, chunkSize: 128}
}

// atBoundary reports whether all input so far was whole messages.
func (f *rtmpFollower) atBoundary() bool { return f.open == 0 && f.left == 0 && len(f.partial) == 0 }

// feed follows b.
func (f *rtmpFollower) feed(b []byte) error {
	for len(b) > 0 {
		if f.left > 0 {
			n := min(uint32(len(b)), f.left)
			f.cur.take(b[:n])
			f.left -= n
			b = b[n:]
			if f.left == 0 && f.cur.got == f.cur.length {
				if err := f.end(); err != nil {
					return err
				}
			}
			continue
		}
		var n int
		var err error
		if len(f.partial) == 0 && len(b) >= maxHeader {
			n, err = f.header(b)
		} else {
			// At the end of a read: byte by byte, until the header is whole.
			f.partial = append(f.space[:len(f.partial)], b[0])
			b = b[1:]
			if n, err = f.header(f.partial); n > 0 {
				f.partial, n = f.partial[:0], 0
			}
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// header reads a chunk header from b and returns its size; 0 if b does not hold it all.
func (f *rtmpFollower) header(b []byte) (int, error) {
	format, csid, n := b[0]>>6, uint32(b[0]&63), 1
	if csid < 2 {
		n = 2 + int(csid)
		if len(b) < n {
			return 0, nil
		}
		if csid == 0 {
			csid = 64 + uint32(b[1])
		} else {
			csid = 64 + uint32(b[1]) + uint32(b[2])<<8
		}
	}
	size := n + [4]int{11, 7, 3, 0}[format]
	if len(b) < size {
		return 0, nil
	}
	s, err := f.find(csid)
	if err != nil {
		return 0, err
	}
	ext := s.ext
	if format < 3 {
		ext = b[n] == 0xff && b[n+1] == 0xff && b[n+2] == 0xff
	}
	if ext {
		size += 4
		if len(b) < size {
			return 0, nil
		}
	}
	s.ext = ext
	if s.got > 0 && format < 3 {
		return 0, fmt.Errorf("%w: a message on chunk stream %d ended after %d of %d bytes", errFraming, csid, s.got, s.length)
	}
	if format < 2 {
		s.length = uint32(b[n+3])<<16 | uint32(b[n+4])<<8 | uint32(b[n+5])
		s.typ = b[n+6]
		if s.typ == 0 || s.typ > 22 {
			return 0, fmt.Errorf("%w: message type %d", errFraming, s.typ)
		}
	} else if s.typ == 0 {
		return 0, fmt.Errorf("%w: fmt %d first on chunk stream %d", errFraming, format, csid)
	}
	f.cur = s
	if s.got == 0 {
		f.open++
		s.head, s.tail = s.head[:0], 0
		if s.length == 0 {
			return size, f.end()
		}
	}
	f.left = min(s.length-s.got, f.chunkSize)
	return size, nil
}

// find returns the state of a chunk stream.
func (f *rtmpFollower) find(csid uint32) (*chunkStream, error) {
	for _, s := range f.streams {
		if s.csid == csid {
			return s, nil
		}
	}
	if len(f.streams) == maxCSIDs {
		return nil, fmt.Errorf("%w: more than %d chunk streams", errFraming, maxCSIDs)
	}
	s := &chunkStream{csid: csid}
	f.streams = append(f.streams, s)
	return s, nil
}

// take passes over b, which is part of the payload.
func (s *chunkStream) take(b []byte) {
	keep := stampWithin
	if s.typ == typeCommand {
		keep = commandHead
	}
	if n := keep - len(s.head); n > 0 {
		s.head = append(s.head, b[:min(n, len(b))]...)
	}
	// Most of the payload is neither beginning nor end.
	if end := s.got + uint32(len(b)); end+stampTail > s.length {
		for _, c := range b[max(0, len(b)-stampTail):] {
			s.tail = s.tail<<8 | uint32(c)
		}
	}
	s.got += uint32(len(b))
}

// end reports the current message.
func (f *rtmpFollower) end() error {
	s := f.cur
	s.got = 0
	f.open--
	if s.typ == typeChunkSize && len(s.head) >= 4 {
		n := binary.BigEndian.Uint32(s.head)
		if n == 0 || n>>31 != 0 {
			return fmt.Errorf("%w: chunk size %d", errFraming, n)
		}
		f.chunkSize = n
	}
	return f.to.message(s.typ, s.head, int(s.length), s.tail)
}
