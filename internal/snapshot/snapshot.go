// Package snapshot serves the newest key frame of a stream: as a film of one picture, which costs
// next to nothing, or as a JPEG still, for which ffmpeg must be installed.
//
// Stills are slow work that any viewer may ask for. So large pictures are refused, few stills are
// made at a time and few requests may wait, and a still is given up when its viewers have gone.
package snapshot

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os/exec"
	"sync/atomic"
	"time"

	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

// Snapshots answers requests for pictures.
type Snapshots struct {
	env           protocol.Env
	films, stills shelf
	queue         queue
	// waiting counts requests that wait for a key frame.
	waiting atomic.Int32
}

// New returns snapshots.
func New(env protocol.Env) *Snapshots {
	return &Snapshots{env: env, films: newShelf(), stills: newShelf(), queue: newQueue()}
}

// Run drops pictures that are no longer requested.
func (p *Snapshots) Run(ctx context.Context) error {
	t := time.NewTicker(10 * pictureTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			p.films.sweep(now)
			p.stills.sweep(now)
		}
	}
}

// Routes implements protocol.Router.
func (p *Snapshots) Routes() []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodGet, Suffix: "/snapshot.mp4", Handler: p.film},
		{Method: http.MethodGet, Suffix: "/snapshot.jpg", Handler: p.still},
	}
}

// errNotLive is the answer when nobody publishes the stream.
var errNotLive = session.Because(session.NotFound, errors.New("nobody publishes this stream"))

// find admits a request and returns its stream; nil if it has been answered.
func (p *Snapshots) find(w http.ResponseWriter, r *http.Request, path string) *stream.Stream {
	grant, err := p.env.Allow(r.Context(), p.env.Request(r, path))
	if err != nil {
		p.env.Fail(w, err)
		return nil
	}
	if s := p.env.Hub.Get(grant.PathOf(path)); s != nil {
		if _, live := s.Publisher(); live {
			return s
		}
	}
	p.env.Fail(w, errNotLive)
	return nil
}

// film answers with an MP4 file of one picture.
func (p *Snapshots) film(w http.ResponseWriter, r *http.Request, path string) {
	s := p.find(w, r, path)
	if s == nil {
		return
	}
	film, err := p.films.get(r.Context(), s, func(ctx context.Context) ([]byte, error) {
		k, err := p.key(ctx, s)
		if err != nil {
			return nil, err
		}
		return k.film()
	})
	p.answer(w, r, "video/mp4", film, err)
}

// still answers with a JPEG picture.
func (p *Snapshots) still(w http.ResponseWriter, r *http.Request, path string) {
	s := p.find(w, r, path)
	if s == nil {
		return
	}
	still, err := p.stills.get(r.Context(), s, func(ctx context.Context) ([]byte, error) { return p.make(ctx, s) })
	p.answer(w, r, "image/jpeg", still, err)
}

// make makes a still of the newest key frame.
func (p *Snapshots) make(ctx context.Context, s *stream.Stream) ([]byte, error) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, err
	}
	k, err := p.key(ctx, s)
	if err != nil {
		return nil, err
	}
	if k.tooLarge() {
		return nil, errTooLarge
	}
	film, err := k.film()
	if err != nil {
		return nil, err
	}
	release, err := p.queue.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	jpeg, err := decode(ctx, ffmpeg, film)
	if err != nil && ctx.Err() == nil {
		p.env.Log.Warn("ffmpeg made no still", slog.String("stream", s.Path()), slog.String("err", err.Error()))
	}
	return jpeg, err
}

// answer sends a picture or a range of it, or says why there is none.
func (p *Snapshots) answer(w http.ResponseWriter, r *http.Request, contentType string, c picture, err error) {
	header := w.Header()
	switch {
	case r.Context().Err() != nil:
		return // the viewer has gone
	case errors.Is(err, exec.ErrNotFound):
		header.Set("Cache-Control", "no-store")
		http.Error(w, "stills need ffmpeg, which is not installed on the server; snapshot.mp4 beside this does not", http.StatusNotImplemented)
		return
	case errors.Is(err, errDecoder):
		header.Set("Cache-Control", "no-store")
		http.Error(w, "the picture cannot be decoded", http.StatusInternalServerError)
		return
	case err != nil:
		p.env.Fail(w, err)
		return
	}
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "max-age=1")
	header.Set("ETag", c.etag)
	out := &counter{ResponseWriter: w}
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(c.bytes))
	p.env.Sessions.Sent(p.env.Name, out.n)
}

// counter counts the bytes of a body.
type counter struct {
	http.ResponseWriter
	n uint64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += uint64(n)
	return n, err
}

// Unwrap lets http.ResponseController find the response.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }
