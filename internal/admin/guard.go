package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"weir/internal/session"
)

// access says who may ask. It does not change, but is replaced.
type access struct {
	secret bool              // a token is required
	token  [sha256.Size]byte // its hash
	hosts  []string
}

// SetAccess changes the token and the host names; requests from now on are held to them.
func (s *Server) SetAccess(token string, hosts []string) {
	s.access.Store(&access{token != "", sha256.Sum256([]byte(token)), slices.Clone(hosts)})
}

// guard passes on requests of the operator. Health is open to all: it reveals nothing, and load
// balancers ask for it in various ways. The description of the API is the same for everybody, and
// a browser that opens it has no token to send.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := s.access.Load()
		token, shown := session.BearerToken(r.Header.Get("Authorization"))
		got := sha256.Sum256([]byte(token))
		switch {
		case strings.HasPrefix(r.URL.Path, "/health/"):
		case !a.knows(r.Host):
			writeProblem(w, newProblem(http.StatusMisdirectedRequest, "unknown_host",
				"The admin listener does not answer under this name. Ask it by an address or as localhost, or add the name to admin.hosts."))
			return
		case isForeign(r):
			writeProblem(w, newProblem(http.StatusForbidden, "foreign_origin", "Pages of other origins may not ask the admin listener."))
			return
		case isDescription(r.URL.Path):
		case a.secret && subtle.ConstantTimeCompare(a.token[:], got[:]) != 1:
			if shown {
				s.log.Warn("the admin listener was asked with a wrong token", slog.String("remote", r.RemoteAddr),
					slog.String("method", session.Printable(r.Method, maxEcho)), slog.String("path", session.Printable(r.URL.Path, maxEcho)))
			}
			w.Header().Set("WWW-Authenticate", "Bearer")
			writeProblem(w, newProblem(http.StatusUnauthorized, "unauthorized", "Send Authorization: Bearer TOKEN, where TOKEN is the value of admin.token."))
			return
		}
		if r.ContentLength > maxPatch {
			writeProblem(w, newProblem(http.StatusRequestEntityTooLarge, "too_large", "Nothing that the admin listener takes has more than %d bytes.", maxPatch))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxPatch+1) // an operation that reads it has its own bound
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), askerKey{}, asker{r.RemoteAddr, r.Method, r.URL.Path})))
	})
}

// isDescription reports whether a path is that of the description of the API or of its page.
func isDescription(path string) bool {
	return path == documentPath || path == docsPath || strings.HasPrefix(path, docsPath+"/")
}

// asker is who sends a request, for the log.
type asker struct{ remote, method, path string }

// askerKey is the context key of the asker.
type askerKey struct{}

// changed logs that a request has changed something.
func (s *Server) changed(ctx context.Context, what string, attrs ...slog.Attr) {
	a, _ := ctx.Value(askerKey{}).(asker)
	attrs = append([]slog.Attr{
		slog.String("what", what), slog.String("remote", a.remote), slog.String("method", a.method), slog.String("path", session.Printable(a.path, 2*maxEcho)),
	}, attrs...)
	s.log.LogAttrs(ctx, slog.LevelInfo, "changed through the API", attrs...)
}

// knows reports whether a request may name the listener by host. A page whose own name resolves to
// our address (DNS rebinding) asks under that name. No foreign page can ask under our address, so
// every address is allowed, and so is no name, from clients that are no browsers.
func (a *access) knows(host string) bool {
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
	return slices.ContainsFunc(a.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// isForeign reports whether a browser says that a page of another origin asks.
func isForeign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	origin := r.Header.Get("Origin")
	_, host, _ := strings.Cut(origin, "://")
	return origin != "" && (host == "" || !strings.EqualFold(host, r.Host))
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
