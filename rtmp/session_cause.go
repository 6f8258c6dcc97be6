package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Why a session, a publication or a playback ended. Serving a connection returns one of these, an error caused by the
// peer (protocol, limits), or an error of the handler; all but the last two are ordinary ends.
var (
	// ErrClosedByPeer says that the peer ended the connection, in whatever way.
	ErrClosedByPeer = errors.New("closed by peer")
	// ErrNotConnected is wrapped, beside ErrClosedByPeer, when a server has closed the connection of a client instead of answering connect.
	ErrNotConnected = errors.New("connect was not answered")
	// ErrParked is what Serve and ServeConn return while a detached session goes on
	// without their goroutine. Its playbacks are closed when it ends.
	ErrParked = errors.New("rtmp: parked")
	// ErrServerClosed says that the context given to Serve or ServeConn has ended. The context's
	// cause is wrapped beside it.
	ErrServerClosed = errors.New("server closed")
	// ErrUnpublished ends a publication by FCUnpublish, deleteStream, closeStream or
	// an empty publish. The connection goes on.
	ErrUnpublished = errors.New("unpublished")
	// ErrStopped ends a playback by deleteStream or closeStream. The connection goes
	// on, unless it was detached.
	ErrStopped = errors.New("stopped by the player")
	// ErrReplaced ends a playback by another play on the same message stream. The
	// connection goes on, detached or not: the next playback is started at once.
	ErrReplaced = errors.New("replaced by another play")
	// ErrProtocol is wrapped by the errors of a peer that breaks the rules of sessions.
	ErrProtocol = errors.New("protocol error")
	// ErrRefused is wrapped, beside the reason, when the handler, the authenticator or
	// the form of the request refused the peer.
	ErrRefused = errors.New("refused")
	// ErrPanic is wrapped when a handler panicked.
	ErrPanic = errors.New("panic")
)

// Stage is what the peer of a session has to do next, within a deadline of its own.
type Stage string

// The stages.
const (
	StageTLS     Stage = "tls handshake"
	StageC0C1    Stage = "handshake"       // the first part of the handshake
	StageC2      Stage = "handshake end"   // its last part
	StageConnect Stage = "connect"         // the connect command
	StageCommand Stage = "publish or play" // the first of these
	StageIdle    Stage = "publish or play again"
	StagePublish Stage = "media"   // a publisher was silent and did not answer a ping
	StagePlay    Stage = "playing" // a player did not take what was written to it
)

// TimeoutError ends a session whose peer did not do in time what Stage says.
type TimeoutError struct{ Stage Stage }

// Error implements error.
func (e *TimeoutError) Error() string { return "timeout waiting for " + string(e.Stage) }

// Timeout reports true, as the errors of package net do.
func (e *TimeoutError) Timeout() bool { return true }

// LimitError ends a session whose peer exceeded a bound.
type LimitError struct{ What string }

// Error implements error.
func (e *LimitError) Error() string { return "too many " + e.What }

// HandshakeError is the end of a connection before the handshake was complete. Err says
// why: ErrProbe and ErrHTTP are health checks, not faults.
type HandshakeError struct{ Err error }

// Error implements error.
func (e *HandshakeError) Error() string { return "handshake: " + e.Err.Error() }

// Unwrap returns Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// endOf returns the cause behind an error of reading or writing. The context's cause comes first,
// as it made reading fail. Why a peer was refused stays as it is, also if something else than the peer was too slow or gone.
func endOf(ctx context.Context, err error, stage Stage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch {
	case errors.Is(err, ErrRefused):
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return &TimeoutError{Stage: stage}
	case isClosed(err):
		return fmt.Errorf("%w: %w", ErrClosedByPeer, err)
	}
	return err
}

// isClosed reports whether err is an error of a closed connection.
func isClosed(err error) bool {
	for _, e := range []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed,
		syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
