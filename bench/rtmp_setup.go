package bench

import (
	"encoding/binary"

	"weir/amf"
	"weir/rtmp"
)

const (
	helloSize     = 1536
	hellosSize    = 1 + 2*helloSize // S0, S1 and S2
	publishCSID   = 5
	videoCSID     = 6
	audioCSID     = 4
	announced     = 2_500_000 // the window acknowledgement size that we announce
	defaultWindow = 2_500_000 // that of a server which announces none
)

// clientHello is C0 and C1 of the plain handshake (RTMP 1.0 §5.2).
func clientHello() []byte {
	b := make([]byte, 1+helloSize)
	b[0] = 3
	for i := range b[9:] {
		b[9+i] = byte(i*7 + 13)
	}
	return b
}

// clientAnswer is C2: S1, out of S0, S1 and S2.
func clientAnswer(hellos []byte) []byte { return hellos[1 : 1+helloSize] }

// encoder appends messages in chunks of one size.
type encoder struct {
	b     []byte
	chunk int
}

func (e *encoder) add(typ rtmp.MessageType, csid, stream uint32, payload []byte) {
	e.b = rtmp.AppendMessage(e.b, &rtmp.Message{Type: typ, ChunkStreamID: csid, StreamID: stream, Payload: payload}, e.chunk)
}

// command appends a command with its arguments behind the command object.
func (e *encoder) command(stream uint32, name string, tid float64, args ...amf.Value) {
	csid := uint32(3)
	if stream != 0 {
		csid = publishCSID
	}
	b, err := amf.Append(nil, append([]amf.Value{name, tid}, args...)...)
	if err != nil { // the caller's values are all of the kinds that can be written
		panic(err)
	}
	e.add(typeCommand, csid, stream, b)
}

// connect appends the connect command and what belongs before and after it.
func (e *encoder) connect(t *target, publish bool) {
	if publish {
		e.add(typeChunkSize, 2, 0, be32(publishChunk))
		e.chunk = publishChunk
	}
	props := amf.Object{
		{Key: "app", Value: t.app},
		{Key: "flashVer", Value: "FMLE/3.0 (compatible; weir bench)"},
		{Key: "tcUrl", Value: t.tcURL},
	}
	if publish {
		props = append(props, amf.Property{Key: "type", Value: "nonprivate"})
	} else {
		props = append(props, amf.Property{Key: "audioCodecs", Value: 4071.0}, amf.Property{Key: "videoCodecs", Value: 252.0})
	}
	e.command(0, "connect", 1, props)
	e.add(typeWindowSize, 2, 0, be32(announced))
}

// playCommands asks for a stream: all that a player sends behind C2. The answers need not
// be waited for: the first message stream of a connection is 1 everywhere.
func playCommands(t *target) []byte {
	e := encoder{chunk: 128}
	e.connect(t, false)
	e.command(0, "createStream", 2, nil)
	e.command(1, "play", 3, nil, t.name, -2.0)
	// SetBufferLength, as all players send (RTMP 1.0 §7.1.7).
	e.add(typeControl, 2, 0, []byte{0, 3, 0, 0, 0, 1, 0, 0, 3, 0xe8})
	return e.b
}

// publishCommands announces a stream: all that a publisher sends behind C2.
func publishCommands(t *target) []byte {
	e := encoder{chunk: 128}
	e.connect(t, true)
	e.command(0, "releaseStream", 2, nil, t.name)
	e.command(0, "FCPublish", 3, nil, t.name)
	e.command(0, "createStream", 4, nil)
	e.command(1, "publish", 5, nil, t.name, "live")
	return e.b
}

// acknowledge is the message that n bytes have come (RTMP 1.0 §5.4.3).
func acknowledge(n uint32) []byte {
	e := encoder{chunk: 128}
	e.add(typeAck, 2, 0, be32(n))
	return e.b
}

// pingAnswer answers the server's ping (RTMP 1.0 §7.1.7).
func pingAnswer(stamp []byte) []byte {
	e := encoder{chunk: 128}
	e.add(typeControl, 2, 0, append([]byte{0, 7}, stamp...))
	return e.b
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
