package rtmp

import (
	"errors"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/flvbody"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/rtmp"
)

// logStreamID is the message stream id in the logs: the one with which a server answers the first
// createStream on a connection, so that nearly every player uses it. For players with another id
// the log's messages are rewritten.
const logStreamID = 1

// variant is everything that the messages of a log depend on.
type variant struct {
	flvbody.Options
	chunkSize int
}

// Format implements mux.Variant.
func (variant) Format() string { return "rtmp" }

// NewEncoder implements mux.Variant.
func (v variant) NewEncoder() mux.Encoder {
	return flvbody.NewEncoder(v.Options, messages(v.chunkSize))
}

// Refuse implements mux.Refuser.
func (v variant) Refuse(cause error) []byte {
	st, _ := errors.AsType[*rtmp.StatusError](refuse(codeOf(peer.NotLive(cause)), peer.NotLive(cause)))
	return rtmp.AppendStatus(nil, st, logStreamID, v.chunkSize)
}

// codeOf returns the code for players that are refused because of err: servers that fetch the stream must know apart that there is none.
func codeOf(err error) string {
	if session.ReasonOf(err) == session.NotFound {
		return rtmp.CodePlayStreamNotFound
	}
	return rtmp.CodePlayFailed
}

// messages implements flvbody.Framing: messages in chunks of this size.
type messages int

// Size implements flvbody.Framing.
func (chunkSize messages) Size(dts time.Duration, n int) int {
	return rtmp.EncodedSize(n, av.Milliseconds(dts), 0, int(chunkSize))
}

// Append implements flvbody.Framing.
func (chunkSize messages) Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte {
	m := rtmp.Message{Type: rtmp.MessageType(t), StreamID: logStreamID, Timestamp: av.Milliseconds(dts)}
	return rtmp.AppendMessage(dst, &m, int(chunkSize), header, payload)
}

// AppendEnd implements flvbody.Framing.
func (chunkSize messages) AppendEnd(dst []byte) []byte {
	return rtmp.AppendPlayEnd(dst, logStreamID, int(chunkSize))
}
