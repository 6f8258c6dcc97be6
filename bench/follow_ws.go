package bench

import (
	"encoding/binary"
	"fmt"
)

// The WebSocket opcodes (RFC 6455 §5.2).
const (
	wsContinuation = 0
	wsText         = 1
	wsBinary       = 2
	wsClose        = 8
	wsPing         = 9
	wsPong         = 10
)

// wsFollower follows the frames that a server sends.
type wsFollower struct {
	body    feeder
	reply   func([]byte) // sends to the server
	partial []byte
	op      byte
	left    uint64
	control []byte
}

// feed follows b.
func (f *wsFollower) feed(b []byte) error {
	for len(b) > 0 {
		if f.left == 0 {
			f.partial = append(f.partial, b[0])
			b = b[1:]
			whole, err := f.header(f.partial)
			if err != nil {
				return err
			}
			if !whole {
				continue
			}
			f.partial = f.partial[:0]
			f.control = f.control[:0]
		}
		n := min(f.left, uint64(len(b)))
		if f.op >= wsClose {
			f.control = append(f.control, b[:n]...)
		} else if err := f.body.feed(b[:n]); err != nil {
			return err
		}
		f.left -= n
		b = b[n:]
		if f.left > 0 {
			return nil
		}
		switch f.op {
		case wsClose:
			return errStreamEnd
		case wsPing:
			f.reply(pong(f.control))
		}
	}
	return nil
}

// header reads a frame header; false if b does not hold it all.
func (f *wsFollower) header(b []byte) (bool, error) {
	if len(b) < 2 {
		return false, nil
	}
	size, length := 2, uint64(b[1]&127)
	switch length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if len(b) < size {
		return false, nil
	}
	switch size {
	case 4:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		length = binary.BigEndian.Uint64(b[2:])
	}
	f.op, f.left = b[0]&15, length
	switch f.op {
	case wsContinuation, wsBinary:
	case wsClose, wsPing, wsPong:
		if length > 125 {
			return false, fmt.Errorf("%w: a WebSocket control frame of %d bytes", errFraming, length)
		}
	default:
		return false, fmt.Errorf("%w: WebSocket opcode %d", errFraming, f.op)
	}
	if b[0]&0x70 != 0 || b[1]&0x80 != 0 {
		return false, fmt.Errorf("%w: a WebSocket frame with reserved bits or a mask", errFraming)
	}
	return true, nil
}

// pong answers a ping. The masking key is 0: a mask guards proxies, and there is none.
func pong(data []byte) []byte {
	return append([]byte{0x80 | wsPong, 0x80 | byte(len(data)), 0, 0, 0, 0}, data...)
}
