package admin

import (
	"embed"
	"net/http"
	"path"
)

// docsFiles is the page that shows the description of the API. It loads nothing from elsewhere.
//
//go:embed docs
var docsFiles embed.FS

// docsTypes are the media types of the page's files.
var docsTypes = map[string]string{".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}

// routeDocs adds the page.
func routeDocs(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, name string) {
		b, err := docsFiles.ReadFile("docs/" + name)
		if err != nil {
			writeProblem(w, notFound("file", name))
			return
		}
		h := w.Header()
		h.Set("Content-Type", docsTypes[path.Ext(name)])
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		_, _ = w.Write(b)
	}
	mux.HandleFunc("GET "+docsPath, func(w http.ResponseWriter, _ *http.Request) { answer(w, "index.html") })
	mux.HandleFunc("GET "+docsPath+"/{file}", func(w http.ResponseWriter, r *http.Request) { answer(w, r.PathValue("file")) })
}
