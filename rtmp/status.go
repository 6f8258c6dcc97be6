package rtmp

import (
	"errors"

	"weir/amf"
)

// The levels of a status.
const (
	LevelStatus  = "status"
	LevelWarning = "warning"
	LevelError   = "error"
)

// The status codes of onStatus, _result and _error (RTMP 1.0 §7.2 and the Flash
// Media Server's documentation).
const (
	CodeConnectSuccess          = "NetConnection.Connect.Success"
	CodeConnectRejected         = "NetConnection.Connect.Rejected"
	CodeConnectInvalidApp       = "NetConnection.Connect.InvalidApp"
	CodeConnectAppShutdown      = "NetConnection.Connect.AppShutdown"
	CodeConnectClosed           = "NetConnection.Connect.Closed"
	CodeConnectReconnectRequest = "NetConnection.Connect.ReconnectRequest"
	CodeCallFailed              = "NetConnection.Call.Failed"

	CodePublishStart        = "NetStream.Publish.Start"
	CodePublishBadName      = "NetStream.Publish.BadName"
	CodePublishDenied       = "NetStream.Publish.Denied"
	CodePublishRejected     = "NetStream.Publish.Rejected"
	CodePublishUnauthorized = "NetStream.Publish.Unauthorized"
	CodePublishFailed       = "NetStream.Publish.Failed"
	CodePublishIdle         = "NetStream.Publish.Idle"
	CodeUnpublishSuccess    = "NetStream.Unpublish.Success"

	CodeRecordStart    = "NetStream.Record.Start"
	CodeRecordStop     = "NetStream.Record.Stop"
	CodeRecordNoAccess = "NetStream.Record.NoAccess"
	CodeRecordFailed   = "NetStream.Record.Failed"

	CodePlayReset           = "NetStream.Play.Reset"
	CodePlayStart           = "NetStream.Play.Start"
	CodePlayStop            = "NetStream.Play.Stop"
	CodePlayComplete        = "NetStream.Play.Complete"
	CodePlayFailed          = "NetStream.Play.Failed"
	CodePlayStreamNotFound  = "NetStream.Play.StreamNotFound"
	CodePlayPublishNotify   = "NetStream.Play.PublishNotify"
	CodePlayUnpublishNotify = "NetStream.Play.UnpublishNotify"
	CodePlayInsufficientBW  = "NetStream.Play.InsufficientBW"
	CodePlaySwitch          = "NetStream.Play.Switch"
	CodePlayTransition      = "NetStream.Play.Transition"

	CodePauseNotify   = "NetStream.Pause.Notify"
	CodeUnpauseNotify = "NetStream.Unpause.Notify"
	CodeSeekNotify    = "NetStream.Seek.Notify"
	CodeSeekFailed    = "NetStream.Seek.Failed"
	CodeStreamFailed  = "NetStream.Failed"
)

// StatusError is a status from the peer or for the peer. A handler that returns one refuses with
// its code and description; everything in it is sent to the peer. A client returns the server's
// refusal as a StatusError.
type StatusError struct {
	// Level is LevelError if empty.
	Level string
	// Code is one of the Code constants.
	Code string
	// Description is a sentence for the user of the encoder or player, at most 240
	// bytes on the wire: some clients copy it to a small buffer.
	Description string
	// Properties are further properties of the information object, such as "ex" of
	// a redirection; may be nil.
	Properties amf.Object
}

// Error implements error.
func (e *StatusError) Error() string {
	if e.Description == "" {
		return e.Code
	}
	return e.Code + ": " + e.Description
}

// maxDescription bounds a description on the wire: libavformat copies it to a buffer
// of 256 bytes.
const maxDescription = 240

// info returns the information object of the status. Level, code and description are always
// present, as clients print them unchecked.
func (e *StatusError) info() amf.Object {
	level := e.Level
	if level == "" {
		level = LevelError
	}
	o := make(amf.Object, 0, 3+len(e.Properties))
	o = append(o,
		amf.Property{Key: "level", Value: level},
		amf.Property{Key: "code", Value: e.Code},
		amf.Property{Key: "description", Value: cut(e.Description, maxDescription)})
	o = append(o, e.Properties...)
	if _, err := amf.Append(nil, o); err != nil {
		return o[:3] // a property of the handler is not an AMF value
	}
	return o
}

// asStatus returns the status with which the peer is told of err: err itself if it is a
// StatusError, else code with a description that reveals no internals.
func asStatus(err error, code, description string) *StatusError {
	if st, ok := errors.AsType[*StatusError](err); ok {
		return st
	}
	return &StatusError{Level: LevelError, Code: code, Description: description}
}

// parseStatus reads an information object. Missing or mistyped members stay empty.
func parseStatus(v amf.Value) *StatusError {
	st := &StatusError{}
	props, ok := amf.Properties(v)
	if !ok {
		return st
	}
	for _, p := range props {
		s, isString := p.Value.(string)
		switch {
		case isString && p.Key == "level":
			st.Level = s
		case isString && p.Key == "code":
			st.Code = s
		case isString && p.Key == "description":
			st.Description = s
		default:
			st.Properties = append(st.Properties, p)
		}
	}
	return st
}

// cut returns at most n bytes of s.
func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
