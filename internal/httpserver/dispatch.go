package httpserver

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/peer"
	"weir/internal/protocol"
)

// ServeHTTP answers a request that net/http has read.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	if r.ProtoMajor == 1 && r.Body != http.NoBody {
		// No route reads a body, but net/http does after the answer: this bounds the time for it.
		_ = control.SetReadDeadline(time.Now().Add(s.conf.Times.Header))
	}
	a := &answer{ResponseWriter: w, request: r.Context(), control: control, times: &s.conf.Times, stalled: func() { closeConn(r) }}
	defer a.extend() // for what net/http has buffered
	c := connOf(r)
	if c == nil || r.ProtoMajor != 2 {
		s.dispatch(a, s.address(r))
		return
	}
	if trusted(s.conf.Policy().TrustedProxies, peer.Remote(r).Addr()) || c.wait(r.Context()) {
		s.dispatch(a, s.address(r))
	}
	if r.Context().Err() != nil && !c.reset(time.Now()) {
		drop(c.Conn)
	}
}

// connKey is the context key of a request's connection.
type connKey struct{}

// withConn makes the connection known to its requests, so that closeConn can close it over HTTP/2
// too.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &conn{Conn: nc})
}

// connOf returns the connection on which a request came; nil for a server that is not ours.
func connOf(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// closeConn closes the connection on which a request came.
func closeConn(r *http.Request) {
	if c := connOf(r); c != nil {
		drop(c.Conn)
	}
}

// address returns a request with RemoteAddr set to the viewer's address, which a trusted proxy may have
// given, and with what peer.Via tells.
func (s *Server) address(r *http.Request) *http.Request {
	viewer, via := s.client(r)
	if viewer.IsValid() {
		r.RemoteAddr = viewer.String()
	}
	if len(via) > 0 {
		r = r.WithContext(peer.WithVia(r.Context(), via))
	}
	return r
}

// dispatch gives a request to its route: the one that accounts for most of its path.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	if !s.allowOrigin(w, r) {
		http.Error(w, "pages of this origin may not play", http.StatusForbidden)
		return
	}
	upgrade := strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
	var best *protocol.Route
	var path string
	heaviest := 0
	for i := range s.routes {
		rt := &s.routes[i]
		stream, weight, ok := rt.Match(r.URL.Path)
		weight *= 2
		if ok && rt.When != nil {
			weight++
			ok = rt.When(r.URL.Query())
		}
		if !ok || best != nil && weight <= heaviest {
			continue
		}
		if rt.WebSocket == upgrade && (r.Method == rt.Method || r.Method == http.MethodHead && rt.Method == http.MethodGet) {
			best, path, heaviest = rt, stream, weight
		}
	}
	if best == nil {
		s.explain(w, r)
		return
	}
	if best.Fixed == "" {
		if err := peer.CheckPath(path); err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
	}
	best.Handler(w, r, path)
}

// explain answers a request for whose method there is no route.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	methods := []string{http.MethodOptions}
	for i := range s.routes {
		if _, _, ok := s.routes[i].Match(r.URL.Path); ok {
			methods = append(methods, s.routes[i].Method)
		}
	}
	may := allowed(methods)
	switch {
	case may == http.MethodOptions:
		http.Error(w, "there is nothing here; a stream is played at /APP/NAME.flv", http.StatusNotFound)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", may)
		w.Header().Set("Access-Control-Allow-Methods", may)
		w.Header().Set("Access-Control-Allow-Headers", "Range, Authorization")
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", may)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// allowed lists methods, whose order is lost.
func allowed(methods []string) string {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(slices.Compact(methods), ", ")
}
