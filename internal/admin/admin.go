// Package admin answers on the admin listener: the API with its description, metrics, health and
// profiles, and the forms in which other servers' dashboards ask.
//
// What the API shows of parts that other packages make (the configuration, hooks, keys, events) is
// asked through the small interfaces of this package. A part that is not given has no routes.
package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/session"
	"weir/internal/stream"
)

// Config says what the admin listener shows, and to whom.
type Config struct {
	// Token, if not empty, is required for everything but health and the description of the API.
	Token string
	// Hosts are the names under which the listener may be asked, besides localhost and addresses.
	Hosts []string
	// Log is told what is changed through the API, and by whom; nil logs nothing.
	Log      *slog.Logger
	Hub      *stream.Hub
	Sessions *session.Registry
	// Metrics answers at /metrics.
	Metrics http.Handler
	// Ready reports whether the server serves.
	Ready func() bool
	// Protocols are the names of the protocols that are spoken.
	Protocols []string

	// Instance is the id that hooks are told of this run of the server.
	Instance string

	// Health returns what is wrong with a stream now, and FrameRate how many pictures a second it has.
	Health        func(path string) []Finding
	FrameRate     func(path string) float64
	Configuration Configuration
	Hooks         Hooks
	Keys          Keys
	Pulls         Pulls
	Pushes        Pushes
	Events        Events
	Recorders     Recorders
	Recordings    Recordings
}

// The times that clients of the admin listener have to take an answer.
const (
	answerTime  = 30 * time.Second
	profileTime = 10 * time.Minute // profiles are recorded while they are answered
)

// Server answers the requests of the admin listener. Run must run while events are to be sent.
type Server struct {
	conf    Config
	log     *slog.Logger
	started time.Time
	access  atomic.Pointer[access]
	handler http.Handler
	journal *journal // nil without events
}

// New returns a server.
func New(conf Config) *Server {
	s := &Server{conf: conf, log: conf.Log, started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetAccess(conf.Token, conf.Hosts)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", conf.Metrics)
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { health(w, true) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { health(w, conf.Ready()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", cmdline(os.Args))
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.routeAPI(mux)
	s.routeCompat(mux)
	s.handler = s.guard(mux)
	return s
}

// Run collects the events that are sent to clients until ctx ends, and then ends their requests.
func (s *Server) Run(ctx context.Context) error {
	if s.journal == nil {
		<-ctx.Done()
		return nil
	}
	s.journal.run(ctx, s.conf.Events.Subscribe(busBuffer, collected()))
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limit := answerTime
	if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
		limit = profileTime
	}
	// A deadline stays with the connection, so every request sets its own.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(limit))
	s.handler.ServeHTTP(w, r)
}

func health(w http.ResponseWriter, ok bool) {
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("stopping\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
