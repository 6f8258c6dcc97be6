package rtmp

import "encoding/binary"

// The user control events (RTMP 1.0 §7.1.7).
const (
	eventStreamBegin      = 0
	eventStreamEOF        = 1
	eventStreamDry        = 2
	eventSetBufferLength  = 3
	eventStreamIsRecorded = 4
	eventPingRequest      = 6
	eventPingResponse     = 7
)

// appendControl appends a protocol control message (RTMP 1.0 §5.4): one chunk.
func appendControl(dst []byte, t MessageType, body ...byte) []byte {
	m := Message{Type: t}
	return appendChunks(dst, &m, maxMessage, body, nil)
}

func appendControl32(dst []byte, t MessageType, v uint32) []byte {
	return appendControl(dst, t, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// appendAck appends an acknowledgement of total bytes received (RTMP 1.0 §5.4.3).
func appendAck(dst []byte, total uint32) []byte { return appendControl32(dst, TypeAck, total) }

// appendWindowAckSize appends the window after which the peer is to acknowledge (RTMP 1.0 §5.4.4).
func appendWindowAckSize(dst []byte, n uint32) []byte {
	return appendControl32(dst, TypeWindowAckSize, n)
}

func appendEvent(dst []byte, event uint16, v uint32) []byte {
	return appendControl(dst, TypeUserControl, byte(event>>8), byte(event), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendPingRequest(dst []byte, ms uint32) []byte { return appendEvent(dst, eventPingRequest, ms) }

func appendPingResponse(dst []byte, v uint32) []byte { return appendEvent(dst, eventPingResponse, v) }

// parseWindowAckSize reads a Window Acknowledgement Size; a short one is not ok.
func parseWindowAckSize(body []byte) (size uint32, ok bool) {
	if len(body) < 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(body), true
}

// parsePeerBandwidth reads a Set Peer Bandwidth (RTMP 1.0 §5.4.5); one without limit
// type is taken as dynamic.
func parsePeerBandwidth(body []byte) (size uint32, limit byte, ok bool) {
	if len(body) < 4 {
		return 0, 0, false
	}
	limit = 2
	if len(body) > 4 {
		limit = body[4]
	}
	return binary.BigEndian.Uint32(body), limit, true
}

// parseUserControl reads the event type and returns the rest.
func parseUserControl(body []byte) (event uint16, data []byte, ok bool) {
	if len(body) < 2 {
		return 0, nil, false
	}
	return binary.BigEndian.Uint16(body), body[2:], true
}
