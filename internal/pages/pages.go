// Package pages shows a page on which a stream is watched in a browser, and a page that
// lists the streams where that is allowed. What plays is up to the page: it is a client
// of the other protocols, and knows no more than any.
package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"weir/av"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/stream"
)

// place is below what the files of the pages lie. No stream can be there: see
// peer.Reserved.
const place = "/" + peer.ReservedApp + "/"

// policy lets the pages load nothing from elsewhere. mpegts.js and hls.js hand media over
// by URLs of objects.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"media-src 'self' blob:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"

// Pages shows the pages.
type Pages struct {
	env   protocol.Env
	files fs.FS
	list  bool
}

// New returns the pages in files. With list, the streams are shown to everybody.
func New(env protocol.Env, files fs.FS, list bool) *Pages { return &Pages{env, files, list} }

// Run returns when ctx ends: there is nothing to do.
func (p *Pages) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Routes implements protocol.Router.
func (p *Pages) Routes() []protocol.Route {
	get := func(at string, h func(http.ResponseWriter, *http.Request, string)) protocol.Route {
		return protocol.Route{Method: http.MethodGet, Place: at, Handler: h}
	}
	return []protocol.Route{
		get("/", p.index),
		get("/streams.json", p.streams),
		get(place, p.asset),
		{Method: http.MethodGet, Suffix: "/", Handler: p.watch},
		{Method: http.MethodGet, Suffix: "", Handler: p.redirect},
	}
}

// watch shows the page of a stream.
func (p *Pages) watch(w http.ResponseWriter, r *http.Request, stream string) {
	p.page(w, r, "watch.html", strings.Repeat("../", strings.Count(stream, "/")+1))
}

// redirect leads to the page of a stream, from the path that encoders have.
func (p *Pages) redirect(w http.ResponseWriter, r *http.Request, stream string) {
	if strings.Contains(path.Base(stream), ".") { // such as a file that there is not
		http.Error(w, "there is nothing here; a stream is watched at /APP/NAME/", http.StatusNotFound)
		return
	}
	protocol.Redirect(w, r, path.Base(stream)+"/")
}

// index shows the page without a stream.
func (p *Pages) index(w http.ResponseWriter, r *http.Request, _ string) {
	p.page(w, r, "index.html", "")
}

// unbuilt is the page of a program that was built without Node.
const unbuilt = `<!doctype html><html lang="en"><title>Weir</title>
<p>The pages were not built into this program: build it with <code>make build</code>, which needs Node.
<p>A stream is played at <code>/APP/NAME.flv</code>, <code>/APP/NAME.ts</code> and <code>/APP/NAME/index.m3u8</code>.
`

// page sends a page, in which up leads from its place to the root.
func (p *Pages) page(w http.ResponseWriter, r *http.Request, name, up string) {
	b, err := fs.ReadFile(p.files, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b = []byte(unbuilt)
	case err != nil:
		http.Error(w, "the page cannot be read", http.StatusInternalServerError)
		return
	}
	if p.list {
		b = bytes.ReplaceAll(b, []byte(`data-list="private"`), []byte(`data-list="public"`))
	}
	b = bytes.ReplaceAll(b, []byte(`"./assets/`), []byte(`"`+up+peer.ReservedApp+`/assets/`))
	sum := sha256.Sum256(b)
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer") // the page's URL may hold a key
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// asset sends a file that a page loads. Its name changes with its content.
func (p *Pages) asset(w http.ResponseWriter, r *http.Request, name string) {
	b, err := fs.ReadFile(p.files, name)
	if err != nil || !strings.HasPrefix(name, "assets/") {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(b))
}

// listed is a stream in the list.
type listed struct {
	Path  string `json:"path"`
	Video string `json:"video"` // "1920×1080 H.264", "" without video
	Audio string `json:"audio"` // "AAC"
}

// streams sends the list of what is live.
func (p *Pages) streams(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Cache-Control", "no-cache")
	if !p.list {
		http.Error(w, "the list of streams is not public (http.index)", http.StatusNotFound)
		return
	}
	list := []listed{}
	for _, s := range p.env.Hub.List() {
		if _, live := s.Publisher(); live {
			list = append(list, describe(s))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list) // the viewer is gone if it fails
}

func describe(s *stream.Stream) listed {
	l := listed{Path: s.Path()}
	for _, t := range s.Headers().Tracks {
		switch {
		case t.Kind == av.Video && l.Video == "":
			l.Video = t.Codec.String()
			if t.Size.Width > 0 {
				l.Video = fmt.Sprintf("%d×%d %v", t.Size.Width, t.Size.Height, t.Codec)
			}
		case t.Kind == av.Audio && l.Audio == "":
			l.Audio = t.Codec.String()
		}
	}
	return l
}
