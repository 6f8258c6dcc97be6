// Package relay moves one stream from a source (a file, or a stream on a server) to
// a target (a server, an FLV file, or nowhere), in real time and without changing its
// payloads.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"weir/av"
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
	// Insecure accepts every certificate of rtmps, https and wss.
	Insecure bool
	// Timeout is how long an answer may take, and the next frame of a server's stream. 0 means 20 s.
	Timeout time.Duration
}

// defaultTimeout is longer than a server lets a player wait for a publisher, 10 s by default.
const defaultTimeout = 20 * time.Second

func (a Access) timeout() time.Duration {
	if a.Timeout > 0 {
		return a.Timeout
	}
	return defaultTimeout
}

func (a Access) tls() *tls.Config {
	return &tls.Config{InsecureSkipVerify: a.Insecure} //nolint:gosec // only on request
}

// Open opens a source: rtmp:// or rtmps://; http:// or https:// of an FLV or MPEG-TS stream or an HLS
// playlist; ws:// or wss:// of FLV or MPEG-TS; else the name of an FLV, MP4 or MPEG-TS file.
// ctx ends reading too.
func Open(ctx context.Context, name string, a Access) (Source, error) {
	s, err := open(ctx, name, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", session.Redact(name), err)
	}
	return &named{s, session.Redact(name)}, nil
}

// named is a source whose errors begin with its name.
type named struct {
	Source
	name string
}

// ReadFrame implements Source.
func (s *named) ReadFrame() (*av.Frame, error) {
	f, err := s.Source.ReadFrame()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", s.name, err)
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
		s, err = openHTTP(ctx, name, a)
	case "ws", "wss":
		s, err = openWebSocket(ctx, name, a)
	default:
		return nil, fmt.Errorf("%s:// is not supported: use rtmp, rtmps, http, https, ws, wss or a file", u.Scheme)
	}
	if err != nil {
		return nil, err
	}
	return newPatient(s, a.timeout()), nil
}

// errLate ends a connection whose server is too slow to answer.
var errLate = errors.New("late")

// late replaces the error of an opening that errLate ended.
func late(ctx context.Context, err error, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errLate) {
		return fmt.Errorf("the server has not answered within %v", limit)
	}
	return err
}

// plain removes from an error the URL, which may contain a key, and the address: the name of the
// source or target precedes the error.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return errors.New(e.Err)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		err = e.Err
		if e, ok := errors.AsType[*os.SyscallError](err); ok {
			err = e.Err
		}
	}
	return err
}
