package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/format/m3u8"
	"weir/internal/archive/clip"
	"weir/internal/peer"
	"weir/internal/session"
)

const playlistType = "application/vnd.apple.mpegurl"

// asksPast reports whether a query for a stream's playlist asks for what was recorded: all that is no word of where to begin in the live one.
func asksPast(q url.Values) bool {
	start := q.Get("start")
	_, err := peer.ParseStart(start)
	return q.Has("from") || q.Has("to") || start != "" && err != nil
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
	key, err := p.links.secret(r.Context(), p.archive)
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	q := r.URL.Query()
	want := listKey{stream: stream, recording: q.Get("recording"), link: link(key, stream, now)}
	next := url.Values{}
	if stream == path { // they are of no use for another name
		next = evidence(q)
	}
	var parts []Part
	var start *m3u8.Start
	if q.Get("start") != "" && !q.Has("from") {
		var at time.Time
		parts, at, start, err = p.shift(r.Context(), viewerOf(r), q, now, &want)
		next.Set("start", stamp(want.from))
		next.Set("at", stamp(at))
		next.Set("life", strconv.FormatUint(want.life, 10))
		next.Set("target", strconv.Itoa(want.target))
	} else if want.from, want.to, err = times(q, now); err == nil {
		next.Set("from", stamp(want.from))
		next.Set("to", stamp(want.to))
		parts, err = p.archive.inTurn(r.Context(), viewerOf(r), func() ([]Part, error) {
			return p.archive.Range(r.Context(), stream, want.recording, want.from, want.to)
		})
	}
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	next.Set("recording", parts[0].Recording)
	next.Set("v", pass(key, stream, grant, now))
	next.Set("l", want.link)
	uri := playlistName + "?" + next.Encode()
	if stream != path { // what belongs to the stream has its public name; the name asked for may be a secret
		uri = strings.Repeat("../", strings.Count(path, "/")+1) + (&url.URL{Path: stream}).EscapedPath() + "/" + uri
	}
	m := m3u8.Multivariant{Version: 7, Start: start, Variants: []m3u8.Variant{{
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

// evidence returns what a query shows to be let in: all but what is of playlists. It stays in the playlist's address,
// for when its proof has run out.
func evidence(q url.Values) url.Values {
	rest := url.Values{}
	for name, values := range q {
		switch name {
		case "start", "at", "from", "to", "duration", "recording", "life", "target", "v", "l":
		default:
			if !strings.HasPrefix(name, "_HLS_") {
				rest[name] = values
			}
		}
	}
	return rest
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
	if _, ok := proves(key, "playlist", stream, q.Get("v"), now); !ok && !p.renewed.has(stream, q, now) {
		// Its time is over, or a person has written the address: whoever may begin may go on.
		asked := stream
		var grant session.Grant
		if stream, grant, err = p.let(r, asked); err != nil {
			p.env.Fail(w, err)
			return
		}
		if stream == asked && q.Has("v") {
			p.renewed.note(stream, q, passEnd(grant, now), now)
		}
	}
	l := q.Get("l")
	if _, ok := proves(key, "media", stream, l, now); !ok {
		l = link(key, stream, now)
	}
	want := listKey{stream: stream, recording: q.Get("recording"), link: l}
	if q.Get("start") != "" {
		err = want.parse(q, now)
	} else {
		want.from, want.to, err = times(q, now)
	}
	var e *playlist
	if err == nil {
		e, err = p.lists.get(r.Context(), p, viewerOf(r), want)
	}
	if err != nil {
		p.fail(w, r, stream, err)
		return
	}
	t := e.text(q.Get("_HLS_skip") != "")
	if at, err := moment(q, "at", now); err == nil && !at.IsZero() && want.event && !q.Has("_HLS_skip") {
		t = t.withStart(e.startAt(at))
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
			p.fail(w, r, stream, unreadable(err))
			return
		}
		h.Set("ETag", `"`+id+`-init"`)
		http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(x.Init))
		return
	}
	later := time.Duration(0)
	if text := r.URL.Query().Get("t"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if later = time.Duration(ms) * time.Millisecond; err != nil || ms < -maxLater || ms > maxLater {
			p.fail(w, r, stream, fmt.Errorf("%w: t is of a playlist", ErrQuery))
			return
		}
	}
	var f *os.File
	if row.State != Remote {
		if f, err = open(&row); err != nil && !p.archive.moved(r.Context(), &row, err) {
			p.fail(w, r, stream, unreadable(err))
			return
		}
	}
	if row.State == Remote {
		to, err := p.archive.Elsewhere(r.Context(), &row, "")
		if err != nil {
			p.fail(w, r, stream, fmt.Errorf("%w: %w", ErrStorage, err))
			return
		}
		redirect(w, to)
		return
	}
	defer f.Close()
	var content io.ReadSeeker = f
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	if later != 0 {
		x, err := p.archive.fragments(r.Context(), &row)
		if err == nil {
			content, err = clip.Shifted(f, size, x, later)
		}
		if err != nil {
			p.fail(w, r, stream, unreadable(err))
			return
		}
	}
	// The fragments of a file never change: only its head does, when it becomes whole, which no playlist refers to.
	h.Set("ETag", `"`+id+"-"+strconv.FormatInt(later.Milliseconds(), 10)+`"`)
	patience(w, size)
	http.ServeContent(out, r, "", time.Time{}, content)
}

// unreadable is the error of a file that is there no more, or that the system does not give.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// maxLater bounds by how many milliseconds a file's media may be later: some 30 years.
const maxLater = maxSeconds * 1000

// spans answers with what was recorded of a stream, for the bar on its page.
func (p *Player) spans(w http.ResponseWriter, r *http.Request, path string) {
	stream, _, err := p.let(r, path)
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	q, now := r.URL.Query(), time.Now()
	from, to := now.Add(-maxShift), now
	if q.Has("from") {
		if from, to, err = times(q, now); err != nil {
			p.fail(w, r, stream, err)
			return
		}
	}
	parts, err := p.archive.inTurn(r.Context(), viewerOf(r), func() ([]Part, error) {
		return p.archive.Recent(r.Context(), stream, q.Get("recording"), from, to)
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		p.fail(w, r, stream, err)
		return
	}
	spans, gaps := spansOf(parts)
	writeSpans(w, r, now, spans, gaps)
}
