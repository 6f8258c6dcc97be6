package server_test

import (
	"strings"
	"testing"

	"weir/internal/server"
)

// TestHealthIsTold: a publisher that falls silent is told of in the log, once when it does and once when it sends again, and
// in the metrics; those of single streams are there only if they are asked for.
func TestHealthIsTold(t *testing.T) {
	for _, perStream := range []bool{true, false} {
		r := start(t, func(c *server.Config) { c.Metrics.PerStream = perStream })
		p := r.mustPublish("live/a")
		publishSome(p, 0, 30)
		r.until("the fault is logged", func() bool { return strings.Contains(r.log.String(), "fault=stalled") })
		if line := lineWith(r.log.String(), "fault=stalled"); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "stream=live/a") || !strings.Contains(line, "setting=") {
			t.Error(line)
		}
		r.wantMetric(`weir_faulty_streams{kind="stalled"}`, "1")
		if (r.metric(`weir_stream_faults{stream="live/a"}`) == "1") != perStream {
			t.Error("single streams are in the metrics:", !perStream)
		}
		if f := r.Health("live/a"); len(f) == 0 || f[0].Kind != "stalled" || f[0].Since.IsZero() {
			t.Errorf("%+v", f)
		}
		if f := r.Health("live/b"); len(f) != 0 {
			t.Errorf("of no stream: %+v", f)
		}
		publishSome(p, 30, 10)
		r.until("its end is logged", func() bool { return strings.Contains(r.log.String(), "a fault of the publisher's stream is over") })
		if line := lineWith(r.log.String(), "is over"); !strings.Contains(line, "level=INFO") || !strings.Contains(line, "fault=stalled") {
			t.Error(line)
		}
		if n := strings.Count(r.log.String(), "fault=stalled"); n != 2 {
			t.Errorf("%d lines", n)
		}
		p.client.Close()
	}
}

// lineWith returns the first line of a log with a text in it.
func lineWith(log, text string) string {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}
