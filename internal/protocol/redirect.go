package protocol

import (
	"net/http"
	"net/url"
)

// Redirect leads from a request's path to one that is relative to its folder, such as "cam/" from
// "/live/cam", with the same query. It names no host and no path above: a proxy may serve us
// below a path of its own, and only the client knows which.
func Redirect(w http.ResponseWriter, r *http.Request, to string) {
	u := url.URL{Path: "./" + to, RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", u.String())
	w.WriteHeader(http.StatusFound)
}
