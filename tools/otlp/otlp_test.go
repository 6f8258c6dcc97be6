// Package otlp shows that collectors of OpenTelemetry understand the traces that internal/trace writes, by the code that the
// collector itself reads them with. It is in this module so that users of the packages never see its dependencies.
package otlp

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// TestCollectorUnderstands: the collector's reader takes the request whose bytes internal/trace has its test for, finds in it
// what was meant, and writes the same again.
func TestCollectorUnderstands(t *testing.T) {
	body, err := os.ReadFile("../../internal/trace/testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	r := ptraceotlp.NewExportRequest()
	if err := r.UnmarshalJSON(body); err != nil {
		t.Fatal(err)
	}
	if n := r.Traces().SpanCount(); n != 2 {
		t.Fatalf("%d spans", n)
	}
	resource := r.Traces().ResourceSpans().At(0)
	if v, ok := resource.Resource().Attributes().Get("service.name"); !ok || v.Str() != "weir" {
		t.Errorf("service.name is %v", v)
	}
	spans := resource.ScopeSpans().At(0).Spans()
	part, whole := spans.At(0), spans.At(1)
	begin := time.Unix(1000, 5)
	if part.TraceID() != whole.TraceID() || part.TraceID().IsEmpty() || part.ParentSpanID() != whole.SpanID() || whole.SpanID().IsEmpty() || !whole.ParentSpanID().IsEmpty() {
		t.Errorf("trace %v and %v, span %v below %v", part.TraceID(), whole.TraceID(), part.ParentSpanID(), whole.SpanID())
	}
	if part.Kind() != ptrace.SpanKindInternal || whole.Kind() != ptrace.SpanKindServer || part.Name() != "decide" || whole.Name() != "session" {
		t.Errorf("%v %v, %v %v", part.Kind(), part.Name(), whole.Kind(), whole.Name())
	}
	if !whole.StartTimestamp().AsTime().Equal(begin) || !whole.EndTimestamp().AsTime().Equal(begin.Add(time.Minute)) || !part.EndTimestamp().AsTime().Equal(begin.Add(time.Second)) {
		t.Errorf("from %v to %v", whole.StartTimestamp(), whole.EndTimestamp())
	}
	if whole.Status().Code() != ptrace.StatusCodeError || whole.Status().Message() != "reset" || part.Status().Code() != ptrace.StatusCodeUnset {
		t.Errorf("%v %q", whole.Status().Code(), whole.Status().Message())
	}
	want := map[string]any{"session.id": "abc", "received": int64(1 << 40), "skips": int64(2), "tls": true, "dur": 1.5, "x": 0.5}
	if got := whole.Attributes().AsRaw(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Nothing is lost on the way: what the collector writes of it is the same.
	again, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var ours, theirs any
	if err := json.Unmarshal(body, &ours); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &theirs); err != nil {
		t.Fatal(err)
	}
	// The collector writes empty values that we leave out.
	for _, span := range theirs.(map[string]any)["resourceSpans"].([]any)[0].(map[string]any)["scopeSpans"].([]any)[0].(map[string]any)["spans"].([]any) {
		s := span.(map[string]any)
		for _, key := range []string{"parentSpanId", "status"} {
			if v := reflect.ValueOf(s[key]); v.IsValid() && v.Len() == 0 {
				delete(s, key)
			}
		}
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("the collector writes\n%s\nof\n%s", again, body)
	}
}
