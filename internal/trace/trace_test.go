package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	answers "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"weir/internal/config"
)

// TestMain also sees to it that the SDK has nothing to say: what it says goes past the log.
func TestMain(m *testing.M) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		fmt.Fprintln(os.Stderr, "the SDK says:", err)
		os.Exit(1)
	}))
	goleak.VerifyTestMain(m)
}

// testCollector takes requests in the test's process.
type testCollector struct {
	status int
	answer string // in protobuf
	err    error
	hangs  bool // until the request is given up

	mu       sync.Mutex
	url      string
	header   http.Header
	requests []*answers.ExportTraceServiceRequest
}

// RoundTrip implements http.RoundTripper.
func (c *testCollector) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if c.hangs {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	request := &answers.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(b, request); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.url, c.header, c.requests = r.URL.String(), r.Header, append(c.requests, request)
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{
		StatusCode: c.status, Status: "999 hunter2", Header: http.Header{"Content-Type": {"application/x-protobuf"}},
		Body: io.NopCloser(strings.NewReader(c.answer)),
	}, nil
}

// sizes returns how many spans each request has.
func (c *testCollector) sizes() (list []int) {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		list = append(list, len(r.ResourceSpans[0].ScopeSpans[0].Spans))
	}
	return list
}

// running runs f in a bubble with an exporter, which is closed at its end.
func running(t *testing.T, c *testCollector, change func(*Options), f func(t *testing.T, e *Exporter, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := Options{
			URL: "http://127.0.0.1:4318/v1/traces?token=hunter2", Percent: 100, Instance: "edge-1", Version: "v1", Authorization: "Bearer hunter2",
			Log: slog.New(slog.NewTextHandler(&log, nil)), Transport: c,
		}
		if change != nil {
			change(&o)
		}
		e, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, e, &log)
		e.Close()
		if strings.Contains(log.String(), "hunter2") {
			t.Error("the log has a secret in it:", log.String())
		}
	})
}

func add(e *Exporter, n int) {
	for range n {
		e.Add(Span{Session: "abc", Name: Whole, Start: time.Now(), End: time.Now()})
	}
}

// addSession adds a session with a part.
func addSession(e *Exporter) {
	begin := time.Unix(1000, 5)
	e.Add(Span{Session: "abc", Name: "decide", Start: begin, End: begin.Add(time.Second), Attributes: []slog.Attr{slog.String("result", "allow")}})
	e.Add(Span{
		Session: "abc", Name: Whole, Start: begin, End: begin.Add(time.Minute), Err: "reset",
		Attributes: []slog.Attr{
			slog.Uint64("received", 1<<40), slog.Int("skips", 2), slog.Bool("tls", true), slog.Duration("dur", 1500*time.Millisecond),
			slog.Float64("x", 0.5), slog.Uint64("most", 1<<64-1), slog.String("user", ""),
		},
	})
}

func text(key, s string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}}
}

func number(key string, n int64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}}
}

func real(key string, x float64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: x}}}
}

