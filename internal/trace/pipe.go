package trace

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// complainEvery is how often the log says at most that spans are lost.
const complainEvery = time.Minute

// inlet stands before the SDK's queue, which would drop spans without counting them. Its bound is the queue's, which is
// therefore never full.
type inlet struct {
	sdk.SpanProcessor
	counts *counts
	about  *resource.Resource
}

// OnEnd implements sdk.SpanProcessor.
func (p *inlet) OnEnd(s sdk.ReadOnlySpan) {
	if p.counts.waiting.Add(1) > maxWaiting {
		p.counts.waiting.Add(-1)
		p.counts.dropped.Add(1)
		return
	}
	p.SpanProcessor.OnEnd(ours{s, p.about})
}

// ours is a span whose resource is ours alone: the SDK's has what the environment says too.
type ours struct {
	sdk.ReadOnlySpan
	about *resource.Resource
}

// Resource implements sdk.ReadOnlySpan.
func (s ours) Resource() *resource.Resource { return s.about }

// outlet stands behind the SDK's queue. It counts what becomes of spans, and says what goes wrong, which the SDK would print with
// the standard library's logger.
type outlet struct {
	sdk.SpanExporter
	counts *counts
	to     *collector
	log    *slog.Logger
	told   time.Time // when the log said that spans are lost,
	known  uint64    // and how many were by then
	done   chan struct{}
}

// ExportSpans implements sdk.SpanExporter. Spans that the collector does not take are lost. It returns nil.
func (o *outlet) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := o.SpanExporter.ExportSpans(ctx, spans)
	lost := 0
	if err != nil {
		lost = len(spans)
	}
	if r, ok := errors.AsType[rejected](err); ok {
		lost = int(min(int64(r), int64(lost)))
	}
	o.counts.sent.Add(uint64(len(spans) - lost))
	o.counts.dropped.Add(uint64(lost))
	o.counts.waiting.Add(-int64(len(spans)))
	o.tell(err)
	return nil
}

// tell says how many spans were lost since it last did, for whatever reason.
func (o *outlet) tell(err error) {
	now, dropped := time.Now(), o.counts.dropped.Load()
	if dropped == o.known || !o.told.IsZero() && now.Sub(o.told) < complainEvery {
		return
	}
	about := []any{slog.String("collector", o.to.url.Host), slog.Uint64("lost", dropped-o.known)}
	o.told, o.known = now, dropped
	if err == nil {
		o.log.Warn("the trace collector accepts spans more slowly than sessions make them: lower tracing.percent", about...)
		return
	}
	if u, ok := errors.AsType[*url.Error](err); ok { // what the exporter and the client say around it tells nothing
		err = u.Err
	}
	o.log.Warn("the trace collector is not accepting spans: check tracing.url and that it is running", append(about, slog.Any("err", err))...)
}

// Shutdown implements sdk.SpanExporter. The SDK calls it once, when nothing is left to be sent.
func (o *outlet) Shutdown(ctx context.Context) error {
	defer close(o.done)
	return o.SpanExporter.Shutdown(ctx)
}
