// Package trace sends traces of sessions to a collector of OpenTelemetry, by the OpenTelemetry SDK and its exporter of OTLP over
// HTTP. A session is one trace, whose ids follow from the session's: its spans are made when they have ended, so that
// nothing is kept of a session that runs.
//
// The SDK is used without its global state: nothing is registered with package otel, and the environment variables of
// OpenTelemetry, which the SDK reads by itself, change nothing.
package trace

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

const (
	// maxWaiting is how many spans wait to be sent, those of the request under way with them; more are dropped and counted.
	maxWaiting = 8192
	// maxBatch is how many go into one request, and sendEvery how long one waits at most.
	maxBatch  = 512
	sendEvery = 5 * time.Second
	// sendTime bounds one request, and the last ones together when the server stops.
	sendTime = 10 * time.Second
	// maxAttributes is how many attributes a span has at most.
	maxAttributes = 128
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
	// Transport carries the requests; nil for one of the exporter's own.
	Transport http.RoundTripper
}

// Exporter sends spans. Its methods are safe for concurrent use.
type Exporter struct {
	counts   counts
	out      *outlet
	provider *sdk.TracerProvider
	tracer   api.Tracer
}

// counts are the spans that were handed over to be sent.
type counts struct {
	waiting       atomic.Int64 // those that are neither sent nor lost yet
	sent, dropped atomic.Uint64
}

// New returns an exporter, which sends what is handed over until Close.
func New(o Options) (*Exporter, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, errURL // and not err, whose text has the URL in it
	}
	to := newCollector(u, o.Transport)
	headers := map[string]string{}
	if o.Authorization != "" {
		headers["Authorization"] = o.Authorization
	}
	// Every option that an environment variable could set is given, so that none does. The exporter is told the collector's host
	// only, as its errors show what it is told.
	otlp, err := otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpointURL(u.Scheme+"://"+u.Host),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: to}),
		otlptracehttp.WithTLSClientConfig(nil), // of the client, which has its own
		otlptracehttp.WithHeaders(headers),
		otlptracehttp.WithTimeout(sendTime),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf),
		otlptracehttp.WithCompression(otlptracehttp.NoCompression),
		otlptracehttp.WithMaxResponseSize(maxAnswer),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}), // none: the spans that come meanwhile would be lost instead
	)
	if err != nil {
		return nil, err
	}
	e := &Exporter{}
	e.out = &outlet{SpanExporter: otlp, counts: &e.counts, to: to, log: o.Log, done: make(chan struct{})}
	about := resource.NewSchemaless(
		attribute.String("service.name", "weir"), attribute.String("service.version", valid(o.Version)),
		attribute.String("service.instance.id", valid(o.Instance)),
	)
	e.provider = sdk.NewTracerProvider(
		sdk.WithResource(about),
		sdk.WithIDGenerator(ids{}),
		sdk.WithSampler(sdk.TraceIDRatioBased(float64(o.Percent)/100)),
		sdk.WithRawSpanLimits(sdk.SpanLimits{AttributeValueLengthLimit: sdk.DefaultAttributeValueLengthLimit, AttributeCountLimit: maxAttributes}),
		sdk.WithSpanProcessor(&inlet{
			SpanProcessor: sdk.NewBatchSpanProcessor(e.out,
				sdk.WithMaxQueueSize(maxWaiting), sdk.WithMaxExportBatchSize(maxBatch), sdk.WithBatchTimeout(sendEvery), sdk.WithExportTimeout(sendTime)),
			counts: &e.counts, about: about,
		}),
	)
	e.tracer = e.provider.Tracer("weir")
	return e, nil
}

// Close sends what is left, for 10 s at most, and waits until all of the exporter has ended.
func (e *Exporter) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), sendTime)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil { // the time is over
		_ = e.out.SpanExporter.Shutdown(context.Background()) // which ends the request under way, and all that would follow
	}
	<-e.out.done
	e.out.to.close()
	e.counts.dropped.Add(uint64(e.counts.waiting.Swap(0))) // those that were handed over while the SDK closed
}

// Add hands over a span to be sent. It never waits: a span for which there is no room is dropped.
func (e *Exporter) Add(s Span) {
	ctx, kind := context.WithValue(context.Background(), spanKey{}, &s), api.SpanKindServer
	if s.Name != Whole {
		kind = api.SpanKindInternal
		ctx = api.ContextWithSpanContext(ctx, api.NewSpanContext(api.SpanContextConfig{
			TraceID: traceID(s.Session), SpanID: spanID(s.Session, Whole, time.Time{}), TraceFlags: api.FlagsSampled,
		}))
	}
	attributes := make([]attribute.KeyValue, 0, 1+len(s.Attributes))
	attributes = append(attributes, attribute.String("session.id", valid(s.Session)))
	for _, a := range s.Attributes {
		attributes = append(attributes, attributeOf(a))
	}
	_, span := e.tracer.Start(ctx, valid(s.Name), api.WithTimestamp(s.Start), api.WithSpanKind(kind), api.WithAttributes(attributes...))
	if s.Err != "" {
		span.SetStatus(codes.Error, valid(s.Err))
	}
	span.End(api.WithTimestamp(s.End))
}

// Sent returns how many spans the collector has taken.
func (e *Exporter) Sent() uint64 { return e.counts.sent.Load() }

// Dropped returns how many spans were lost: no room was left, or the collector did not take them.
func (e *Exporter) Dropped() uint64 { return e.counts.dropped.Load() }

// attributeOf returns an attribute in OpenTelemetry's form, durations in seconds.
func attributeOf(a slog.Attr) attribute.KeyValue {
	key := valid(a.Key)
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindInt64:
		return attribute.Int64(key, v.Int64())
	case slog.KindUint64:
		return attribute.Int64(key, int64(min(v.Uint64(), math.MaxInt64)))
	case slog.KindFloat64:
		return attribute.Float64(key, v.Float64())
	case slog.KindDuration:
		return attribute.Float64(key, v.Duration().Seconds())
	case slog.KindBool:
		return attribute.Bool(key, v.Bool())
	default:
		return attribute.String(key, valid(v.String()))
	}
}

// valid makes a text valid UTF-8, in which the texts of protobuf are: one that is not, such as a peer may give as the name of its
// program, would cost the whole batch.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// ids derives the ids of spans from the session's. It implements sdk.IDGenerator.
type ids struct{}

// spanKey is the key of the *Span in the context that its ids are made in.
type spanKey struct{}

func (g ids) NewIDs(ctx context.Context) (api.TraceID, api.SpanID) {
	id := traceID(ctx.Value(spanKey{}).(*Span).Session)
	return id, g.NewSpanID(ctx, id)
}

func (ids) NewSpanID(ctx context.Context, _ api.TraceID) api.SpanID {
	s := ctx.Value(spanKey{}).(*Span)
	return spanID(s.Session, s.Name, s.Start)
}

func traceID(session string) api.TraceID {
	sum := sha256.Sum256([]byte(session))
	return api.TraceID(sum[:16])
}

func spanID(session, name string, start time.Time) api.SpanID {
	key := session + "\n" + name
	if name != Whole {
		key += "\n" + strconv.FormatInt(start.UnixNano(), 10)
	}
	sum := sha256.Sum256([]byte(key))
	return api.SpanID(sum[:8])
}
