package hls

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/internal/hls"
)

const playlistType = "application/vnd.apple.mpegurl"

// Header fields that are the same in each answer, which shares them.
var (
	ofPlaylist = []string{playlistType}
	forever    = []string{"public, max-age=3600, immutable"} // a name is never used again
	ofBytes    = []string{"bytes"}
)

// wish is what a request for a media playlist asks for (RFC 8216bis §6.2.5).
type wish struct {
	blocking bool
	at       hls.Position
	skip     hls.Skip
}

// errDirective is wrapped by what is wrong with a request's directives.
var errDirective = errors.New("bad delivery directive")

// parseWish reads the delivery directives of a query.
func parseWish(q url.Values) (w wish, err error) {
	w.at.Part = -1
	if s := q.Get("_HLS_msn"); s != "" {
		w.blocking = true
		if w.at.Number, err = strconv.ParseUint(s, 10, 63); err != nil {
			return w, fmt.Errorf("%w: _HLS_msn is not a number", errDirective)
		}
	}
	if s := q.Get("_HLS_part"); s != "" {
		part, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return w, fmt.Errorf("%w: _HLS_part is not a number", errDirective)
		}
		if !w.blocking {
			return w, fmt.Errorf("%w: _HLS_part without _HLS_msn", errDirective)
		}
		w.at.Part = int(part)
	}
	switch q.Get("_HLS_skip") {
	case "":
	case "YES":
		w.skip = hls.SkipSegments
	case "v2":
		w.skip = hls.SkipDateRanges
	default:
		return w, fmt.Errorf("%w: _HLS_skip is YES or v2", errDirective)
	}
	return w, nil
}

// playlist answers with a media playlist, once it holds what is asked for.
func (p *HLS) playlist(w http.ResponseWriter, r *http.Request, packager *hls.Packager, n hls.Name) {
	rendition := packager.Rendition(n.Rendition)
	if rendition == nil {
		gone(w, "there is no such playlist")
		return
	}
	q := r.URL.Query()
	wish, err := parseWish(q)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	var v *viewer
	if !packager.Ended() { // what has ended is for everybody who still has its name
		if v, err = p.viewer(r, packager.Path(), q, rendition.HoldTime()); err != nil {
			p.env.Fail(w, err)
			return
		}
	}
	if wish.blocking && !rendition.Holds(wish.at) && !p.await(w, r, packager, v, rendition, wish.at) {
		return
	}
	if err := v.sentAway(); err != nil { // while its request was held
		p.env.Fail(w, err)
		return
	}
	text, err := rendition.Playlist(wish.skip)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	}
	p.writePlaylist(w, r, text, wish.blocking, v)
}

// await holds the request; if the playlist does not get that far it has answered.
func (p *HLS) await(w http.ResponseWriter, r *http.Request, packager *hls.Packager, v *viewer, rendition *hls.Rendition, at hls.Position) bool {
	release, ok := p.hold(w, packager, v)
	if !ok {
		return false
	}
	defer release()
	switch err := rendition.Wait(r.Context(), at); {
	case err == nil:
		return true
	case errors.Is(err, hls.ErrFar):
		refuse(w, http.StatusBadRequest, err)
	default:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
	}
	return false
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, err.Error(), status)
}

// writePlaylist answers with a playlist that is there.
func (p *HLS) writePlaylist(w http.ResponseWriter, r *http.Request, t *hls.Text, blocking bool, v *viewer) {
	body, tag := t.Plain, t.ETag
	header := w.Header()
	header["Content-Type"] = ofPlaylist
	header["Vary"] = append(header["Vary"], "Accept-Encoding")
	if acceptsGzip(r) {
		body, tag = t.Gzip, t.GzipETag
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("ETag", tag)
	header.Set("Cache-Control", cacheControl(t, blocking))
	if matches(r.Header.Get("If-None-Match"), tag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	patience(w, len(body))
	n, _ := w.Write(body)
	if v == nil || !v.sent(n) {
		p.env.Sessions.Sent(p.env.Name, uint64(n))
	}
}

// cacheControl says how long a playlist may be kept (RFC 8216bis §6.2.5.2 and B.1). A playlist requested by
// number may be cached for long, since that answer stays correct.
func cacheControl(t *hls.Text, blocking bool) string {
	switch {
	case t.Ended:
		return "max-age=60"
	case blocking:
		return "max-age=" + strconv.Itoa(int(6*t.Target/time.Second))
	}
	return "max-age=1"
}

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

// matches reports whether a tag is in an If-None-Match.
func matches(list, tag string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c = strings.TrimPrefix(strings.TrimSpace(c), "W/"); c == tag || c == "*" {
			return true
		}
	}
	return false
}
