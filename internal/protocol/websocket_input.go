package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The opcodes of frames (RFC 6455 §5.2).
const (
	wsContinuation = 0x0
	wsText         = 0x1
	wsBinary       = 0x2
	wsClose        = 0x8
	wsPing         = 0x9
	wsPong         = 0xa
)

const (
	wsFinal      = 0x80 // of the first byte of a frame: it is the message's last
	wsMasked     = 0x80 // of the second
	wsMaxControl = 125  // bytes of a control frame's payload
	// wsMaxMessage is the longest message that a player may send.
	wsMaxMessage = 4 << 10
)

// wsFault is an error for which a close frame with a status code is sent (RFC 6455 §7.4.1).
type wsFault struct {
	code uint16
	what string
}

// Error implements error.
func (f *wsFault) Error() string { return fmt.Sprintf("WebSocket status %d: %s", f.code, f.what) }

func wsError(what string) error { return &wsFault{1002, what} }

// errWSClosed is the end by the player's close frame.
var errWSClosed = errors.New("closed by the player")

// wsInput takes in what a player sends, in pieces of any size: control frames, and messages
// that mean nothing to a server that only sends and are passed over. It holds nothing but
// the place in a frame, so that a player needs neither a goroutine nor a buffer while
// it says nothing.
type wsInput struct {
	heard func()         // a pong came
	reply func(b []byte) // sends a whole frame

	head    [14]byte
	have    int    // bytes of head
	left    int    // bytes of payload to come, once the head is complete
	total   int    // bytes of the message so far
	message bool   // it has further frames
	control []byte // payload of a control frame, unmasked; nil of other frames
	in      bool   // in a frame's payload
}

// feed takes in bytes. An error, which is errWSClosed or a *wsFault, ends the player; it has
// been sent the answer then.
func (w *wsInput) feed(b []byte) error {
	for len(b) > 0 {
		if !w.in {
			n := copy(w.head[w.have:w.headSize()], b)
			b = b[n:]
			if w.have += n; w.have < w.headSize() {
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

// headSize is how long the frame's head is, as far as that is known.
func (w *wsInput) headSize() int {
	const least, mask = 2, 4
	if w.have < least {
		return least
	}
	switch w.head[1] &^ wsMasked {
	case 126:
		return least + 2 + mask
	case 127:
		return least + 8 + mask
	}
	return least + mask
}

func (w *wsInput) opcode() byte    { return w.head[0] & 0xf }
func (w *wsInput) isControl() bool { return w.opcode() >= wsClose }

// begin checks a complete head.
func (w *wsInput) begin() error {
	final, reserved := w.head[0]&wsFinal != 0, w.head[0]&0x70 != 0
	length := uint64(w.head[1] &^ wsMasked)
	switch length {
	case 126:
		length = uint64(binary.BigEndian.Uint16(w.head[2:]))
	case 127:
		length = binary.BigEndian.Uint64(w.head[2:])
	}
	switch {
	case reserved:
		return wsError("reserved bits are set")
	case w.head[1]&wsMasked == 0:
		return wsError("a frame is not masked")
	}
	switch w.opcode() {
	case wsClose, wsPing, wsPong:
		if !final || length > wsMaxControl {
			return wsError("a control frame is too long or in pieces")
		}
	case wsText:
		return &wsFault{1003, "a text message"}
	case wsBinary, wsContinuation:
		if w.message != (w.opcode() == wsContinuation) {
			return wsError("a message begins within another, or goes on without a beginning")
		}
		if length > wsMaxMessage || w.total+int(length) > wsMaxMessage {
			return &wsFault{1009, "a message is too long"}
		}
		w.total += int(length)
		if w.message = !final; final {
			w.total = 0
		}
	default:
		return wsError("unknown opcode")
	}
	w.left, w.in = int(length), true
	return nil
}

// unmask appends masked bytes to the control frame's payload.
func (w *wsInput) unmask(b []byte) {
	if w.control == nil {
		w.control = make([]byte, 0, w.left)
	}
	mask := w.head[w.headSize()-4:]
	for _, c := range b {
		w.control = append(w.control, c^mask[len(w.control)%4])
	}
}

// finish deals with a complete frame.
func (w *wsInput) finish() error {
	payload := w.control
	w.have, w.in, w.control = 0, false, nil
	switch w.opcode() {
	case wsPing:
		w.reply(append([]byte{wsFinal | wsPong, byte(len(payload))}, payload...))
	case wsPong:
		w.heard()
	case wsClose:
		return closeFault(payload)
	}
	return nil
}

// closeFault is errWSClosed, or what is wrong with the payload of a close frame.
func closeFault(payload []byte) error {
	switch {
	case len(payload) == 0:
		return errWSClosed
	case len(payload) == 1 || !utf8.Valid(payload[2:]):
		return wsError("a malformed close frame")
	}
	switch code := binary.BigEndian.Uint16(payload); {
	case code >= 3000 && code < 5000, code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
		return errWSClosed
	}
	return wsError("a close frame with a code that may not be sent")
}

// end answers with a close frame and returns err.
func (w *wsInput) end(err error) error {
	code := uint16(1000)
	if f, ok := errors.AsType[*wsFault](err); ok {
		code = f.code
	}
	w.reply(binary.BigEndian.AppendUint16([]byte{wsFinal | wsClose, 2}, code))
	return err
}
