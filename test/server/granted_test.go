package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"weir/internal/record"
	"weir/internal/server"
)

// TestWhatAPublisherIsGranted: the decision about each publisher says where its stream is sent and which recordings there are of it, also of one that takes the stream
// over; what fails of that, and how much is sent, is counted.
func TestWhatAPublisherIsGranted(t *testing.T) {
	there := start(t, nil)
	var asked atomic.Int32
	h := newHook(t, func(q question) (int, string) {
		if asked.Add(1) == 1 {
			return 200, fmt.Sprintf(`{"record": ["two"], "push": [{"name": "good", "url": %q, "key": "x"}, {"name": "bad", "url": "rtmp://127.0.0.1:1/in", "key": "x"}]}`, "rtmp://"+there.Addr("rtmp").String()+"/in")
		}
		return 200, `{"record": ["three"]}`
	})
	here := start(t, hooked(h, func(c *server.Config) {
		e := server.DefaultStream()
		e.Match, e.Pull.Private, e.Publish.Auth = "live/*", true, []string{"hook"}
		for _, name := range []string{"one", "two", "three"} {
			var r record.Config
			r.SetDefaults()
			r.Name, r.Dir, r.MinFree, r.Start = name, t.TempDir(), "", map[bool]string{true: "auto", false: "manual"}[name == "one"]
			e.Record = append(e.Record, r)
		}
		c.Streams = []server.StreamConfig{e}
	}))
	runs := func(want string) {
		t.Helper()
		var got string
		eventually(t, want+" is recorded", func() bool {
			var list struct {
				Recorders []struct{ Name, State, Origin string }
			}
			_, answer := here.ask("GET", "/api/v1/recorders", "")
			if err := json.Unmarshal([]byte(answer), &list); err != nil {
				t.Fatal(answer, err)
			}
			got = ""
			for _, r := range list.Recorders {
				got += r.Name + " " + r.Origin + " "
			}
			return strings.TrimSpace(got) == want
		})
	}
	p := here.mustPublish("live/cam")
	publishSome(p, 0, 25)
	runs("two hook")
	there.arrived("in/x", 1)
	eventually(t, "it is counted", func() bool {
		res, err := http.Get(here.adminURL("/metrics"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		text := string(b)
		return strings.Contains(text, `weir_push_failures_total{reason="unreachable",service="custom"} `) && strings.Contains(text, `weir_push_targets{service="custom",state="live"} 1`) &&
			strings.Contains(text, `weir_push_sent_bytes_total{service="custom"} `) && !strings.Contains(text, `weir_push_sent_bytes_total{service="custom"} 0`)
	})
	publishSome(here.mustPublish("live/cam"), 0, 25)
	runs("three hook")
}
