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
	return appendChunks(dst, &m, MaxMessageSize, body, nil)
}

// appendControl32 is appendControl with a body of one number.
func appendControl32(dst []byte, t MessageType, v uint32) []byte {
	return appendControl(dst, t, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// appendSetChunkSize appends the size of the chunks behind it (RTMP 1.0 §5.4.1).
func appendSetChunkSize(dst []byte, n uint32) []byte {
	return appendControl32(dst, TypeSetChunkSize, n)
}

// appendAbort appends the request to forget what was sent of a message on csid (RTMP 1.0 §5.4.2).
func appendAbort(dst []byte, csid uint32) []byte { return appendControl32(dst, TypeAbort, csid) }

// appendAck appends an acknowledgement of total bytes received (RTMP 1.0 §5.4.3).
func appendAck(dst []byte, total uint32) []byte { return appendControl32(dst, TypeAck, total) }

// appendWindowAckSize appends the window after which the peer is to acknowledge (RTMP 1.0 §5.4.4).
func appendWindowAckSize(dst []byte, n uint32) []byte {
	return appendControl32(dst, TypeWindowAckSize, n)
}

// appendPeerBandwidth appends the window that the peer is to keep to (RTMP 1.0 §5.4.5);
// limit is 0 hard, 1 soft, 2 dynamic.
func appendPeerBandwidth(dst []byte, n uint32, limit byte) []byte {
	return appendControl(dst, TypeSetPeerBandwidth, byte(n>>24), byte(n>>16), byte(n>>8), byte(n), limit)
}

// appendEvent appends a user control message (RTMP 1.0 §7.1.7) of an event with one
// number: the message stream or, of a ping, the time.
func appendEvent(dst []byte, event uint16, v uint32) []byte {
	return appendControl(dst, TypeUserControl, byte(event>>8), byte(event), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// appendPingRequest appends a ping; its answer carries the same ms.
func appendPingRequest(dst []byte, ms uint32) []byte { return appendEvent(dst, eventPingRequest, ms) }

// appendPingResponse appends the answer to a ping of v.
func appendPingResponse(dst []byte, v uint32) []byte { return appendEvent(dst, eventPingResponse, v) }

// parseSetChunkSize reads a Set Chunk Size; a short one is not ok. Like all of these, it
// ignores what is too long.
func parseSetChunkSize(body []byte) (size uint32, ok bool) { return parse32(body) }

// parseAbort reads an Abort; a short one is not ok.
func parseAbort(body []byte) (csid uint32, ok bool) { return parse32(body) }

// parseWindowAckSize reads a Window Acknowledgement Size; a short one is not ok.
func parseWindowAckSize(body []byte) (size uint32, ok bool) { return parse32(body) }

// parse32 reads the number with which body begins.
func parse32(body []byte) (v uint32, ok bool) {
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
