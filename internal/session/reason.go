package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Reason says why a peer was refused or its session ended. There are no others, and their words are
// the same in the log, the metrics, the API and hooks.
type Reason uint8

// The reasons.
const (
	Internal      Reason = iota // a fault of the server, or an error without a reason
	EOF                         // the peer closed or lost its connection
	Unpublish                   // the publisher said that it is done
	Kicked                      // ended by the API or an operator
	Shutdown                    // the server stops
	Timeout                     // a deadline passed: for connecting, the first publish or play, or a write
	Idle                        // a publisher sent nothing for too long
	Slow                        // a player fell too far behind
	Stalled                     // a player took nothing for too long
	Takeover                    // another publisher took the stream over
	Conflict                    // the stream has another publisher, which stays
	StreamEnded                 // the stream that was played ended
	NotFound                    // nobody published the stream while the peer waited
	Handshake                   // a handshake (of the protocol, TLS or an upgrade) failed
	ProtocolError               // the peer broke the protocol
	TooLarge                    // a message or request was larger than its bound
	Unsupported                 // the peer or the server lacks a codec or feature
	BadKey                      // the key is missing or wrong
	Address                     // peers at this address are not allowed
	Throttled                   // too many wrong keys came from the address
	Path                        // the path is not valid for a stream
	Denied                      // the decision hook, a token or the embedding program said no
	Limit                       // a limit of connections, streams, players or bit rate
	Config                      // a change of the configuration ended it
	Expired                     // the key or the grant has run out
	Revoked                     // the key or the grant was withdrawn while the session ran
	Hook                        // the decision hook could not be asked, or gave no answer that can be understood
	Redirected                  // the peer was sent to another server
	Loop                        // the stream came from this server, or through too many
	Unreachable                 // a server that a stream is sent to or fetched from cannot be connected to
	reasonCount
)

var reasonWords = [reasonCount]string{
	Internal: "internal", EOF: "eof", Unpublish: "unpublish", Kicked: "kicked", Shutdown: "shutdown",
	Timeout: "timeout", Idle: "idle", Slow: "slow", Stalled: "stalled", Takeover: "takeover",
	Conflict: "conflict", StreamEnded: "stream_ended", NotFound: "not_found", Handshake: "handshake",
	ProtocolError: "protocol_error", TooLarge: "too_large", Unsupported: "unsupported",
	BadKey: "bad_key", Address: "address", Throttled: "throttled", Path: "path", Denied: "denied", Limit: "limit", Config: "config",
	Expired: "expired", Revoked: "revoked", Hook: "hook", Redirected: "redirected", Loop: "loop",
	Unreachable: "unreachable",
}

// String returns the word: "stream_ended".
func (r Reason) String() string {
	if r < reasonCount {
		return reasonWords[r]
	}
	return reasonWords[Internal]
}

// MarshalText implements encoding.TextMarshaler.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Reasons returns all of them.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Normal reports whether a session with this reason ended in an ordinary way, so that no operator need look at it.
func (r Reason) Normal() bool {
	switch r {
	case EOF, Unpublish, Kicked, Shutdown, Takeover, StreamEnded, Config, Expired, Redirected:
		return true
	}
	return false
}

// Final reports whether a publisher that ended with this reason is not waited for: somebody decided that it
// may not go on.
func (r Reason) Final() bool { return r == Kicked || r == Expired || r == Revoked }

// peerTexts are the sentences for the peer, for errors that bring none.
var peerTexts = [reasonCount]string{
	Internal: "The server failed; its log says why.", Kicked: "Ended by the server's operator.", Shutdown: "The server is shutting down.",
	Timeout: "Timed out.", Idle: "Nothing was sent for too long.", Slow: "The connection is too slow for this stream.",
	Stalled: "The player stopped reading.", Takeover: "Another publisher took over this stream.",
	Conflict: "Another publisher is live on this stream.", StreamEnded: "The stream has ended.",
	NotFound: "Nobody is publishing this stream.", Handshake: "The handshake failed.", ProtocolError: "The protocol was violated.",
	TooLarge: "A message is too large.", Unsupported: "The stream cannot be played in this form.",
	BadKey: "The key is missing or wrong.", Address: "Not allowed from this address.",
	Throttled: "Too many wrong keys came from this address: wait before trying again.", Path: "The name of the stream is not valid.",
	Denied: "Not allowed.", Limit: "A limit of the server has been reached.", Config: "The server's configuration has changed.",
	Expired: "The time for which this was allowed is over.", Revoked: "Permission was withdrawn.",
	Hook: "Access cannot be checked right now: try again later.", Redirected: "The stream is on another server.",
	Loop: "The stream has come through this server before: it would go in a circle.", Unreachable: "The stream cannot be fetched from where it is at the moment.",
}

// RetrySeconds is after how many seconds those had better come again whom a server cannot serve now, as the header field Retry-After says it.
const RetrySeconds = 5

// Refusal is an error with a reason, and with a text for the peer apart from the one for the
// operator: Err may say what the peer must not know.
type Refusal struct {
	Reason Reason
	Peer   string // a sentence; empty stands for the reason's sentence
	Err    error
	// RetryAfter is how long the peer should wait before it comes again; 0 says nothing.
	RetryAfter time.Duration
	// Login has a peer that comes by HTTP asked for a user and password.
	Login bool
	// Redirect is the URL that the peer is sent to; empty for none.
	Redirect string
}

// Error returns the text for the operator.
func (e *Refusal) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Refusal) Unwrap() error { return e.Err }

// CloseReason implements Reasoner.
func (e *Refusal) CloseReason() Reason { return e.Reason }

// PeerText returns what a peer may be told about err: the text of the first Refusal in its chain
// that has one, else the sentence of its reason.
func PeerText(err error) string {
	for e := err; ; {
		r, ok := errors.AsType[*Refusal](e)
		if !ok {
			return peerTexts[ReasonOf(err)]
		}
		if r.Peer != "" {
			return r.Peer
		}
		e = r.Err
	}
}

// Reasoner is an error that knows with which reason it ends a session.
type Reasoner interface {
	error
	CloseReason() Reason
}

// Causes to end a session with.
var (
	ErrKicked   = Because(Kicked, errors.New("session: kicked"))
	ErrShutdown = Because(Shutdown, errors.New("session: the server stops"))
)

// Because gives err a reason. The text stays the same, and errors.Is and errors.As still find err.
// Because of a nil error is nil.
func Because(r Reason, err error) error {
	if err == nil {
		return nil
	}
	return &reasonError{r, err}
}

// Becausef is Because with a formatted error.
func Becausef(r Reason, format string, args ...any) error {
	return &reasonError{r, fmt.Errorf(format, args...)}
}

type reasonError struct {
	reason Reason
	err    error
}

func (e *reasonError) Error() string       { return e.err.Error() }
func (e *reasonError) Unwrap() error       { return e.err }
func (e *reasonError) CloseReason() Reason { return e.reason }

// ReasonOf returns the reason that err ends a session with: that of the first Reasoner in
// its chain, else EOF for nil, the end of a connection or the loss of one, Timeout for a
// deadline, Shutdown for a cancelled context without a cause, and Internal for the rest.
func ReasonOf(err error) Reason {
	if err == nil {
		return EOF
	}
	if r, ok := errors.AsType[Reasoner](err); ok {
		return r.CloseReason()
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return Timeout
	case errors.Is(err, context.Canceled):
		return Shutdown
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED), isNet:
		return EOF
	}
	return Internal
}
