// Package relay moves one stream from a source (a file, or a stream on a server) to
// a target (a server, an FLV file, or nowhere), in real time and without changing its
// payloads.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
	"weir/rtmp"
)

// Source is where frames come from.
type Source interface {
	// ReadFrame returns the next frame, io.EOF at the end of the source.
	ReadFrame() (*av.Frame, error)
	// Live reports whether frames come in real time by themselves.
	Live() bool
	// Close ends the source; a ReadFrame in progress fails.
	Close() error
}

// Open opens a source: rtmp:// or rtmps://, http:// or https:// or ws:// or wss:// of an
// FLV stream, else the name of an FLV, MP4 or MPEG-TS file. ctx bounds opening, and ends reading.
func Open(ctx context.Context, name string) (Source, error) {
	s, err := open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", session.Redact(name), err)
	}
	return s, nil
}

func open(ctx context.Context, name string) (Source, error) {
	u, err := url.Parse(name)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return openFile(name)
	}
	switch u.Scheme {
	case "rtmp", "rtmps":
		return openRTMP(ctx, name)
	case "http", "https":
		return openHTTP(ctx, name)
	case "ws", "wss":
		return openWebSocket(ctx, name)
	}
	return nil, fmt.Errorf("%s:// is not supported: use rtmp, rtmps, http, https, ws, wss or a file", u.Scheme)
}

// flvSource reads FLV from a byte stream.
type flvSource struct {
	*flv.FrameReader
	close func() error
	live  bool
}

func (s *flvSource) Live() bool   { return s.live }
func (s *flvSource) Close() error { return s.close() }

// ReadFrame makes the break of a connection an end.
func (s *flvSource) ReadFrame() (*av.Frame, error) {
	f, err := s.FrameReader.ReadFrame()
	if s.live && errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return f, err
}

func openHTTP(ctx context.Context, name string) (Source, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport}).Do(req) //nolint:bodyclose // the source's Close does
	if err != nil {
		cancel()
		return nil, withoutURL(err)
	}
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		_ = res.Body.Close()
		cancel()
		return nil, fmt.Errorf("the server answers %s: %s", res.Status, strings.TrimSpace(string(text)))
	}
	return &flvSource{FrameReader: flv.NewFrameReader(res.Body), live: true, close: func() error {
		cancel()
		return res.Body.Close()
	}}, nil
}

// withoutURL takes the URL, which may hold a key, out of an error.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func openWebSocket(ctx context.Context, name string) (Source, error) {
	c, res, err := websocket.Dial(ctx, name, nil) //nolint:bodyclose // the library closes it
	if err != nil {
		if res != nil {
			return nil, fmt.Errorf("the server answers %s", res.Status)
		}
		return nil, withoutURL(err)
	}
	c.SetReadLimit(flv.MaxBody + 64)
	nc := websocket.NetConn(ctx, c, websocket.MessageBinary)
	return &flvSource{FrameReader: flv.NewFrameReader(nc), live: true, close: c.CloseNow}, nil
}

// rtmpSource plays an RTMP stream.
type rtmpSource struct {
	client *rtmp.Client
	play   *rtmp.PlayStream
	demux  flv.Demuxer
	frames []av.Frame
	clock  av.Unwrapper
}

func openRTMP(ctx context.Context, name string) (Source, error) {
	c, err := rtmp.Dial(ctx, name, rtmp.DialOptions{Caps: rtmp.AnyCodec()})
	if err != nil {
		return nil, err
	}
	p, err := c.Play(ctx)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &rtmpSource{client: c, play: p}, nil
}

func (s *rtmpSource) Live() bool   { return true }
func (s *rtmpSource) Close() error { return s.client.Close() }

// ReadFrame reads messages until one holds a frame.
func (s *rtmpSource) ReadFrame() (*av.Frame, error) {
	for len(s.frames) == 0 {
		m, err := s.play.ReadMessage()
		if err != nil {
			if errors.Is(err, rtmp.ErrClosedByPeer) {
				err = io.EOF
			}
			return nil, err
		}
		// What cannot be read is left out, as a player would.
		s.frames, _ = s.demux.Demux(nil, flv.TagType(m.Type), s.clock.Unwrap(m.Timestamp), m.Payload)
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	return &f, nil
}
