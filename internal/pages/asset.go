package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// asset is a file that a page loads. All answers share its bytes.
type asset struct {
	plain       []byte
	contentType string
	tag         string
	// gzip returns the file compressed, nil if that makes it no smaller. It is compressed once, on first request.
	gzip func() []byte
}

func newAsset(name string, b []byte) *asset {
	sum := sha256.Sum256(b)
	contentType := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // systems differ in their types
	case ".js":
		contentType = "text/javascript; charset=utf-8"
	case ".css":
		contentType = "text/css; charset=utf-8"
	}
	return &asset{
		plain: b, contentType: contentType, tag: hex.EncodeToString(sum[:8]),
		gzip: sync.OnceValue(func() []byte { return compress(b) }),
	}
}

func compress(b []byte) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err != nil || z.Close() != nil || out.Len() >= len(b) {
		return nil
	}
	return bytes.Clone(out.Bytes())
}

// asset sends a file that a page loads. Its name changes with its content.
func (p *Pages) asset(w http.ResponseWriter, r *http.Request, name string) {
	a := p.assets[name]
	if a == nil {
		http.Error(w, "there is no such file", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Accept-Encoding")
	body, tag := a.plain, `"`+a.tag+`"`
	if acceptsGzip(r) {
		if z := a.gzip(); z != nil {
			body, tag = z, `"`+a.tag+`-gzip"`
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("ETag", tag)
	if matches(r, tag) {
		header.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", a.contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the viewer is gone if it fails
	}
}

// acceptsGzip reports whether the client names gzip and does not refuse it.
func acceptsGzip(r *http.Request) bool {
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(coding, ";")
		if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
		if weight, err := strconv.ParseFloat(q, 64); !ok || err != nil || weight > 0 {
			return true
		}
	}
	return false
}

// matches reports whether the client has the version with this tag.
func matches(r *http.Request, tag string) bool {
	for t := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == tag {
			return true
		}
	}
	return false
}
