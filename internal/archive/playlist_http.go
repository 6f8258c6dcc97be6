package archive

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/format/m3u8"
	"weir/internal/session"
)

const playlistType = "application/vnd.apple.mpegurl"

// Bounds of time shift.
const (
	// maxShift is how far from its beginning a playlist that grows goes on at most.
	maxShift = 24 * time.Hour
	// maxPause is how long nothing may be recorded before such a playlist ends.
	maxPause = time.Minute
)

// asksPast reports whether a query for a stream's playlist asks for what was recorded.
func asksPast(q url.Values) bool {
	start := q.Get("start")
	return q.Has("from") || q.Has("to") || strings.HasPrefix(start, "-") || strings.ContainsAny(start, "Tt") && strings.HasPrefix(start, "2")
}

// index answers with the multivariant playlist of a range, or of all from a time on. Relative times are resolved here, so that
// players, which come back to the playlist behind it, keep their times.
func (p *Player) index(w http.ResponseWriter, r *http.Request, path string) {
	stream, grant, err := p.let(r, path)
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	now := time.Now()
	q := r.URL.Query()
	next := url.Values{}
	if name := q.Get("recording"); name != "" {
		next.Set("recording", name)
	}
	var from, to time.Time
	if q.Get("start") != "" && !q.Has("from") {
		if from, err = moment(q, "start", now); err == nil {
			next.Set("start", stamp(from.Truncate(time.Millisecond)))
			to = now
			if !from.Before(now) {
				err = fmt.Errorf("%w: start is in the future", ErrQuery)
			}
		}
	} else if from, to, err = times(q, now); err == nil {
		next.Set("from", stamp(from))
		next.Set("to", stamp(to))
	}
	var parts []Part
	if err == nil {
		parts, err = p.archive.Range(r.Context(), stream, q.Get("recording"), from, to)
	}
	var key []byte
	if err == nil {
		key, err = p.links.secret(r.Context(), p.archive)
	}
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	next.Set("v", pass(key, stream, grant, now))
	next.Set("l", link(key, stream, now))
	uri := playlistName + "?" + next.Encode()
	if stream != path { // what belongs to the stream has its public name; the name asked for may be a secret
		uri = strings.Repeat("../", strings.Count(path, "/")+1) + (&url.URL{Path: stream}).EscapedPath() + "/" + uri
	}
	m := m3u8.Multivariant{Version: 7, Variants: []m3u8.Variant{{
		URI: uri, Bandwidth: bandwidth(parts), Codecs: codecs(parts), ClosedCaptions: "NONE",
	}}}
	text := m.Append(nil)
	h := w.Header()
	h.Set("Content-Type", playlistType)
	h.Set("Cache-Control", "no-store") // the proof in it is this viewer's alone
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodHead {
		return
	}
	n, _ := w.Write(text) // the viewer is gone if it fails
	p.env.Sessions.Sent(p.env.Name, uint64(n))
}

// let admits the sender of a request who has no proof.
func (p *Player) let(r *http.Request, path string) (stream string, g session.Grant, err error) {
	if g, err = p.env.Allow(r.Context(), p.env.Request(r, path)); err != nil {
		return "", g, err
	}
	return g.PathOf(path), g, nil
}

// playlist answers with a media playlist.
func (p *Player) playlist(w http.ResponseWriter, r *http.Request, stream string) {
	q := r.URL.Query()
	now := time.Now()
	key, err := p.links.secret(r.Context(), p.archive)
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	if _, ok := proves(key, "playlist", stream, q.Get("v"), now); !ok {
		// Its time is over, or a person has written the address: whoever may begin may go on.
		if stream, _, err = p.let(r, stream); err != nil {
			p.env.Fail(w, err)
			return
		}
	}
	l := q.Get("l")
	if _, ok := proves(key, "media", stream, l, now); !ok {
		l = link(key, stream, now)
	}
	want := listKey{stream: stream, recording: q.Get("recording"), link: l}
	if q.Get("start") != "" {
		want.event = true
		if want.from, err = moment(q, "start", now); err == nil && strings.HasPrefix(q.Get("start"), "-") {
			err = fmt.Errorf("%w: a start before now is for index.m3u8, which resolves it once", ErrQuery)
		}
	} else {
		want.from, want.to, err = times(q, now)
	}
	var t *text
	if err == nil {
		t, err = p.lists.get(r.Context(), p, want, q.Get("_HLS_skip") != "")
	}
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	p.send(w, r, t)
}

