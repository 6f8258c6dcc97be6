package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/protocol"
	"weir/internal/session"
)

// Player plays recordings over the HTTP listeners: it is among the pages there.
type Player struct {
	env     protocol.Env
	archive *Archive
	lives   func(stream string, epoch uint64) bool
	links   links
	renewed renewals
	lists   playlists
	waiting atomic.Int64 // viewers, for the first segment of a recording
}

// NewPlayer returns what plays the recordings of an archive. lives reports whether a life of a stream, by its epoch, goes on.
func NewPlayer(env protocol.Env, a *Archive, lives func(stream string, epoch uint64) bool) *Player {
	return &Player{
		env: env, archive: a, lives: lives, renewed: renewals{until: map[string]time.Time{}}, lists: playlists{byKey: map[listKey]*playlist{}},
	}
}

// Run forgets what nobody asks for any more, until ctx ends.
func (p *Player) Run(ctx context.Context) error {
	t := time.NewTicker(keptTime / 5)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			p.lists.forgetIdle(now.Add(-keptTime))
		}
	}
}

// Routes implements protocol.Router.
func (p *Player) Routes() []protocol.Route {
	return []protocol.Route{
		{Method: http.MethodGet, Suffix: "/playback.mp4", Handler: p.film},
		{Method: http.MethodGet, Suffix: "/recordings.json", Handler: p.spans},
		{Method: http.MethodGet, Suffix: "/index.m3u8", When: asksPast, Handler: p.index},
		{Method: http.MethodGet, Suffix: "/" + playlistName, Handler: p.playlist},
		{Method: http.MethodGet, Resource: isMedia, Handler: p.media},
	}
}

// The times that a viewer may take to take an answer: writeTime at the least, and as long as leastRate, in bytes a
// second, takes.
const (
	writeTime = 30 * time.Second
	leastRate = 16 << 10
)

// patience gives a viewer time for an answer of n bytes.
func patience(w http.ResponseWriter, n int64) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime + time.Duration(n/leastRate)*time.Second))
}

// faults are the errors of the archive as viewers are told of them. Those that are not told wrap what is the operator's.
var faults = []struct {
	err    error
	status int
	reason session.Reason
	told   bool // with all that the error says: it is the archive's own
}{
	{ErrIndexing, http.StatusServiceUnavailable, session.Limit, false},
	{ErrBusy, http.StatusServiceUnavailable, session.Limit, true},
	{ErrQuery, http.StatusBadRequest, session.ProtocolError, true},
	{ErrStorage, http.StatusBadGateway, session.Unreachable, false},
	{ErrCodecs, http.StatusConflict, session.Unsupported, true},
	{ErrGap, http.StatusConflict, session.Unsupported, true},
	{ErrFormat, http.StatusConflict, session.Unsupported, true},
	{ErrFragments, http.StatusConflict, session.Unsupported, true},
	{ErrUnreadable, http.StatusNotFound, session.NotFound, false},
	{ErrNotFound, http.StatusNotFound, session.NotFound, true},
}

// fail answers with an error of the archive or a refusal.
func (p *Player) fail(w http.ResponseWriter, r *http.Request, stream string, err error) {
	_ = p.failed(w, r, stream, err)
}

// failed is fail, and returns the error with its reason.
func (p *Player) failed(w http.ResponseWriter, r *http.Request, stream string, err error) error {
	if r.Context().Err() != nil {
		return err // the viewer has gone
	}
	for _, f := range faults {
		if !errors.Is(err, f.err) {
			continue
		}
		text := err.Error()
		if !f.told {
			if f.err != ErrIndexing { //nolint:errorlint // it is one of the list; what it wraps was logged
				p.env.Log.Warn("a recording cannot be played", "stream", stream, "err", session.ErrorText(err, 512))
			}
			text = f.err.Error()
		}
		if f.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(session.RetrySeconds))
		}
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, text, f.status)
		return session.Because(f.reason, err)
	}
	if _, ok := errors.AsType[session.Reasoner](err); !ok {
		p.env.Log.Error("a recording cannot be played", "stream", stream, "err", session.ErrorText(err, 256))
		err = session.Because(session.Internal, err)
	}
	p.env.Fail(w, err)
	return err
}

// times reads the range of a query: from, and to or duration. now is for what is relative to it.
func times(q url.Values, now time.Time) (from, to time.Time, err error) {
	if from, err = moment(q, "from", now); err != nil {
		return from, to, err
	}
	if from.IsZero() {
		return from, to, fmt.Errorf("%w: from is missing, such as from=2027-01-31T18:00:00Z", ErrQuery)
	}
	if to, err = moment(q, "to", now); err != nil {
		return from, to, err
	}
	if text := q.Get("duration"); text != "" {
		d, err := strconv.ParseFloat(text, 64)
		if err != nil || !(d > 0) || d > maxSeconds || !to.IsZero() {
			return from, to, fmt.Errorf("%w: duration is in seconds, such as 60.5, and stands in the place of to", ErrQuery)
		}
		to = from.Add(time.Duration(d * float64(time.Second)))
	}
	if to.IsZero() {
		to = now
	}
	if !from.Before(to) {
		return from, to, fmt.Errorf("%w: to must be later than from", ErrQuery)
	}
	return from, to, nil
}

