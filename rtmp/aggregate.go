package rtmp

import "fmt"

// splitAggregate returns the messages in an aggregate (RTMP 1.0 §7.1.6): FLV tags whose
// first timestamp stands for the aggregate's own. The last back pointer may be missing.
// With an error come the messages before it.
func splitAggregate(m *Message) ([]Message, error) {
	const header = 11
	var ms []Message
	var first uint32
	b := m.Payload
	for len(b) > 0 {
		if len(b) < header {
			return ms, fmt.Errorf("aggregate: %d bytes where a header is due", len(b))
		}
		t, size := MessageType(b[0]), int(be24(b[1:]))
		ts := be24(b[4:]) | uint32(b[7])<<24
		if size > len(b)-header {
			return ms, fmt.Errorf("aggregate: a message of %d bytes in %d", size, len(b)-header)
		}
		if t == TypeAggregate {
			return ms, fmt.Errorf("aggregate: in an aggregate")
		}
		if ms == nil {
			first = ts
		}
		if t == TypeAudio || t == TypeVideo || t == TypeData || t == TypeDataAMF3 {
			ms = append(ms, Message{
				Type: t, StreamID: m.StreamID, ChunkStreamID: m.ChunkStreamID, Timestamp: m.Timestamp + ts - first,
				Payload: b[header : header+size : header+size],
			})
		}
		b = b[header+size:]
		b = b[min(len(b), 4):] // the back pointer, right or wrong
	}
	return ms, nil
}