// send answers with a playlist.
func (p *Player) send(w http.ResponseWriter, r *http.Request, t *text) {
	body, tag := t.plain, t.tag
	h := w.Header()
	h.Set("Content-Type", playlistType)
	h.Add("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "private, max-age=1")
	if acceptsGzip(r) {
		body, tag = t.gzip, strings.TrimSuffix(t.tag, `"`)+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if slices.ContainsFunc(strings.Split(r.Header.Get("If-None-Match"), ","), func(s string) bool { return strings.TrimPrefix(strings.TrimSpace(s), "W/") == tag }) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	patience(w, int64(len(body)))
	n, _ := w.Write(body) // the viewer is gone if it fails
	p.env.Sessions.Sent(p.env.Name, uint64(n))
}

// acceptsGzip reports whether the client names gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for c := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(c), ";")
		if strings.EqualFold(name, "gzip") {
			q := strings.ReplaceAll(params, " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
		}
	}
	return false
}

// media answers with a range of a recorded file, or with its initialization.
func (p *Player) media(w http.ResponseWriter, r *http.Request, stream string) {
	now := time.Now()
	id, init, _ := parseMedia(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	key, err := p.links.secret(r.Context(), p.archive)
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	until, ok := proves(key, "media", stream, r.URL.Query().Get("l"), now)
	if !ok {
		if stream, _, err = p.let(r, stream); err != nil {
			p.env.Fail(w, err)
			return
		}
		until = now.Add(time.Minute)
	}
	row, err := p.archive.File(r.Context(), id)
	if err == nil && (row.Stream != stream || row.State == Damaged || row.Format != formatMP4) {
		err = ErrNotFound
	}
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "video/mp4")
	h.Set("Cache-Control", "private, max-age="+strconv.Itoa(int(until.Sub(now)/time.Second)))
	out := &counter{ResponseWriter: w, add: func(n int) { p.env.Sessions.Sent(p.env.Name, uint64(n)) }}
	if init {
		x, err := p.archive.fragments(r.Context(), &row)
		if err != nil {
			h.Del("Cache-Control")
			p.fail(w, r, stream, fmt.Errorf("%w: %w", ErrNotFound, err))
			return
		}
		h.Set("ETag", `"`+id+`-init"`)
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(x.Init))
		return
	}
	if row.State == Remote {
		to, err := p.archive.Elsewhere(r.Context(), &row)
		if err != nil {
			h.Del("Cache-Control")
			p.fail(w, r, stream, err)
			return
		}
		h.Set("Cache-Control", "no-store")
		h.Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	f, err := open(&row)
	if err != nil {
		h.Del("Cache-Control")
		p.fail(w, r, stream, fmt.Errorf("%w: %w", ErrNotFound, err))
		return
	}
	defer f.Close()
	// The fragments of a file never change: only its head does, when it becomes whole, which no playlist refers to.
	h.Set("ETag", `"`+id+`"`)
	if info, err := f.Stat(); err == nil {
		patience(w, info.Size())
	}
	http.ServeContent(out, r, "", time.Time{}, f)
}

// listKey is what a playlist is of.
type listKey struct {
	stream, recording, link string
	from, to                time.Time
	event                   bool
}

// text is a playlist as it is sent.
type text struct {
	plain, gzip []byte
	tag         string
}

func newText(b []byte) *text {
	sum := sha256.Sum256(b)
	var z bytes.Buffer
	w, _ := gzip.NewWriterLevel(&z, 5) // the level is one there is
	_, _ = w.Write(b)                  // to memory
	_ = w.Close()
	return &text{b, z.Bytes(), `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// maxLists bounds the playlists that are kept.
const maxLists = 256

// playlists are those that were asked for last: all who ask for one get the same.
type playlists struct {
	mu    sync.Mutex // guards below
	byKey map[listKey]*playlist
}

// playlist is one of them.
type playlist struct {
	used time.Time // guarded by the list's lock

	mu    sync.Mutex // guards below; held while it is made
	made  time.Time
	whole bool   // it does not change any more
	sign  string // tells whether it has changed
	full  *text
	delta *text
}

// How long a playlist is given out without looking whether it has changed.
const (
	growingAge = time.Second
	wholeAge   = 10 * time.Second
)

// get returns a playlist, or the update for those who have its beginning.
func (l *playlists) get(ctx context.Context, p *Player, key listKey, skip bool) (*text, error) {
	l.mu.Lock()
	e := l.byKey[key]
	if e == nil {
		if len(l.byKey) >= maxLists {
			l.forgetOldest()
		}
		e = &playlist{}
		l.byKey[key] = e
	}
	e.used = time.Now()
	l.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	age := time.Since(e.made)
	if e.full == nil || age > wholeAge || !e.whole && age > growingAge {
		if err := e.make(ctx, p, key); err != nil {
			return nil, err
		}
	}
	if skip && e.delta != nil {
		return e.delta, nil
	}
	return e.full, nil
}

// forgetOldest forgets the playlist that nobody has asked for for longest.
func (l *playlists) forgetOldest() {
	var oldest listKey
	first := true
	for k, e := range l.byKey {
		if first || e.used.Before(l.byKey[oldest].used) {
			oldest, first = k, false
		}
	}
	delete(l.byKey, oldest)
}

// make makes the playlist again if it has changed. mu is held.
func (e *playlist) make(ctx context.Context, p *Player, key listKey) error {
	now := time.Now()
	to := key.to
	if key.event {
		to = key.from.Add(maxShift)
	}
	parts, err := p.archive.Range(ctx, key.stream, key.recording, key.from, to)
	if err != nil {
		return err
	}
	ended := true
	if key.event {
		parts, ended = running(parts, to, now)
	}
	m, err := p.write(ctx, parts, key.from, "?l="+key.link, key.event, ended)
	if err != nil {
		return err
	}
	if len(m.Segments) == 0 {
		return fmt.Errorf("%w: nothing of this stream was recorded since %s", ErrNotFound, stamp(key.from))
	}
	e.made, e.whole = now, ended && parts[len(parts)-1].State != Recording
	last := &m.Segments[len(m.Segments)-1]
	if sign := fmt.Sprint(len(m.Segments), last.URI, last.Range, ended, len(parts)); sign != e.sign || e.full == nil {
		e.sign, e.full, e.delta = sign, newText(m.Append(nil)), nil
		if d, ok := delta(m); ok {
			e.delta = newText(d.Append(nil))
		}
	}
	return nil
}

// running returns the parts that follow the first one without a long pause, and whether there will be no more of them.
func running(parts []Part, to, now time.Time) ([]Part, bool) {
	for i := 1; i < len(parts); i++ {
		if parts[i].From.Sub(parts[i-1].To) > maxPause {
			return parts[:i], true
		}
	}
	last := &parts[len(parts)-1]
	return parts, !last.To.Before(to) || last.State != Recording && now.Sub(last.To) > maxPause
}

// spans answers with what was recorded of a stream, for the bar on its page.
func (p *Player) spans(w http.ResponseWriter, r *http.Request, path string) {
	stream, _, err := p.let(r, path)
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	q := r.URL.Query()
	from, to := time.Now().Add(-maxShift), time.Now()
	if q.Has("from") {
		if from, to, err = times(q, time.Now()); err != nil {
			p.fail(w, r, stream, err)
			return
		}
	}
	parts, err := p.archive.Range(r.Context(), stream, q.Get("recording"), from, to)
	if err != nil && !errors.Is(err, ErrNotFound) {
		p.fail(w, r, stream, err)
		return
	}
	spans, gaps := spansOf(parts)
	writeSpans(w, r, spans, gaps)
}
