package rtmp

import (
	"bytes"
	"slices"
	"testing"
)

// idMessages are messages of every form of a header: ids of chunk streams of one, two and three
// bytes, extended timestamps, several chunks, none.
func idMessages(streamID uint32, chunkSize int) (b []byte) {
	for _, m := range []Message{
		{Type: TypeVideo, Timestamp: 40, Payload: bytes.Repeat([]byte{1}, 5)},
		{Type: TypeAudio, Timestamp: 40},
		{Type: TypeVideo, Timestamp: 80, Payload: bytes.Repeat([]byte{2}, 3*chunkSize)},
		{Type: TypeVideo, Timestamp: 0xffffff, Payload: bytes.Repeat([]byte{3}, 2*chunkSize+1)},
		{Type: TypeData, Timestamp: 0xfffffffe, Payload: []byte{4}},
		{Type: TypeVideo, Timestamp: 120, ChunkStreamID: 63, Payload: bytes.Repeat([]byte{5}, chunkSize)},
		{Type: TypeVideo, Timestamp: 160, ChunkStreamID: 64, Payload: bytes.Repeat([]byte{6}, chunkSize+1)},
		{Type: TypeVideo, Timestamp: 0x1000000, ChunkStreamID: 320, Payload: bytes.Repeat([]byte{7}, chunkSize+1)},
	} {
		m.StreamID = streamID
		b = AppendMessage(b, &m, chunkSize, m.Payload)
	}
	return b
}

// TestSetStreamID: what is rewritten is what would have been written for the other stream.
func TestSetStreamID(t *testing.T) {
	for _, chunkSize := range []int{1, 128, 4096} {
		for _, id := range []uint32{1, 2, 16, 0xffffffff} {
			b := idMessages(1, chunkSize)
			SetStreamID(b, id, chunkSize)
			if !bytes.Equal(b, idMessages(id, chunkSize)) {
				t.Errorf("chunks of %d: other bytes than those written for message stream %d", chunkSize, id)
			}
		}
	}
}

// TestSetStreamIDOfTheEnd: the end of a stream names the message stream in its status and its event.
func TestSetStreamIDOfTheEnd(t *testing.T) {
	b := AppendPlayEnd(nil, 1, 128)
	SetStreamID(b, 7, 128)
	if want := AppendPlayEnd(nil, 7, 128); !bytes.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
}

// TestSetStreamIDLeavesTheConnectionsMessages: those of message stream 0 stay, but for the event.
func TestSetStreamIDLeavesTheConnectionsMessages(t *testing.T) {
	for _, m := range []Message{
		{Type: TypeSetChunkSize, Payload: []byte{0, 0, 16, 0}},
		{Type: TypeUserControl, Payload: []byte{0, 6, 0, 0, 0, 1}}, // a ping
		{Type: TypeUserControl, Payload: []byte{0, 1, 0, 0, 0}},    // too short for an event
		{Type: TypeCommand, Payload: []byte{2, 0, 1, 'x'}},
	} {
		b := AppendMessage(nil, &m, 128, m.Payload)
		want := slices.Clone(b)
		SetStreamID(b, 7, 128)
		if !bytes.Equal(b, want) {
			t.Errorf("%x became %x", want, b)
		}
	}
}

// TestSetStreamIDStopsAtWhatIsNoMessage: what is before it is changed, what is behind it is not.
func TestSetStreamIDStopsAtWhatIsNoMessage(t *testing.T) {
	whole := idMessages(1, 128)
	for name, tail := range map[string][]byte{
		"a compressed header": append([]byte{0x44}, whole...),
		"half a header":       whole[:7],
		"half a message":      whole[:14],
		"a lone basic header": {0x01},
	} {
		b := append(slices.Clone(whole), tail...)
		SetStreamID(b, 5, 128)
		if !bytes.Equal(b, append(idMessages(5, 128), tail...)) {
			t.Errorf("%s: %x", name, b)
		}
	}
}

// FuzzSetStreamID: whatever it is given it does not fail, changes nothing twice, and can be undone.
func FuzzSetStreamID(f *testing.F) {
	f.Add(idMessages(1, 128), uint32(7), 128)
	f.Add(AppendPlayEnd(nil, 1, 64), uint32(2), 64)
	f.Add([]byte{0, 0, 1, 2}, uint32(1), 0)
	f.Fuzz(func(t *testing.T, b []byte, id uint32, chunkSize int) {
		if id == 0 || chunkSize > 1<<24 {
			return
		}
		once := slices.Clone(b)
		SetStreamID(once, id, chunkSize)
		twice := slices.Clone(once)
		SetStreamID(twice, id, chunkSize)
		if !bytes.Equal(once, twice) {
			t.Errorf("%x became %x, then %x", b, once, twice)
		}
		if len(once) != len(b) {
			t.Error("the length has changed")
		}
	})
}
