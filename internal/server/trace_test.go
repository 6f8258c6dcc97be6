package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	answers "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/session"
)

// TestSessionsAreTraced: what a session was and how it ended reaches the collector, that of the sessions which end with the server too.
func TestSessionsAreTraced(t *testing.T) {
	var mu sync.Mutex
	var got []map[string]string
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body answers.ExportTraceServiceRequest
		if b, err := io.ReadAll(r.Body); err != nil || proto.Unmarshal(b, &body) != nil {
			t.Error("this is no request:", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range body.ResourceSpans[0].ScopeSpans[0].Spans {
			span := map[string]string{"name": s.Name}
			for _, a := range s.Attributes {
				switch a.Key {
				case "role", "stream", "reason", "protocol", "result":
					span[a.Key] = a.Value.GetStringValue()
				case "frames":
					span[a.Key] = fmt.Sprint(a.Value.GetIntValue())
				}
			}
			got = append(got, span)
		}
	}))
	defer collector.Close()
	s, err := New(configured(t, "tracing.url="+collector.URL), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p, err := s.InProcess().PublishLocal(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	for result, r := range map[string]*admit.Request{
		"allow": {Session: "b", Role: session.Publish, Path: "live/asked"},
		"key":   {Session: "c", Role: session.Publish, Path: "live/s3cret", SecretName: true},
	} {
		s.traceDecision(r, time.Now(), result)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p.Close()
	want := []map[string]string{
		{"name": "decide", "role": "publish", "result": "allow"},
		{"name": "decide", "role": "publish", "result": "key", "stream": "live/***"}, // it can be found by its stream
		{"name": "session", "protocol": "in-process", "role": "publish", "stream": "live/a", "reason": "shutdown", "frames": "1"},
	}
	slices.SortFunc(got, func(a, b map[string]string) int { return cmp.Compare(a["name"]+a["result"], b["name"]+b["result"]) })
	mu.Lock()
	defer mu.Unlock()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if sent, lost := s.traced(); sent != 3 || lost != 0 {
		t.Error(sent, lost)
	}
}

// TestNoCollectorCostsNothing: without a collector nothing is made for the traces of a session.
func TestNoCollectorCostsNothing(t *testing.T) {
	for _, set := range [][]string{nil, {"tracing.url=http://127.0.0.1:1", "tracing.percent=0"}} {
		s, err := New(configured(t, set...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		x, r, begin := &session.Session{}, &admit.Request{Session: "abc"}, time.Now()
		if n := testing.AllocsPerRun(100, func() {
			s.traceDecision(r, begin, "allow")
			s.traceRole(x, session.End{})
			s.traceSession(x, session.End{})
		}); n != 0 || s.traces != nil {
			t.Errorf("%s: %v allocations, exporter %v", set, n, s.traces)
		}
	}
}