// wantSession is what a collector gets of addSession. The ids are the first bytes of SHA-256 sums: the trace's of the session's id, the
// span's of "abc\nsession", and of "abc\ndecide\n1000000000005".
func wantSession() []*answers.ExportTraceServiceRequest {
	const known = 0x100 // it is known whether the parent is remote; and with 1 it is sampled
	trace := []byte("\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23")
	whole := []byte("\x85\x43\xc6\x00\xc5\xf5\xc6\x61")
	return []*answers.ExportTraceServiceRequest{{ResourceSpans: []*spans.ResourceSpans{{
		Resource: &resources.Resource{Attributes: []*common.KeyValue{
			text("service.instance.id", "edge-1"), text("service.name", "weir"), text("service.version", "v1"),
		}},
		ScopeSpans: []*spans.ScopeSpans{{
			Scope: &common.InstrumentationScope{Name: "weir"},
			Spans: []*spans.Span{{
				TraceId: trace, SpanId: []byte("\xfa\x2c\x6e\xf2\x85\xb2\x90\xb8"), ParentSpanId: whole, Flags: known | 1,
				Name: "decide", Kind: spans.Span_SPAN_KIND_INTERNAL, StartTimeUnixNano: 1000_000000005, EndTimeUnixNano: 1001_000000005,
				Attributes: []*common.KeyValue{text("session.id", "abc"), text("result", "allow")},
				Status:     &spans.Status{},
			}, {
				TraceId: trace, SpanId: whole, Flags: known | 1,
				Name: "session", Kind: spans.Span_SPAN_KIND_SERVER, StartTimeUnixNano: 1000_000000005, EndTimeUnixNano: 1060_000000005,
				Attributes: []*common.KeyValue{
					text("session.id", "abc"), number("received", 1<<40), number("skips", 2),
					{Key: "tls", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
					real("dur", 1.5), real("x", 0.5), number("most", 1<<63-1), text("user", ""),
				},
				Status: &spans.Status{Code: spans.Status_STATUS_CODE_ERROR, Message: "reset"},
			}},
		}},
	}}}}
}

// TestRequest is what a collector gets of a session with a part.
func TestRequest(t *testing.T) {
	c := &testCollector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
		addSession(e)
		e.Close()
		if diff := cmp.Diff(wantSession(), c.requests, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if h := c.header; h.Get("Content-Type") != "application/x-protobuf" || h.Get("Authorization") != "Bearer hunter2" || h.Get("Content-Encoding") != "" {
			t.Error(h)
		}
		if c.url != "http://127.0.0.1:4318/v1/traces?token=hunter2" {
			t.Error(c.url)
		}
		if e.Sent() != 2 || e.Dropped() != 0 {
			t.Error(e.Sent(), e.Dropped())
		}
	})
}

// TestBatches: 512 are sent at once, fewer after five seconds at most, and the rest at the end.
func TestBatches(t *testing.T) {
	c := &testCollector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
		requests := func(want ...int) {
			t.Helper()
			if got := c.sizes(); !slices.Equal(got, want) {
				t.Errorf("requests of %v spans, not %v", got, want)
			}
		}
		add(e, 511)
		requests()
		add(e, 1)
		requests(512)
		add(e, 10)
		requests(512)
		<-time.After(sendEvery - time.Millisecond)
		requests(512)
		<-time.After(time.Millisecond)
		requests(512, 10)
		add(e, 515)
		e.Close()
		requests(512, 10, 512, 3)
		if e.Sent() != 1037 || e.Dropped() != 0 {
			t.Errorf("%d sent, %d dropped", e.Sent(), e.Dropped())
		}
	})
}

