package rtmp

import (
	"context"

	"weir/amf"
)

// Handler decides about the requests of peers and receives what they publish. Its
// methods are called on the session's own reading goroutine, before any success is
// sent to the peer, and nothing is read from it meanwhile: they must bound their own
// waiting. ctx ends with the connection, and context.Cause(ctx) tells why.
//
// A method refuses with an error. A *StatusError is sent to the peer as it is; any other
// error becomes a plain refusal that tells the peer nothing about its reason. Then the
// connection is closed, unless other streams of it are active.
type Handler interface {
	// Connect accepts the connection to an application. It may set r.App: then the connection belongs to that one.
	Connect(ctx context.Context, s *ServerSession, r *ConnectRequest) error
	// Publish accepts a publisher. The Publication is given everything it sends.
	Publish(ctx context.Context, s *ServerSession, r *PublishRequest) (Publication, error)
	// Play accepts a player.
	Play(ctx context.Context, s *ServerSession, r *PlayRequest) (Playback, error)
}

// Publication receives one published stream. Its methods are called on the session's
// reading goroutine.
type Publication interface {
	// Message is called for each audio, video and data message, in order, with the
	// StreamID of the publication. The payload may be kept and shared but not
	// changed; m itself is valid during the call only. Data is AMF0 beginning with
	// the name: "@setDataFrame" before it has been taken off (m.SetDataFrame says that
	// it was there), "|RtmpSampleAccess" does not come. An error ends the session.
	Message(m *Message) error
	// Close is called exactly once, after the last message, with the cause:
	// ErrUnpublished if the connection goes on, else the end of the connection.
	Close(cause error)
}

// Playback is one stream being played. Its methods are called on the session's reading
// goroutine and must not block.
type Playback interface {
	// Start is called once the peer has been told that playing begins. Media is
	// written to w, from any goroutine, until Close.
	Start(w *PlayWriter)
	// Pause, ReceiveAudio and ReceiveVideo are requests of the player; the session writes the answers.
	Pause(paused bool)
	ReceiveAudio(on bool)
	ReceiveVideo(on bool)
	// Close is called exactly once with the cause: ErrReplaced if another Playback of
	// the same stream id follows, ErrStopped if the player stops but the connection goes on, else
	// the end of the connection. Nothing may be written to w after Close has returned. Close may be
	// called without Start, when the connection broke in between.
	Close(cause error)
}

// ConnectRequest is a connect command.
type ConnectRequest struct {
	// App is the application, normalised like StreamURL.App; it may be empty.
	App string
	// TcURL is the URL of the application as the client has it.
	TcURL string
	// RawQuery and Query are the query of App and TcURL, as in StreamURL, without the
	// parameters of the adobe and llnw schemes.
	RawQuery string
	Query    Query
	// Vhost is the host that the client asked for; see StreamURL.
	Vhost string
	// FlashVer is the client's name; PageURL and SwfURL say where it was started.
	FlashVer, PageURL, SwfURL string
	// User is the user that the server's Authenticator has verified; "" without one.
	User string
	// Properties is the whole command object, Args what followed it.
	Properties amf.Object
	Args       []amf.Value
	// Caps is what the object says about Enhanced RTMP.
	Caps Caps

	auth authParams
}

// Authenticates reports whether the client takes part in the adobe or llnw scheme: in reply to a rejection by
// an Authenticator, or because it knows that there is one.
func (r *ConnectRequest) Authenticates() bool { return r.auth.scheme != "" }

// PublishRequest is a publish command.
type PublishRequest struct {
	// StreamID is the message stream.
	StreamID uint32
	// StreamURL says which stream, with query.
	StreamURL
	// RawName is the name as sent.
	RawName string
	// Kind is "live", "record" or "append" as the client wishes; any other word is taken as "live".
	Kind string
}

// PlayRequest is a play command.
type PlayRequest struct {
	// StreamID is the message stream.
	StreamID uint32
	// StreamURL says which stream, with query.
	StreamURL
	// RawName is the name as sent.
	RawName string
	// Start is -2 (live, else recorded), -1 (live only) or a time in seconds.
	Start float64
	// Duration is in seconds; -1 is all.
	Duration float64
	// Reset says that the player's earlier playlist is to be forgotten.
	Reset bool
}
