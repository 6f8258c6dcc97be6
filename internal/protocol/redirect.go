package protocol

import (
	"net/http"
	"net/url"
)

// Redirect redirects a request to a path relative to its folder, such as "cam/" from "/live/cam",
// with the same query. It names no host and no absolute path: a proxy may serve us below a path
// that only the client knows.
func Redirect(w http.ResponseWriter, r *http.Request, to string) { RedirectWith(w, to, r.URL.RawQuery) }

// RedirectWith is Redirect with a query of its own.
func RedirectWith(w http.ResponseWriter, to, rawQuery string) {
	u := url.URL{Path: "./" + to, RawQuery: rawQuery}
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusFound)
}
