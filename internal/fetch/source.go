// Package fetch reads streams from elsewhere: from servers by RTMP, HTTP, HLS and WebSocket, and from files, without
// changing their payloads. What servers send is bounded: headers, redirects, cookies, playlists, segments, and the time that
// they take.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/reach"
	"weir/internal/session"
)

// Source is where frames come from. Its times may begin anywhere, and may begin again.
type Source interface {
	// ReadFrame returns the next frame, io.EOF at the end of the source.
	ReadFrame() (*av.Frame, error)
	// Live reports whether the source itself sends frames in real time.
	Live() bool
	// Condition says what could not be read so far.
	Condition() Condition
	// Close ends the source; a ReadFrame in progress fails. It may be called more than once.
	Close() error
}

// Condition is what could not be read of a source.
type Condition struct {
	// LeftOut names the tracks that cannot be carried: "PCM audio".
	LeftOut []string
	// Damage says what is broken, and how often: "3 transport packets are missing".
	Damage []string
	// Truncated says that a file ends within a frame.
	Truncated bool
}

// Access says how servers are reached.
type Access struct {
	// Insecure accepts every certificate of rtmps, https and wss. Trust says in errors how to have it: "use --insecure".
	Insecure bool
	Trust    string
	// Pin, if not nil, is the certificate that alone is accepted, of all servers that the source leads to, instead.
	Pin reach.Fingerprint
	// Timeout is how long an answer may take, and the next frame of a server's stream. 0 means 20 s.
	Timeout time.Duration
	// Control, if not nil, is asked about each address before it is connected to, as that of a net.Dialer.
	Control func(network, address string, c syscall.RawConn) error
	// Header is sent with requests of HTTP to the host of the URL, and to no other, wherever redirects and playlists lead.
	// Its field User-Agent is sent to all.
	Header http.Header
	// Hops are the servers that the stream goes through, this one last; see package hops. Servers are told of them.
	Hops []string
	// Place, if not nil, is where the source was left when it was open last, and where it will be.
	Place *Place
	// MaxFrame, if more than 0, is about the largest frame that is of use, in bytes: a server's FLV with a larger one fails before that is read.
	MaxFrame int
	// Paced makes the frames of HLS and of files on servers come when they are due, not as fast as they can be had, and
	// takes an HLS playlist that has ended, unless it is a recording, for the end of a stream.
	Paced bool
}

// dialer opens connections to servers.
func (a Access) dialer() *net.Dialer { return &net.Dialer{Control: a.Control} }

// defaultTimeout is longer than a server lets a player wait for a publisher, 10 s by default.
const defaultTimeout = 20 * time.Second

// Patience is Timeout, or its default.
func (a Access) Patience() time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	return defaultTimeout
}

// TLS is the configuration for connections to servers.
func (a Access) TLS() *tls.Config {
	conf := &tls.Config{InsecureSkipVerify: a.Insecure} //nolint:gosec // only on request
	a.Pin.Pin(conf)
	return conf
}

// Open opens a source: rtmp:// or rtmps://; http:// or https:// of an FLV or MPEG-TS stream or an HLS
// playlist; ws:// or wss:// of FLV or MPEG-TS; else the name of an FLV, MP4 or MPEG-TS file.
// ctx ends reading too.
func Open(ctx context.Context, name string, a Access) (Source, error) {
	s, err := open(ctx, name, a)
	if err != nil {
		return nil, called(name, a.reasoned(name, err))
	}
	return &named{s, name, a}, nil
}

// named is a source whose errors have a reason and begin with its name.
type named struct {
	Source
	name   string
	access Access
}

// reasoned is Explain, and gives a reason to what has none: a server has sent what it should not have sent.
func (a Access) reasoned(name string, err error) error {
	err = a.Explain(name, err)
	if u, bad := url.Parse(name); bad == nil && u.Host != "" && session.ReasonOf(err) == session.Internal {
		err = session.Because(session.ProtocolError, err)
	}
	return err
}

// called puts a name before an error, and hides what is secret in it: servers say what they were asked for.
func called(name string, err error) error {
	if text, open := err.Error(), session.Mask(err.Error(), session.Secrets(name)); open != text {
		err = &masked{err, open}
	}
	return fmt.Errorf("%s: %w", session.Redact(name), err)
}

// masked is an error with a text without secrets.
type masked struct {
	err  error
	text string
}

func (e *masked) Error() string { return e.text }

// Unwrap returns the error, whose text may show secrets.
func (e *masked) Unwrap() error { return e.err }

// ReadFrame implements Source.
func (s *named) ReadFrame() (*av.Frame, error) {
	f, err := s.Source.ReadFrame()
	if err != nil && !errors.Is(err, io.EOF) {
		err = called(s.name, s.access.reasoned(s.name, err))
	}
	return f, err
}

func open(ctx context.Context, name string, a Access) (Source, error) {
	u, err := url.Parse(name)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return openFile(name)
	}
	var s Source
	switch u.Scheme {
	case "rtmp", "rtmps":
		s, err = openRTMP(ctx, name, a)
	case "http", "https":
		s, err = openHTTP(ctx, u, a)
	case "ws", "wss":
		s, err = openWebSocket(ctx, u, a)
	default:
		return nil, session.Becausef(session.Unsupported, "%s:// is not supported: use rtmp, rtmps, http, https, ws, wss or a file", u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	p := Source(newPatient(s, a.Patience()))
	if _, segments := s.(*hlsSource); a.Paced && (segments || !s.Live()) {
		p = newPaced(p)
	}
	return p, nil
}

// ErrLost ends a source whose connection is gone without a word. It is also an io.EOF.
var ErrLost = session.Because(session.EOF, fmt.Errorf("the connection was lost: %w", io.EOF))

// errLate ends a connection whose server is too slow to answer.
var errLate = errors.New("late")

// late replaces the error of an opening that errLate ended.
func late(ctx context.Context, err error, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errLate) {
		return session.Becausef(session.Timeout, "the server has not answered within %v", limit)
	}
	return err
}

// Plain removes from an error the URL, which may contain a key, and the address or file name: the name of the
// source or target precedes the error.
func Plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[session.Reasoner](err); ok { // of Access.Control
		return e
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		err = e.Err
		if e, ok := errors.AsType[*os.SyscallError](err); ok {
			err = e.Err
		}
	}
	return err
}

// Explain says what an error of a connection to the server of a URL means, and what to do about it. It is Plain for other errors, and
// leaves alone what has a reason.
func (a Access) Explain(name string, err error) error {
	if _, known := errors.AsType[session.Reasoner](err); known {
		return err
	}
	if u, bad := url.Parse(name); bad == nil && u.Host != "" {
		if f := reach.Explain(err, u.Hostname(), a.Trust); f != nil {
			return f
		}
	}
	return Plain(err)
}

// trackKey names a track.
type trackKey struct {
	kind  av.Kind
	track uint8
}

// IsHeader reports whether f describes the media after it, until the next frame of its kind. Other
// script tags are events of one moment.
func IsHeader(f *av.Frame) bool {
	switch f.Type {
	case av.Config, av.Meta:
		return true
	case av.Script:
		name, _, err := flv.ParseMetadata(f.Payload)
		return err == nil && name == "onMetaData"
	}
	return false
}
