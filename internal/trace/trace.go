// Package trace sends traces of sessions to a collector of OpenTelemetry: OTLP 1.x over HTTP with JSON
// (opentelemetry.io/docs/specs/otlp, "OTLP/HTTP"), which every collector takes at /v1/traces. A session is one trace, whose
// ids follow from the session's, so that nothing is kept of a session that runs.
package trace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// maxWaiting is how many spans wait to be sent; more are dropped and counted.
	maxWaiting = 8192
	// maxBatch is how many go into one request, and sendEvery how long one waits at most.
	maxBatch  = 512
	sendEvery = 5 * time.Second
	// sendTime bounds one request, and the last ones together when the server stops.
	sendTime = 10 * time.Second
	// complainEvery is how often the log says that the collector does not take spans.
	complainEvery = time.Minute
	// maxAnswer is how much of an answer is read.
	maxAnswer = 64 << 10
)

// Span is something that took a time within a session.
type Span struct {
	Session string // its id
	// Name is what it is; "session" is the whole session, the parent of all others.
	Name       string
	Start, End time.Time
	Attributes []slog.Attr // texts, numbers, durations and booleans
	// Err says what went wrong; empty if nothing did.
	Err string
}

// Whole is the name of the span of a whole session.
const Whole = "session"

// Options are what an exporter needs.
type Options struct {
	// URL is the collector's, with the path: http://localhost:4318/v1/traces.
	URL string
	// Authorization is the header field of that name; empty for none.
	Authorization string
	// Percent is how many of a hundred sessions are traced.
	Percent int
	// Instance tells this server from others, Version is the program's.
	Instance, Version string
	Log               *slog.Logger
	// Client sends the requests; nil for one of its own.
	Client *http.Client
}

// Exporter sends spans. Its methods are safe for concurrent use.
type Exporter struct {
	opt      Options
	waiting  chan Span
	sent     atomic.Uint64
	dropped  atomic.Uint64
	told     time.Time // Run's goroutine's own: when the log said that something is wrong
	resource json.RawMessage
}

// New returns an exporter, which sends nothing before Run.
func New(o Options) *Exporter {
	if o.Client == nil {
		o.Client = &http.Client{
			Timeout:       sendTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	e := &Exporter{opt: o, waiting: make(chan Span, maxWaiting)}
	e.resource, _ = json.Marshal(map[string]any{"attributes": []attribute{ // it cannot fail
		text("service.name", "weir"), text("service.version", o.Version), text("service.instance.id", o.Instance),
	}})
	return e
}

// Add hands over a span to be sent. It never waits: a span for which there is no room is dropped.
func (e *Exporter) Add(s Span) {
	if !e.Wants(s.Session) {
		return
	}
	select {
	case e.waiting <- s:
	default:
		e.dropped.Add(1)
	}
}

// Wants reports whether the session is one of those that are traced.
func (e *Exporter) Wants(session string) bool {
	id := traceID(session)
	return int(id[0])<<8|int(id[1]) < e.opt.Percent*(1<<16)/100
}

// Sent returns how many spans the collector has taken, and Dropped how many were lost.
func (e *Exporter) Sent() uint64 { return e.sent.Load() }

// Dropped returns how many spans were lost: no room was left, or the collector did not take them.
func (e *Exporter) Dropped() uint64 { return e.dropped.Load() }

// Run sends what is handed over until ctx ends, and then what is left, for 10 s at most. It returns nil.
func (e *Exporter) Run(ctx context.Context) error {
	t := time.NewTicker(sendEvery)
	defer t.Stop()
	var batch []Span
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTime)
			defer cancel()
			e.flush(last, batch)
			return nil
		case s := <-e.waiting:
			if batch = append(batch, s); len(batch) < maxBatch {
				continue
			}
		case <-t.C:
		}
		e.send(ctx, batch)
		clear(batch)
		batch = batch[:0]
	}
}

// flush sends what is left.
func (e *Exporter) flush(ctx context.Context, batch []Span) {
	for {
		select {
		case s := <-e.waiting:
			if batch = append(batch, s); len(batch) < maxBatch {
				continue
			}
			e.send(ctx, batch)
			batch = batch[:0]
		default:
			e.send(ctx, batch)
			return
		}
	}
}

