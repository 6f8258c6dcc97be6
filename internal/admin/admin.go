// Package admin answers on the admin listener: the API, metrics, health and profiles.
package admin

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"os"

	"weir/internal/session"
	"weir/internal/stream"
)

// Config says what the admin listener shows, and to whom.
type Config struct {
	// Token, if not empty, is required for everything but health.
	Token string
	// Hosts are the names under which the listener may be asked, besides localhost and addresses.
	Hosts    []string
	Hub      *stream.Hub
	Sessions *session.Registry
	// Metrics answers at /metrics.
	Metrics http.Handler
	// Ready reports whether the server serves.
	Ready func() bool
}

type server struct{ Config }

// Handler returns the handler of the admin listener.
func Handler(conf Config) http.Handler {
	s := &server{conf}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.Metrics)
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { health(w, true) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { health(w, s.Ready()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", cmdline(os.Args))
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /api/v1/streams", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.listStreams()) })
	mux.HandleFunc("GET /api/v1/sessions", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.listSessions()) })
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "not_found", "There is no "+r.Method+" "+r.URL.Path+".")
	})
	return s.guard(mux)
}

func health(w http.ResponseWriter, ok bool) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("stopping\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}

// problem answers with an error (RFC 9457).
func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status": status, "title": http.StatusText(status), "code": code, "detail": detail,
	})
}
