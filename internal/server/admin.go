package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// admin answers on the admin listener.
func (s *Server) admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) { health(w, true) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, _ *http.Request) { health(w, s.ready.Load()) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /api/v1/streams", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.listStreams()) })
	mux.HandleFunc("GET /api/v1/sessions", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.listSessions()) })
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		problem(w, http.StatusNotFound, "not_found", "There is no "+r.Method+" "+r.URL.Path+".")
	})
	return s.authorize(mux)
}

// authorize asks for the token, if there is one, for everything but health.
func (s *Server) authorize(next http.Handler) http.Handler {
	if s.conf.Admin.Token == "" {
		return next
	}
	want := sha256.Sum256([]byte(s.conf.Admin.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 && !strings.HasPrefix(r.URL.Path, "/health/") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "unauthorized", "Send the header Authorization: Bearer with admin.token.")
			return
		}
		next.ServeHTTP(w, r)
	})
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

// streamInfo is one stream in the API: durations in seconds, rates in bits per second.
type streamInfo struct {
	Path          string         `json:"path"`
	Live          bool           `json:"live"`
	Started       *time.Time     `json:"started,omitempty"`
	Duration      float64        `json:"duration"`
	Players       int            `json:"players"`
	Publisher     *publisherInfo `json:"publisher,omitempty"`
	Publishers    int            `json:"publishers"`
	BytesReceived int64          `json:"bytes_received"`
	Bitrate       int64          `json:"bitrate"`
	KeyInterval   float64        `json:"key_interval"` // the longest of the present publisher
	Frames        kindCounts     `json:"frames"`
	Repairs       repairCounts   `json:"repairs"`
	Tracks        []trackInfo    `json:"tracks"`
}

type publisherInfo struct {
	Session  string `json:"session"`
	Protocol string `json:"protocol"`
	Remote   string `json:"remote"`
}

type kindCounts struct {
	Video   int64 `json:"video"`
	Audio   int64 `json:"audio"`
	Data    int64 `json:"data"`
	Dropped int64 `json:"dropped"`
}

type repairCounts struct {
	Clamped    int64 `json:"clamped"`
	Jumps      int64 `json:"jumps"`
	Shifted    int64 `json:"shifted"`
	Mislabeled int64 `json:"mislabeled"`
}

type trackInfo struct {
	Kind       string  `json:"kind"`
	ID         uint8   `json:"id"`
	Codec      string  `json:"codec"`
	Profile    string  `json:"profile,omitempty"`
	Level      string  `json:"level,omitempty"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty"`
	SampleRate int     `json:"sample_rate,omitempty"`
	Channels   int     `json:"channels,omitempty"`
}

func (s *Server) listStreams() any {
	list := []streamInfo{}
	for _, st := range s.hub.List() {
		list = append(list, describeStream(st))
	}
	return map[string]any{"streams": list}
}

func describeStream(st *stream.Stream) streamInfo {
	stats := st.Stats()
	info := streamInfo{
		Path: st.Path(), Live: stats.Live, Duration: stats.Duration.Seconds(),
		Players: stats.Players, Publishers: stats.Publishers, BytesReceived: stats.Bytes, KeyInterval: stats.KeyInterval.Seconds(),
		Frames:  kindCounts{stats.Frames[av.Video], stats.Frames[av.Audio], stats.Frames[av.Data], stats.Dropped},
		Repairs: repairCounts{stats.Clamped, stats.Jumps, stats.Shifted, stats.Mislabeled},
		Tracks:  []trackInfo{},
	}
	if !stats.Started.IsZero() {
		info.Started = &stats.Started
	}
	if p, ok := st.Publisher(); ok {
		info.Publisher = &publisherInfo{p.Session, p.Protocol, p.Remote}
		info.Bitrate = stats.Bitrate
	}
	for _, t := range st.Headers().Tracks {
		info.Tracks = append(info.Tracks, trackInfo{
			Kind: t.Kind.String(), ID: t.ID, Codec: t.Codec.String(), Profile: t.Profile, Level: t.Level,
			Width: t.Size.Width, Height: t.Size.Height, FrameRate: t.FrameRate,
			SampleRate: t.SampleRate, Channels: t.Channels,
		})
	}
	return info
}

// sessionInfo is one session in the API.
type sessionInfo struct {
	ID            string       `json:"id"`
	Protocol      string       `json:"protocol"`
	Role          session.Role `json:"role"`
	Stream        string       `json:"stream,omitempty"`
	Remote        string       `json:"remote"`
	UserAgent     string       `json:"user_agent,omitempty"`
	Started       time.Time    `json:"started"`
	Duration      float64      `json:"duration"`
	BytesReceived uint64       `json:"bytes_received"`
	BytesSent     uint64       `json:"bytes_sent"`
	Skips         uint64       `json:"skips"`
}

func (s *Server) listSessions() any {
	list := []sessionInfo{}
	for _, x := range s.sessions.List() {
		list = append(list, sessionInfo{
			ID: x.ID, Protocol: x.Protocol, Role: x.Role(), Stream: x.Stream(), Remote: x.Remote.String(), UserAgent: x.UserAgent(),
			Started: x.Started, Duration: time.Since(x.Started).Seconds(),
			BytesReceived: x.BytesIn.Load(), BytesSent: x.BytesOut.Load(), Skips: x.Skips.Load(),
		})
	}
	return map[string]any{"sessions": list}
}
