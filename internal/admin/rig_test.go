package admin

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// rig is an admin listener that runs, with a hub and a registry to look at.
type rig struct {
	t      *testing.T
	conf   Config
	server *Server
	web    *httptest.Server
	log    *logs
}

// newRig starts one; change may be nil.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	log := &logs{}
	r := &rig{t: t, log: log, conf: Config{
		Instance: "a1b2",
		Log:      slog.New(slog.NewTextHandler(log, nil)),
		Hub:      stream.New(stream.Options{}), Sessions: session.New(session.Limits{}, session.Observer{}),
		Metrics:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		Ready:     func() bool { return true },
		Protocols: []string{"rtmp", "hls"},
	}}
	if change != nil {
		change(&r.conf)
	}
	r.server = New(r.conf)
	r.web = httptest.NewServer(r.server)
	t.Cleanup(func() {
		r.web.Close()
		r.conf.Hub.Close(session.ErrShutdown)
	})
	return r
}

// logs collects what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the problem's code; "" if the answer is no problem.
func (a *answer) code() string {
	var p Problem
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &p) != nil || p.Status != a.status || p.Title == "" || p.Detail == "" {
		return ""
	}
	return p.Code
}

// ask sends a request; header is names and values in turn.
func (r *rig) ask(method, path, body string, header ...string) *answer {
	r.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, r.web.URL+path, content)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return &answer{res.StatusCode, res.Header, string(b)}
}

// get decodes what a GET of the API answers with.
func get[T any](r *rig, path string) (v T) {
	r.t.Helper()
	a := r.ask(http.MethodGet, apiPrefix+path, "")
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		r.t.Fatalf("%s: %d %v %s", path, a.status, a.header, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		r.t.Fatalf("%s: %v in %s", path, err, a.body)
	}
	return v
}

// publish makes a stream live, with one frame of sound; its publisher ends as the hub says.
func (r *rig) publish(path, protocol string) *session.Session {
	r.t.Helper()
	s := r.open(session.Info{Protocol: protocol, Remote: netip.MustParseAddrPort("203.0.113.7:51234"), UserAgent: "FMLE/3.0"})
	p, err := r.conf.Hub.Publish(path, stream.Info{Session: s.ID, Protocol: protocol, Remote: s.From(), End: func(cause error) { s.CloseWith(cause) }})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		r.t.Fatal(err)
	}
	s.Promote(session.Publish, path)
	s.BytesIn.Store(1000)
	return s
}

// play adds a player to a stream.
func (r *rig) play(path, protocol string) *session.Session {
	r.t.Helper()
	s := r.open(session.Info{Protocol: protocol, Remote: netip.MustParseAddrPort("198.51.100.9:4000")})
	st, err := r.conf.Hub.Play(path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(st.Leave)
	if err := s.Watch(session.Play, path); err != nil {
		r.t.Fatal(err)
	}
	s.BytesOut.Store(500)
	return s
}

// open registers a session that closes when it is kicked.
func (r *rig) open(i session.Info) *session.Session {
	r.t.Helper()
	var s *session.Session
	ready := make(chan struct{})
	i.Cancel = func(cause error) {
		<-ready
		s.CloseWith(cause)
	}
	s, err := r.conf.Sessions.Open(i)
	if err != nil {
		r.t.Fatal(err)
	}
	close(ready)
	return s
}