// maxSeconds bounds durations and times in seconds: some 30 years.
const maxSeconds = 1e9

// moment reads a time of a query: RFC 3339, or negative seconds from now; zero if it is not there.
func moment(q url.Values, key string, now time.Time) (time.Time, error) {
	text := q.Get(key)
	if text == "" {
		return time.Time{}, nil
	}
	if s, ok := strings.CutPrefix(text, "-"); ok {
		if d, err := strconv.ParseFloat(s, 64); err == nil && d >= 0 && d < maxSeconds {
			return now.Add(-time.Duration(d * float64(time.Second))), nil
		}
	}
	// A plus sign that was not escaped has become a space.
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(text, " ", "+"))
	if err != nil || t.Before(earliest) || t.After(latest) {
		return time.Time{}, fmt.Errorf("%w: %s is a time such as 2027-01-31T18:00:00Z, or seconds before now such as -300", ErrQuery, key)
	}
	return t, nil
}

// film answers with a range of a recording as one MP4 file.
func (p *Player) film(w http.ResponseWriter, r *http.Request, path string) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s, stream, err := p.env.Attend(ctx, r, path, func(cause error) {
		cancel(cause)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)) // whatever is being sent
	})
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	out := &counter{ResponseWriter: w, add: func(n int) { s.BytesOut.Add(uint64(n)) }}
	err = p.archive.ServeFilm(out, r.WithContext(ctx), stream)
	if err != nil {
		err = p.failed(w, r, stream, err)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	s.CloseWith(err)
}

// ServeFilm answers a request with a range of a recording as one MP4 file: from, to or duration, gaps and recording
// are in its query. The whole of a file that is only in the storage is answered with where it is there. After an error nothing has been
// answered.
func (a *Archive) ServeFilm(w http.ResponseWriter, r *http.Request, stream string) error {
	q := r.URL.Query()
	from, to, err := times(q, time.Now())
	if err != nil {
		return err
	}
	gaps := q.Get("gaps")
	switch gaps {
	case "":
		gaps = Skip
	case Skip, Hold, Error:
	default:
		return fmt.Errorf("%w: gaps is %s, %s or %s", ErrQuery, Skip, Hold, Error)
	}
	f, err := a.Film(r.Context(), viewerOf(r), stream, q.Get("recording"), from, to, gaps)
	if errors.Is(err, ErrCodecs) || errors.Is(err, ErrGap) {
		return a.withSpans(r.Context(), err, stream, q.Get("recording"), from, to)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	name := ""
	if q.Has("download") {
		name = "attachment; filename*=UTF-8''" + url.PathEscape(downloadName(stream, from))
	}
	if f.Elsewhere != nil {
		to, err := a.Elsewhere(r.Context(), &f.Elsewhere.Row, name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
		redirect(w, to)
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp4")
	h.Set("ETag", f.ETag)
	h.Set("Cache-Control", "private, no-cache")
	for _, name := range f.Skipped {
		h.Add("Weir-Skipped", url.PathEscape(name))
	}
	if name != "" {
		h.Set("Content-Disposition", name)
	}
	patience(w, f.Size)
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// redirect sends a viewer to the storage, by an address that is good for a time.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// downloadName is the name of a film in the viewer's folder.
func downloadName(stream string, from time.Time) string {
	return strings.NewReplacer("/", "-", "\\", "-").Replace(stream) + "-" + from.UTC().Format("20060102T150405Z") + ".mp4"
}

// withSpans returns err with the spans of a range, each of which can be played.
func (a *Archive) withSpans(ctx context.Context, err error, stream, recording string, from, to time.Time) error {
	parts, e := a.Range(ctx, stream, recording, from, to)
	if e != nil {
		return e
	}
	spans, _ := spansOf(parts)
	var b strings.Builder
	for i, s := range spans {
		if i == maxTold {
			fmt.Fprintf(&b, "\nand %d more", len(spans)-i)
			break
		}
		fmt.Fprintf(&b, "\nfrom=%s&to=%s %s", stamp(s.From), stamp(s.To), s.Codecs)
	}
	return fmt.Errorf("%w; these are without one:%s", err, b.String())
}

// maxTold bounds the spans that an error tells of.
const maxTold = 100

// counter counts the bytes of a body.
type counter struct {
	http.ResponseWriter
	add func(n int)
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.add(n)
	return n, err
}

// Unwrap lets http.ResponseController find the response.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

var _ io.Writer = (*counter)(nil)