// TestCollectorThatFails loses spans, which are counted, and says so once a minute, with how many and the collector's address and without the secrets.
func TestCollectorThatFails(t *testing.T) {
	for _, c := range []struct {
		is   *testCollector
		err  string
		sent uint64 // of four
	}{
		{&testCollector{status: 503, answer: "hunter2"}, `err="trace: the collector answers 503 Service Unavailable"`, 0},
		{&testCollector{status: 302}, `err="trace: the collector answers 302 Found"`, 0},
		{&testCollector{err: errors.New("connection refused")}, `err="connection refused"`, 0},
		{&testCollector{hangs: true}, `err="trace: the collector has not answered within 10s"`, 0},
		{&testCollector{status: 200, answer: rejecting(1)}, `err="trace: the collector rejects 1 spans of a request: its own log says why"`, 3},
		{&testCollector{status: 200, answer: rejecting(99)}, `err="trace: the collector rejects 99 spans of a request: its own log says why"`, 0},
		{&testCollector{status: 200, answer: rejecting(-1)}, "", 4},
		{&testCollector{status: 200, answer: rejecting(0)}, "", 4},
		{&testCollector{status: 200, answer: "\xff hunter2"}, "", 4},
	} {
		running(t, c.is, nil, func(t *testing.T, e *Exporter, log *bytes.Buffer) {
			for range 6 { // two minutes
				add(e, 4)
				<-time.After(20 * time.Second)
			}
			e.Close()
			if e.Sent() != 6*c.sent || e.Dropped() != 6*(4-c.sent) {
				t.Errorf("%s: %d sent, %d dropped", c.err, e.Sent(), e.Dropped())
			}
			want := ""
			if c.err != "" { // what is lost in the minute is in the second line
				for _, lost := range []uint64{4 - c.sent, 3 * (4 - c.sent)} {
					want += fmt.Sprintf("level=WARN msg=\"the trace collector is not accepting spans: check tracing.url and that it is running\" collector=127.0.0.1:4318 lost=%d %s\n", lost, c.err)
				}
			}
			if diff := cmp.Diff(want, withoutTimes(log.String())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// rejecting is an answer that has rejected so many spans.
func rejecting(n int64) string {
	b, _ := proto.Marshal(&answers.ExportTraceServiceResponse{PartialSuccess: &answers.ExportTracePartialSuccess{RejectedSpans: n, ErrorMessage: "hunter2"}})
	return string(b)
}

// withoutTimes removes the times of log lines.
func withoutTimes(log string) string {
	lines := strings.SplitAfter(log, "\n")
	for i, l := range lines {
		_, rest, _ := strings.Cut(l, " ")
		lines[i] = rest
	}
	return strings.Join(lines, "")
}

// TestNoRoom: adding never waits, and what finds no room beside the request under way is dropped, counted and told.
func TestNoRoom(t *testing.T) {
	c := &testCollector{hangs: true}
	running(t, c, nil, func(t *testing.T, e *Exporter, log *bytes.Buffer) {
		begin := time.Now()
		add(e, maxWaiting+7)
		if e.Dropped() != 7 || time.Since(begin) != 0 {
			t.Error(e.Dropped(), time.Since(begin))
		}
		<-time.After(sendTime)
		synctest.Wait()
		if e.Dropped() != 7+maxBatch || !strings.Contains(log.String(), "lost=519 ") {
			t.Error(e.Dropped(), log)
		}
		add(e, maxBatch+1) // there is room again, for so many
		if e.Dropped() != 7+maxBatch+1 {
			t.Error(e.Dropped())
		}
	})
}

// TestSlowCollector: spans that find no room are told of also when the collector takes all that it is sent.
func TestSlowCollector(t *testing.T) {
	c := &testCollector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, log *bytes.Buffer) {
		c.mu.Lock() // it waits here
		add(e, maxWaiting+7)
		c.mu.Unlock()
		e.Close()
		want := "level=WARN msg=\"the trace collector accepts spans more slowly than sessions make them: lower tracing.percent\" collector=127.0.0.1:4318 lost=7\n"
		if diff := cmp.Diff(want, withoutTimes(log.String())); diff != "" || e.Sent() != maxWaiting {
			t.Error(diff, e.Sent())
		}
	})
}

// TestClose: a collector that hangs holds up the end for ten seconds, however many requests are left, and one that is gone
// not at all. Whatever was not sent is counted, and nothing goes on.
func TestClose(t *testing.T) {
	for _, c := range []struct {
		is   *testCollector
		want time.Duration
	}{
		{&testCollector{hangs: true}, sendTime},
		{&testCollector{err: errors.New("connection refused")}, 0},
		{&testCollector{status: 503}, 0},
	} {
		running(t, c.is, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
			add(e, maxWaiting)
			<-time.After(3 * time.Second)
			begin := time.Now()
			e.Close()
			if took := time.Since(begin); took != c.want || e.Dropped() != maxWaiting || e.Sent() != 0 {
				t.Errorf("it took %v, %d dropped, %d sent", took, e.Dropped(), e.Sent())
			}
		})
	}
}

// TestPercent: all spans of a session are traced or none, and about as many sessions as wanted.
func TestPercent(t *testing.T) {
	for _, percent := range []int{0, 10, 100} {
		c := &testCollector{status: 200}
		running(t, c, func(o *Options) { o.Percent = percent }, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
			const sessions = 2000
			for i := range sessions {
				for _, name := range []string{"decide", "publish", Whole} {
					e.Add(Span{Session: fmt.Sprint("session", i), Name: name, Start: time.Now(), End: time.Now()})
				}
			}
			e.Close()
			of := map[string]int{}
			for _, r := range c.requests {
				for _, s := range r.ResourceSpans[0].ScopeSpans[0].Spans {
					of[s.Attributes[0].Value.GetStringValue()]++
				}
			}
			for id, n := range of {
				if n != 3 {
					t.Errorf("%d %%: %d spans of %s", percent, n, id)
				}
			}
			if n := len(of); n < sessions*percent*8/1000 || n > sessions*percent*12/1000 {
				t.Errorf("%d %%: %d of %d", percent, n, sessions)
			}
		})
	}
}

// TestTextThatIsNone: what a peer calls itself costs no other session its spans.
func TestTextThatIsNone(t *testing.T) {
	c := &testCollector{status: 200}
	running(t, c, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
		const bad = "a\xff\x00b"
		e.Add(Span{Session: bad, Name: bad, Start: time.Now(), End: time.Now(), Err: bad, Attributes: []slog.Attr{slog.String(bad, bad)}})
		add(e, 1)
		e.Close()
		if e.Sent() != 2 || e.Dropped() != 0 {
			t.Fatal(e.Sent(), e.Dropped())
		}
		s := c.requests[0].ResourceSpans[0].ScopeSpans[0].Spans[0]
		for _, got := range []string{s.Name, s.Status.Message, s.Attributes[0].Value.GetStringValue(), s.Attributes[1].Key, s.Attributes[1].Value.GetStringValue()} {
			if got != "a\uFFFD\x00b" {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestConfig(t *testing.T) {
	for url, ok := range map[string]bool{
		"": true, "http://localhost:4318/v1/traces": true, "https://x/": true, "localhost:4318": false, "grpc://x": false, "http://": false, "http://a b?hunter2": false,
	} {
		err := (&Config{URL: url}).Validate()
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestConfigPlace: what is wrong with the URL is told with where the URL is.
func TestConfigPlace(t *testing.T) {
	conf := struct {
		Tracing Config `yaml:"tracing" help:"traces"`
	}{DefaultConfig()}
	_, err := config.Load(&conf, config.Source{Sets: []string{"tracing.url=localhost:4318"}})
	const want = "--set tracing.url: this is no address of a collector: write one such as http://localhost:4318/v1/traces"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// BenchmarkAdd is what a span costs whoever hands it over: of a session that is traced, of one that is not, and when no room is left.
func BenchmarkAdd(b *testing.B) {
	for name, c := range map[string]struct {
		percent int
		to      *testCollector
	}{
		"sent": {100, &testCollector{status: 200}}, "not traced": {0, &testCollector{}}, "no room": {100, &testCollector{hangs: true}},
	} {
		b.Run(name, func(b *testing.B) {
			e, err := New(Options{URL: "http://collector", Percent: c.percent, Log: slog.New(slog.DiscardHandler), Transport: c.to})
			if err != nil {
				b.Fatal(err)
			}
			s := Span{Session: "abc", Name: "play", Start: time.Now(), End: time.Now(), Attributes: []slog.Attr{slog.String("stream", "live/a"), slog.String("reason", "client")}}
			b.ReportAllocs()
			for b.Loop() {
				e.Add(s)
			}
			b.StopTimer()
			_ = e.out.SpanExporter.Shutdown(b.Context()) // so that it need not be waited for
			e.Close()
		})
	}
}
