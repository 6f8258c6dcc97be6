package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard passes on requests of the operator. Health is open to all: it reveals nothing, and load
// balancers ask for it in various ways.
func (s *server) guard(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		switch {
		case strings.HasPrefix(r.URL.Path, "/health/"):
		case !s.knows(r.Host):
			problem(w, http.StatusMisdirectedRequest, "unknown_host",
				"The admin listener does not answer under this name. Ask it by an address or as localhost, or add the name to admin.hosts.")
			return
		case isForeign(r):
			problem(w, http.StatusForbidden, "foreign_origin", "Pages of other origins may not ask the admin listener.")
			return
		case s.Token != "" && subtle.ConstantTimeCompare(want[:], got[:]) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "unauthorized", "Send the header Authorization: Bearer with admin.token.")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knows reports whether a request may name the listener by host. A page whose own name resolves to
// our address (DNS rebinding) asks under that name. No foreign page can ask under our address, so
// every address is allowed, and so is no name, from clients that are no browsers.
func (s *server) knows(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return slices.ContainsFunc(s.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// isForeign reports whether a browser says that a page of another origin asks.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	origin := r.Header.Get("Origin")
	_, host, _ := strings.Cut(origin, "://")
	return origin != "" && !strings.EqualFold(host, r.Host)
}

// cmdline answers as pprof.Cmdline does, without the values that were given on the command
// line: keys may be among them.
func cmdline(args []string) http.HandlerFunc {
	shown := make([]string, len(args))
	for i, a := range args {
		if name, _, ok := strings.Cut(a, "="); ok {
			a = name + "=***"
		}
		shown[i] = a
	}
	text := strings.Join(shown, "\x00")
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}
}
