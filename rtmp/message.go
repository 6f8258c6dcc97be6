package rtmp

// MessageType is the type of a message (RTMP 1.0 §5.4, §6.2, §7.1).
type MessageType uint8

// The message types.
const (
	TypeSetChunkSize     MessageType = 1
	TypeAbort            MessageType = 2
	TypeAck              MessageType = 3
	TypeUserControl      MessageType = 4
	TypeWindowAckSize    MessageType = 5
	TypeSetPeerBandwidth MessageType = 6
	TypeAudio            MessageType = 8
	TypeVideo            MessageType = 9
	TypeDataAMF3         MessageType = 15
	TypeSharedObjectAMF3 MessageType = 16
	TypeCommandAMF3      MessageType = 17
	TypeData             MessageType = 18
	TypeSharedObject     MessageType = 19
	TypeCommand          MessageType = 20
	TypeAggregate        MessageType = 22
)

// MaxMessageSize is the longest payload of a message: its length is a number of 24 bits
// (RTMP 1.0 §5.3.1.2). A larger chunk size makes no difference.
const MaxMessageSize = 1<<24 - 1

// Message is one RTMP message.
type Message struct {
	Type MessageType
	// StreamID is the message stream, 0 for the connection itself.
	StreamID uint32
	// Timestamp is in milliseconds modulo 2^32.
	Timestamp uint32
	// ChunkStreamID is the chunk stream that a message came on, or is to be written on: 2
	// to 65599. Anything else, such as 0, chooses by type: 2 control, 3 connection
	// commands, 4 audio, 5 stream commands and data, 6 video.
	ChunkStreamID uint32
	// Payload of a message that was read belongs to the receiver for good.
	Payload []byte
	// SetDataFrame says that "@setDataFrame" was taken off the payload of a data
	// message, or is to be put before it.
	SetDataFrame bool
}

// chunkStreamID returns the chunk stream to write m on.
func (m *Message) chunkStreamID() uint32 {
	switch {
	case m.ChunkStreamID >= 2 && m.ChunkStreamID <= maxCSID:
		return m.ChunkStreamID
	case m.Type == TypeAudio:
		return 4
	case m.Type == TypeVideo:
		return 6
	case m.Type <= TypeSetPeerBandwidth:
		return 2
	case (m.Type == TypeCommand || m.Type == TypeCommandAMF3) && m.StreamID == 0:
		return 3
	}
	return 5
}

// isMedia reports whether the bound of media applies to messages of the type.
func (t MessageType) isMedia() bool {
	return t == TypeAudio || t == TypeVideo || t == TypeAggregate
}