// send sends a batch. One that the collector does not take is lost.
func (e *Exporter) send(ctx context.Context, batch []Span) {
	if len(batch) == 0 {
		return
	}
	if err := e.post(ctx, batch); err != nil {
		e.dropped.Add(uint64(len(batch)))
		if e.told.IsZero() || time.Since(e.told) >= complainEvery {
			e.told = time.Now()
			e.opt.Log.Warn("the trace collector is not accepting spans: check tracing.url and that it is running", slog.Int("lost", len(batch)), slog.Any("err", err))
		}
		return
	}
	e.sent.Add(uint64(len(batch)))
	e.told = time.Time{}
}

func (e *Exporter) post(ctx context.Context, batch []Span) error {
	body, err := json.Marshal(e.request(batch))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.opt.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if e.opt.Authorization != "" {
		r.Header.Set("Authorization", e.opt.Authorization)
	}
	res, err := e.opt.Client.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok { // whose text has the URL in it, which may hold a secret
			err = u.Err
		}
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer)) // so that the connection is used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("trace: the collector answers %s", res.Status)
	}
	return nil
}

// traceID and spanID derive the ids of a session's trace and spans.
func traceID(session string) [16]byte {
	sum := sha256.Sum256([]byte(session))
	return [16]byte(sum[:16])
}

func spanID(session, name string, start time.Time) [8]byte {
	key := session + "\n" + name
	if name != Whole {
		key += "\n" + strconv.FormatInt(start.UnixNano(), 10)
	}
	sum := sha256.Sum256([]byte(key))
	return [8]byte(sum[:8])
}

// request is an ExportTraceServiceRequest in the JSON of OTLP.
func (e *Exporter) request(batch []Span) any {
	spans := make([]span, len(batch))
	for i := range batch {
		s := &batch[i]
		trace, id, whole := traceID(s.Session), spanID(s.Session, s.Name, s.Start), spanID(s.Session, Whole, time.Time{})
		spans[i] = span{
			TraceID: hex.EncodeToString(trace[:]), SpanID: hex.EncodeToString(id[:]), Name: s.Name, Kind: kindServer,
			Start: strconv.FormatInt(s.Start.UnixNano(), 10), End: strconv.FormatInt(s.End.UnixNano(), 10),
			Attributes: []attribute{text("session.id", s.Session)},
		}
		if s.Name != Whole {
			spans[i].Parent, spans[i].Kind = hex.EncodeToString(whole[:]), kindInternal
		}
		for _, a := range s.Attributes {
			spans[i].Attributes = append(spans[i].Attributes, attributeOf(a))
		}
		if s.Err != "" {
			spans[i].Status = &status{Code: statusError, Message: s.Err}
		}
	}
	return map[string]any{"resourceSpans": []any{map[string]any{
		"resource":   e.resource,
		"scopeSpans": []any{map[string]any{"scope": map[string]string{"name": "weir"}, "spans": spans}},
	}}}
}

// The numbers of OTLP's enumerations.
const (
	kindInternal = 1
	kindServer   = 2
	statusError  = 2
)

type span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	Parent     string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes"`
	Status     *status     `json:"status,omitempty"`
}

type status struct {
	Code    int    `json:"code"`
	Message string `json:"message,omitempty"`
}

type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

func text(key, s string) attribute { return attribute{key, map[string]any{"stringValue": s}} }

// attributeOf returns an attribute in OTLP's form: whole numbers are written as texts, durations in seconds.
func attributeOf(a slog.Attr) attribute {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindInt64:
		return attribute{a.Key, map[string]any{"intValue": strconv.FormatInt(v.Int64(), 10)}}
	case slog.KindUint64:
		return attribute{a.Key, map[string]any{"intValue": strconv.FormatUint(v.Uint64(), 10)}}
	case slog.KindFloat64:
		return attribute{a.Key, map[string]any{"doubleValue": v.Float64()}}
	case slog.KindDuration:
		return attribute{a.Key, map[string]any{"doubleValue": v.Duration().Seconds()}}
	case slog.KindBool:
		return attribute{a.Key, map[string]any{"boolValue": v.Bool()}}
	default:
		return text(a.Key, v.String())
	}
}
