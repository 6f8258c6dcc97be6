// Package snapshot shows the newest key frame of a stream: as a film of one picture, which
// costs next to nothing, or as a JPEG still, for which ffmpeg must be installed.
package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// stillTime is how long a still is shown before another one is made.
	stillTime = time.Second
	// decodeTime bounds the making of a still, and decoders how many are made at a time.
	decodeTime = 5 * time.Second
	decoders   = 2
	// keyTime is how long the next key frame is waited for where none is kept.
	keyTime = 5 * time.Second
	// maxStill bounds a still.
	maxStill = 16 << 20
)

// Snapshots answers requests for pictures.
type Snapshots struct {
	env   protocol.Env
	turns chan struct{} // held while a still is made

	mu     sync.Mutex // guards below
	stills map[*stream.Stream]*still
}

// still is a stream's newest still, or the making of it.
type still struct {
	ready chan struct{} // closed when the following is there
	jpeg  []byte
	err   error
	made  time.Time
}

// New returns snapshots.
func New(env protocol.Env) *Snapshots {
	return &Snapshots{env: env, turns: make(chan struct{}, decoders), stills: map[*stream.Stream]*still{}}
}

// Run forgets stills that nobody asks for.
func (p *Snapshots) Run(ctx context.Context) error {
	t := time.NewTicker(10 * stillTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			p.sweep(now)
		}
	}
}

func (p *Snapshots) sweep(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s, c := range p.stills {
		select {
		case <-c.ready:
			if now.Sub(c.made) > stillTime {
				delete(p.stills, s)
			}
		default: // it is being made
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

// errNotLive is the answer where nobody publishes.
var errNotLive = session.Because(session.NotFound, errors.New("nobody publishes this stream"))

// find admits a request and returns its stream; nil if it has been answered.
func (p *Snapshots) find(w http.ResponseWriter, r *http.Request, path string) *stream.Stream {
	_, err := p.env.Allow(r.Context(), &peer.Request{
		Role: session.Play, Protocol: p.env.Name, Remote: peer.Remote(r), Path: path, RawQuery: r.URL.RawQuery,
	})
	if err != nil {
		p.env.Fail(w, err)
		return nil
	}
	if s := p.env.Hub.Get(path); s != nil {
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
	b, err := newest(r.Context(), s)
	p.answer(w, r, "video/mp4", b, err)
}

// still answers with a JPEG picture.
func (p *Snapshots) still(w http.ResponseWriter, r *http.Request, path string) {
	s := p.find(w, r, path)
	if s == nil {
		return
	}
	b, err := p.shared(r.Context(), s)
	p.answer(w, r, "image/jpeg", b, err)
}

// answer sends a picture, or says why there is none.
func (p *Snapshots) answer(w http.ResponseWriter, r *http.Request, contentType string, b []byte, err error) {
	if errors.Is(err, exec.ErrNotFound) {
		http.Error(w, "stills need ffmpeg, which is not installed on the server; snapshot.mp4 beside this does not", http.StatusNotImplemented)
		return
	}
	if err != nil {
		p.env.Fail(w, session.Because(session.NotFound, err))
		return
	}
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "max-age=1")
	header.Set("Content-Length", strconv.Itoa(len(b)))
	if r.Method == http.MethodHead {
		return
	}
	n, _ := w.Write(b)
	p.env.Sessions.Sent(p.env.Name, uint64(n))
}

// errNoPicture says that a stream has nothing to show.
var errNoPicture = errors.New("the stream has no key frame to show")

// newest returns the newest key frame as a file.
func newest(ctx context.Context, s *stream.Stream) ([]byte, error) {
	e := newestKey(ctx, s)
	if e == nil {
		return nil, errNoPicture
	}
	for i := range e.Headers.Tracks {
		t := &e.Headers.Tracks[i]
		if t.Kind != av.Video || t.ID != e.Track {
			continue
		}
		payload, ok := fmp4.SamplePayload(t.Track, &e.Frame)
		if !ok {
			return nil, errNoPicture
		}
		track := fmp4.Track{Track: t.Track, ID: 1}
		b, err := fmp4.AppendInit(make([]byte, 0, len(payload)+2048), []fmp4.Track{track})
		if err != nil {
			return nil, err
		}
		return fmp4.AppendFragment(b, 1, []fmp4.Run{{
			ID: track.ID, Samples: []fmp4.Sample{{Duration: fmp4.Timescale(t.Track), Key: true, Payload: payload}},
		}})
	}
	return nil, errNoPicture
}

// newestKey returns the newest key frame that is kept, else the next one; nil if there is none soon.
func newestKey(ctx context.Context, s *stream.Stream) (key *stream.Entry) {
	r := s.Follow(stream.FollowOptions{})
	defer r.Close()
	over, stop := context.WithCancel(ctx)
	stop() // what is there is read, and nothing waited for
	for {
		e, err := r.Next(over)
		if err != nil {
			break
		}
		if e.Kind == av.Video && e.IsKey() {
			key = &e
		}
	}
	if key != nil {
		return key
	}
	ctx, cancel := context.WithTimeout(ctx, keyTime)
	defer cancel()
	for {
		e, err := r.Next(ctx)
		if err != nil {
			return nil
		}
		if e.Kind == av.Video && e.IsKey() {
			return &e
		}
	}
}

// shared returns the stream's still: who asks at the same time shares one, and so does who
// asks within a second.
func (p *Snapshots) shared(ctx context.Context, s *stream.Stream) ([]byte, error) {
	p.mu.Lock()
	c := p.stills[s]
	fresh := c == nil
	if !fresh {
		select {
		case <-c.ready:
			fresh = time.Since(c.made) > stillTime
		default:
		}
	}
	if fresh {
		c = &still{ready: make(chan struct{})}
		p.stills[s] = c
	}
	p.mu.Unlock()
	if fresh {
		// Others wait for it: that the first to ask has left does not end it.
		c.jpeg, c.err = p.decode(context.WithoutCancel(ctx), s)
		c.made = time.Now()
		close(c.ready)
	}
	select {
	case <-c.ready:
		return c.jpeg, c.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// decode has ffmpeg make a still.
func (p *Snapshots) decode(ctx context.Context, s *stream.Stream) ([]byte, error) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, err
	}
	film, err := newest(ctx, s)
	if err != nil {
		return nil, err
	}
	p.turns <- struct{}{}
	defer func() { <-p.turns }()
	ctx, cancel := context.WithTimeout(ctx, decodeTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-v", "error", "-threads", "1", "-f", "mp4", "-i", "pipe:0",
		"-frames:v", "1", "-q:v", "4", "-f", "mjpeg", "pipe:1")
	cmd.Stdin = bytes.NewReader(film)
	var out, said limited
	out.most, said.most = maxStill, 1<<10
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || out.Len() == 0 {
		return nil, fmt.Errorf("ffmpeg made no still: %w: %s", errors.Join(errNoPicture, err), session.Printable(said.String(), 200))
	}
	return out.Bytes(), nil
}

// limited keeps so many bytes and drops the rest.
type limited struct {
	bytes.Buffer
	most int
}

// Write implements io.Writer.
func (l *limited) Write(b []byte) (int, error) {
	_, _ = l.Buffer.Write(b[:min(len(b), l.most-l.Len())])
	return len(b), nil
}
