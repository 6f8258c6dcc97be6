package live

import (
	"strconv"

	"weir/internal/websocket"
)

// Wrapping is what surrounds each message of a format on its way to a player.
type Wrapping uint8

// The wrappings.
const (
	// Plain adds nothing: the response ends with its connection (HTTP/1.0) or has frames of its own (HTTP/2).
	Plain Wrapping = iota
	// Chunked makes each message a chunk of HTTP/1.1 (RFC 9112 §7.1), so that a player can tell the
	// end of the stream from the loss of its connection. It costs 6 to 10 bytes a message.
	Chunked
	// WebSocket makes each message a frame of a WebSocket.
	WebSocket
)

// Size returns the size of a wrapped message of n bytes.
func (w Wrapping) Size(n int) int {
	switch w {
	case Chunked:
		digits := 1
		for v := n >> 4; v > 0; v >>= 4 {
			digits++
		}
		return digits + len("\r\n") + n + len("\r\n")
	case WebSocket:
		return websocket.HeaderSize(n) + n
	}
	return n
}

// AppendHead appends what goes before a message of n bytes; n is at least 1.
func (w Wrapping) AppendHead(dst []byte, n int) []byte {
	switch w {
	case Chunked:
		return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
	case WebSocket:
		return websocket.AppendHeader(dst, n)
	}
	return dst
}

// AppendTail appends what goes behind a message.
func (w Wrapping) AppendTail(dst []byte) []byte {
	if w == Chunked {
		return append(dst, "\r\n"...)
	}
	return dst
}

// AppendEnd appends what tells a player that the stream has ended.
func (w Wrapping) AppendEnd(dst []byte) []byte {
	switch w {
	case Chunked:
		return append(dst, "0\r\n\r\n"...)
	case WebSocket:
		return websocket.AppendClose(dst)
	}
	return dst
}

// wrap returns a wrapped message, nil for an empty one.
func (w Wrapping) wrap(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return w.AppendTail(append(w.AppendHead(make([]byte, 0, w.Size(len(b))), len(b)), b...))
}
