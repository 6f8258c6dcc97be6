package mux

import (
	"encoding/binary"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/rtmp"
)

const (
	tagHeader  = 11 // FLV 10.1 Annex E.4.1
	tagTrailer = 4
)

// size returns the encoded size of a message whose tag body is n bytes long.
func (m *Muxer) size(dts time.Duration, n int) int {
	switch m.variant.Format {
	case RTMP:
		return rtmp.EncodedSize(n, av.Milliseconds(dts), 0, m.variant.ChunkSize)
	case WebSocketFLV:
		n += tagHeader + tagTrailer
		return webSocketHeader(n) + n
	}
	return tagHeader + n + tagTrailer
}

// append appends a message with the body header+payload to dst.
func (m *Muxer) append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	ts := av.Milliseconds(dts)
	if m.variant.Format == RTMP {
		msg := rtmp.Message{Type: rtmp.MessageType(t), StreamID: m.variant.StreamID, Timestamp: ts}
		return rtmp.AppendMessage(dst, &msg, m.variant.ChunkSize, header, payload)
	}
	if m.variant.Format == WebSocketFLV {
		dst = AppendWebSocketHeader(dst, tagHeader+len(header)+len(payload)+tagTrailer)
	}
	return flv.AppendTag(dst, t, ts, header, payload)
}

// webSocketHeader returns the size of the header of an unmasked frame of n bytes.
func webSocketHeader(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// AppendWebSocketHeader appends the header of a final, unmasked binary frame of n
// bytes (RFC 6455 §5.2).
func AppendWebSocketHeader(dst []byte, n int) []byte {
	const finalBinary = 0x82
	switch webSocketHeader(n) {
	case 2:
		return append(dst, finalBinary, byte(n))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, finalBinary, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, finalBinary, 127), uint64(n))
}

// AppendWebSocketClose appends the closing frame of a stream that has ended: status
// 1000 (RFC 6455 §7.4.1).
func AppendWebSocketClose(dst []byte) []byte { return append(dst, 0x88, 2, 0x03, 0xe8) }
