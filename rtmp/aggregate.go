package rtmp

import (
	"errors"
	"fmt"
)

const (
	tagHeader = 11 // of an FLV tag
	// maxParts bounds the messages of one aggregate, each of which costs more memory
	// than its header has bytes.
	maxParts = 4096
)

// splitAggregate returns the audio, video and data messages in an aggregate (RTMP 1.0
// §7.1.6), which share its payload: FLV tags, of which the first one's timestamp stands
// for the aggregate's own. Tags of other types are left out. Back pointers are ignored,
// and the last may be missing. With an error the messages before it are returned.
func splitAggregate(m *Message) ([]Message, error) {
	var ms []Message
	var first uint32
	for b, n := m.Payload, 0; len(b) > 0; n++ {
		if len(b) < tagHeader {
			return ms, fmt.Errorf("splitting an aggregate: %d bytes where a header is due", len(b))
		}
		typ, size := MessageType(b[0]), int(be24(b[1:]))
		timestamp := be24(b[4:]) | uint32(b[7])<<24
		if n == 0 {
			first = timestamp
		}
		if size > len(b)-tagHeader {
			return ms, fmt.Errorf("splitting an aggregate: a message of %d bytes in %d", size, len(b)-tagHeader)
		}
		if n == maxParts {
			return ms, fmt.Errorf("splitting an aggregate: more than %d messages", maxParts)
		}
		switch typ {
		case TypeAggregate:
			return ms, errors.New("splitting an aggregate: an aggregate in it")
		case TypeAudio, TypeVideo, TypeData, TypeDataAMF3:
			ms = append(ms, Message{
				Type: typ, StreamID: m.StreamID, ChunkStreamID: m.ChunkStreamID,
				Timestamp: m.Timestamp + timestamp - first,
				Payload:   b[tagHeader : tagHeader+size : tagHeader+size],
			})
		}
		b = b[tagHeader+size:]
		b = b[min(len(b), 4):]
	}
	return ms, nil
}
