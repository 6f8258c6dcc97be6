// Package pages shows a page on which a stream is watched in a browser, and a page that
// lists the streams where that is allowed. The page itself chooses what to play, as an ordinary
// client of the protocols.
package pages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"weir/internal/peer"
	"weir/internal/protocol"
)

// place is the path below which the pages' files are. No stream can be there: see peer.Reserved.
const place = "/" + peer.ReservedApp + "/"

// policy lets the pages load nothing from other servers, but for media from some, to which the server leads players. mpegts.js and hls.js pass
// media by blob URLs.
func policy(from []string) string {
	more := ""
	for _, origin := range from {
		if !strings.ContainsAny(origin, " ;,'\"") { // which would be another rule
			more += " " + origin
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"media-src 'self' blob:" + more + "; connect-src 'self'" + more + "; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
}

// Pages serves the pages.
type Pages struct {
	env      protocol.Env
	html     map[string][]byte
	assets   map[string]*asset
	list     func() bool
	open     func(path string, from netip.Addr) bool
	recorded Recorded
	pasts    pasts
}

// Recorded is what was recorded of the streams.
type Recorded interface {
	// Past returns how far viewers can go back in a stream; false if it was not recorded so that they can.
	Past(ctx context.Context, path string) (time.Duration, bool)
	// Origins returns the scheme and host of each other server that what was recorded may have to be got from.
	Origins(ctx context.Context) []string
}

// New returns the pages in files. While list says so, the live streams are shown to everybody of which open
// says that everybody at an address may watch them.
func New(env protocol.Env, files fs.FS, list func() bool, open func(path string, from netip.Addr) bool, recorded Recorded) (*Pages, error) {
	p := &Pages{env: env, html: map[string][]byte{}, assets: map[string]*asset{}, list: list, open: open, recorded: recorded}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if strings.HasPrefix(name, "assets/") {
			p.assets[name] = newAsset(name, b)
		} else {
			p.html[name] = b
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return p, nil
}

// Run returns when ctx ends: there is nothing to do.
func (p *Pages) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Routes implements protocol.Router.
func (p *Pages) Routes() []protocol.Route {
	get := func(at string, h func(http.ResponseWriter, *http.Request, string)) protocol.Route {
		return protocol.Route{Method: http.MethodGet, Fixed: at, Handler: h}
	}
	return []protocol.Route{
		get("/", p.index),
		get("/streams.json", p.streams),
		get(place, p.asset),
		{Method: http.MethodGet, Suffix: "/stream.json", Handler: p.describe},
		{Method: http.MethodGet, Suffix: "/", Handler: p.watch},
		{Method: http.MethodGet, Suffix: "", Handler: p.redirect},
	}
}

// watch shows the page of a stream.
func (p *Pages) watch(w http.ResponseWriter, r *http.Request, stream string) {
	p.page(w, r, "watch.html", strings.Repeat("../", strings.Count(stream, "/")+1), policy(p.recorded.Origins(r.Context())))
}

// redirect redirects from a stream's path, as encoders have it, to its page.
func (p *Pages) redirect(w http.ResponseWriter, r *http.Request, stream string) {
	if strings.Contains(path.Base(stream), ".") { // such as a file that does not exist
		http.Error(w, "there is nothing here; a stream is watched at /APP/NAME/", http.StatusNotFound)
		return
	}
	protocol.Redirect(w, r, path.Base(stream)+"/")
}

// index shows the page without a stream.
func (p *Pages) index(w http.ResponseWriter, r *http.Request, _ string) {
	p.page(w, r, "index.html", "", policy(nil))
}

// unbuilt is the page of a program that was built without Node.
const unbuilt = `<!doctype html><html lang="en"><title>Weir</title>
<p>The pages were not built into this program: build it with <code>make build</code>, which needs Node.
<p>A stream is played at <code>/APP/NAME.flv</code>, <code>/APP/NAME.ts</code> and <code>/APP/NAME/index.m3u8</code>.
`

// page sends a page, in which up is the relative path to the root, and which may load what may says.
func (p *Pages) page(w http.ResponseWriter, r *http.Request, name, up, may string) {
	b, ok := p.html[name]
	if !ok {
		b = []byte(unbuilt)
	}
	if p.list() {
		b = bytes.ReplaceAll(b, []byte(`data-list="private"`), []byte(`data-list="public"`))
	}
	b = bytes.ReplaceAll(b, []byte(`"./assets/`), []byte(`"`+up+peer.ReservedApp+`/assets/`))
	sum := sha256.Sum256(append([]byte(may), b...))
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", may)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer") // the page's URL may hold a key
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}
