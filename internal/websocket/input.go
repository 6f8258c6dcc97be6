// Package websocket parses what players send over a WebSocket and frames what they are sent (RFC
// 6455). It does not do the upgrade.
package websocket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The opcodes of frames (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

const (
	isFinal    = 0x80 // of the first byte of a frame: it is the message's last
	isMasked   = 0x80 // of the second
	maxControl = 125  // bytes of a control frame's payload
	// maxMessage is the longest message that a player may send.
	maxMessage = 4 << 10
)

// Fault is an error for which a close frame with a status code is sent (RFC 6455 §7.4.1).
type Fault struct {
	code uint16
	what string
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("WebSocket status %d: %s", f.code, f.what) }

func protocolError(what string) error { return &Fault{1002, what} }

// ErrClosed says that the player has sent a close frame.
var ErrClosed = errors.New("closed by the player")

// Input parses what a player sends, in pieces of any size: it handles control frames and skips messages. It keeps
// only the position in a frame, so that a silent player needs neither a goroutine nor a buffer.
type Input struct {
	Heard func()         // a pong came
	Reply func(b []byte) // called to send a whole frame

	head    [14]byte
	have    int    // bytes of head
	left    int    // bytes of payload to come, once the head is complete
	total   int    // bytes of the message so far
	message bool   // the message has further frames
	control []byte // unmasked payload of a control frame; nil in other frames
	in      bool   // in a frame's payload
}

// Feed parses bytes. An error, which is ErrClosed or a *Fault, ends the player, and has already been answered.
func (w *Input) Feed(b []byte) error {
	for len(b) > 0 {
		if !w.in {
			n := copy(w.head[w.have:w.headSize()], b)
			b = b[n:]
			w.have += n
			if err := w.checkStart(); err != nil {
				return w.end(err)
			}
			if w.have < w.headSize() {
				continue
			}
			if err := w.begin(); err != nil {
				return w.end(err)
			}
		} else {
			n := min(w.left, len(b))
			if w.isControl() {
				w.unmask(b[:n])
			}
			b, w.left = b[n:], w.left-n
		}
		if w.in && w.left == 0 {
			if err := w.finish(); err != nil {
				return w.end(err)
			}
		}
	}
	return nil
}

// headSize returns the size of the frame's head, as far as it is known.
func (w *Input) headSize() int {
	const least, mask = 2, 4
	if w.have < least {
		return least
	}
	switch w.head[1] &^ isMasked {
	case 126:
		return least + 2 + mask
	case 127:
		return least + 8 + mask
	}
	return least + mask
}

func (w *Input) opcode() byte    { return w.head[0] & 0xf }
func (w *Input) isControl() bool { return w.opcode() >= opClose }

// checkStart refuses a frame by the first two bytes of its head, without waiting for the rest.
func (w *Input) checkStart() error {
	if w.have < 2 {
		return nil
	}
	switch {
	case w.head[0]&0x70 != 0:
		return protocolError("reserved bits are set")
	case w.head[1]&isMasked == 0:
		return protocolError("a frame is not masked")
	case w.isControl() && (w.head[0]&isFinal == 0 || w.head[1]&^isMasked > maxControl):
		return protocolError("a control frame is too long or in pieces")
	}
	return nil
}

// begin checks a complete head.
func (w *Input) begin() error {
	final := w.head[0]&isFinal != 0
	length := uint64(w.head[1] &^ isMasked)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(w.head[2:]))
	case 127:
		length = binary.BigEndian.Uint64(w.head[2:])
	}
	switch w.opcode() {
	case opClose, opPing, opPong: // checkStart has checked them
	case opText:
		return &Fault{1003, "a text message"}
	case opBinary, opContinuation:
		if w.message != (w.opcode() == opContinuation) {
			return protocolError("a message begins within another, or goes on without a beginning")
		}
		if length > maxMessage || w.total+int(length) > maxMessage {
			return &Fault{1009, "a message is too long"}
		}
		w.total += int(length)
		if w.message = !final; final {
			w.total = 0
		}
	default:
		return protocolError("unknown opcode")
	}
	w.left, w.in = int(length), true
	return nil
}

// unmask appends masked bytes to the control frame's payload.
func (w *Input) unmask(b []byte) {
	if w.control == nil {
		w.control = make([]byte, 0, w.left)
	}
	mask := w.head[w.headSize()-4:]
	for _, c := range b {
		w.control = append(w.control, c^mask[len(w.control)%4])
	}
}

// finish handles a complete frame.
func (w *Input) finish() error {
	payload := w.control
	w.have, w.in, w.control = 0, false, nil
	switch w.opcode() {
	case opPing:
		w.Reply(append([]byte{isFinal | opPong, byte(len(payload))}, payload...))
	case opPong:
		w.Heard()
	case opClose:
		return closeFault(payload)
	}
	return nil
}

// closeFault returns ErrClosed, or a *Fault if the payload of a close frame is wrong.
func closeFault(payload []byte) error {
	switch {
	case len(payload) == 0:
		return ErrClosed
	case len(payload) == 1 || !utf8.Valid(payload[2:]):
		return protocolError("a malformed close frame")
	}
	switch code := binary.BigEndian.Uint16(payload); {
	case code >= 3000 && code < 5000, code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
		return ErrClosed
	}
	return protocolError("a close frame with a code that may not be sent")
}

// IsClose reports whether a frame that Reply was given is a close frame.
func IsClose(frame []byte) bool { return frame[0]&0xf == opClose }

// end answers with a close frame and returns err.
func (w *Input) end(err error) error {
	code := uint16(1000)
	if f, ok := errors.AsType[*Fault](err); ok {
		code = f.code
	}
	w.Reply(binary.BigEndian.AppendUint16([]byte{isFinal | opClose, 2}, code))
	return err
}
