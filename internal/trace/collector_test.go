package trace

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
)

// TestEnvironment: the variables that the SDK reads by itself change nothing.
func TestEnvironment(t *testing.T) {
	other := httptest.NewTLSServer(http.NotFoundHandler())
	other.Close()
	file := filepath.Join(t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, v := range map[string]string{
		"OTEL_SERVICE_NAME": "other", "OTEL_RESOURCE_ATTRIBUTES": "service.version=v9,host.name=other",
		"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "1", "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": "1",
		"OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_EXPORT_TIMEOUT": "1", "OTEL_BSP_MAX_QUEUE_SIZE": "1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://other:1/other", "OTEL_EXPORTER_OTLP_TRACES_INSECURE": "false",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "authorization=other,x-other=1", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "1", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": file,
	} {
		t.Setenv(key, v)
	}
	c := &testCollector{status: 200}
	running(t, c, func(o *Options) { o.Authorization = "" }, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
		addSession(e)
		<-time.After(sendEvery - time.Millisecond)
		if got := c.sizes(); got != nil {
			t.Error("sent too early:", got)
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if diff := cmp.Diff(wantSession(), c.requests, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		if h := c.header; h.Get("Authorization") != "" || h.Get("X-Other") != "" || h.Get("Content-Encoding") != "" || h.Get("Content-Type") != "application/x-protobuf" {
			t.Error(h)
		}
		if c.url != "http://127.0.0.1:4318/v1/traces?token=hunter2" {
			t.Error(c.url)
		}
	})
	hanging := &testCollector{hangs: true}
	running(t, hanging, nil, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
		add(e, maxBatch)
		<-time.After(sendTime - time.Millisecond)
		synctest.Wait()
		if e.Dropped() != 0 {
			t.Error("given up too early")
		}
		<-time.After(time.Millisecond)
		synctest.Wait()
		if e.Dropped() != maxBatch {
			t.Error(e.Dropped())
		}
	})
}

// TestURL: requests go to the whole URL as it was written, with what it says of who asks, unless that is configured.
func TestURL(t *testing.T) {
	for _, c := range []struct{ url, authorization, want, as string }{
		{"https://collector", "", "https://collector", ""},
		{"https://collector:443/a%2Fb/?x=1&y=%20#z", "", "https://collector:443/a%2Fb/?x=1&y=%20#z", ""},
		{"http://me:hunter2@[::1]:4318/v1/traces", "", "http://me:hunter2@[::1]:4318/v1/traces", "Basic bWU6aHVudGVyMg=="},
		{"http://me:hunter2@[::1]:4318/v1/traces", "Bearer hunter2", "http://me:hunter2@[::1]:4318/v1/traces", "Bearer hunter2"},
	} {
		to := &testCollector{status: 401}
		running(t, to, func(o *Options) { o.URL, o.Authorization = c.url, c.authorization }, func(t *testing.T, e *Exporter, _ *bytes.Buffer) {
			add(e, 1)
			e.Close()
			if to.url != c.want || to.header.Get("Authorization") != c.as {
				t.Errorf("%s: %s as %s", c.url, to.url, to.header.Get("Authorization"))
			}
		})
	}
}

// TestOwnTransport: without one given the exporter has a transport of its own, which checks certificates and of which nothing is left.
func TestOwnTransport(t *testing.T) {
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" {
			t.Error(r.Method, r.URL)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for _, c := range []struct {
		url, err   string
		sent, lost uint64
	}{
		{plain.URL, "", 1, 0},
		{secure.URL, "certificate signed by unknown authority", 0, 1},
	} {
		var log bytes.Buffer
		e, err := New(Options{URL: c.url + "/v1/traces", Percent: 100, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		add(e, 1)
		e.Close()
		if e.Sent() != c.sent || e.Dropped() != c.lost || !strings.Contains(log.String(), c.err) || (log.Len() > 0) != (c.err != "") {
			t.Errorf("%s: %d sent, %d dropped, %s", c.url, e.Sent(), e.Dropped(), &log)
		}
	}
}
