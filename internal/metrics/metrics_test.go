package metrics

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	return w.Body.String()
}

// ours returns the lines about metrics that begin with weir_.
func ours(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, "weir_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func sources() Sources {
	return Sources{
		Streams: func() int { return 3 },
		Publishers: func() Publishers {
			return Publishers{Bitrate: 4e6, Stalled: 1, Silence: 1500 * time.Millisecond}
		},
		Sessions: func(yield func(string, string, int)) {
			yield("rtmp", "play", 5)
			yield("rtmp", "publish", 1)
			yield("http-flv", "play", 7)
		},
		Bytes: func(yield func(string, uint64, uint64)) {
			yield("rtmp", 1000, 1<<40)
			yield("http-flv", 10, 20)
		},
		Frames: func(yield func(string, uint64)) {
			yield("video", 90)
			yield("audio", 120)
		},
		Repairs: func(yield func(string, uint64)) { yield("jump", 2) },
		Skips:   func() uint64 { return 4 },
		Workers: func(yield func(int, float64, time.Duration)) {
			yield(0, 0.25, 0)
			yield(1, 0.5, 20*time.Millisecond)
		},
		Intake:   func() time.Duration { return 50 * time.Millisecond },
		Segments: func() int64 { return 6 << 20 },
	}
}

func full() *Metrics {
	m := New(sources())
	m.SessionClosed("rtmp", "play", "slow")
	m.SessionClosed("rtmp", "play", "slow")
	m.Rejected("bad_key")
	m.HandshakeFailed("rtmp", "timeout")
	m.Dropped("rtmp", "malformed")
	m.FirstFrame(30 * time.Millisecond)
	m.Lag(20 * time.Millisecond)
	m.Lag(9 * time.Second)
	return m
}

func TestScrape(t *testing.T) {
	got := regexp.MustCompile(`weir_build_info\{.*\}`).ReplaceAllString(ours(scrape(t, full())), "weir_build_info{…}")
	const golden = "testdata/metrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// The names are a promise to users.
func TestNames(t *testing.T) {
	var names []string
	all := scrape(t, full())
	for line := range strings.Lines(all) {
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" && strings.HasPrefix(f[2], "weir_") {
			names = append(names, f[2])
		}
	}
	want := strings.Fields(`weir_build_info weir_delivery_round_interval_seconds weir_delivery_worker_load weir_dropped_messages_total
		weir_first_frame_seconds weir_frames_received_total weir_handshake_failures_total weir_ingest_bits_per_second weir_intake_interval_seconds weir_player_lag_seconds
		weir_player_skips_total weir_publisher_silence_seconds weir_received_bytes_total weir_rejected_total weir_segment_memory_bytes weir_sent_bytes_total
		weir_session_closed_total weir_sessions weir_stream_repairs_total weir_streams weir_streams_stalled`)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	for _, other := range []string{"go_goroutines ", "process_start_time_seconds ", "go_build_info{"} {
		if !strings.Contains(all, "\n"+other) {
			t.Errorf("no %s", other)
		}
	}
}

func TestNoSources(t *testing.T) {
	got := ours(scrape(t, New(Sources{})))
	if strings.Contains(got, "weir_streams") || !strings.Contains(got, "weir_first_frame_seconds_count 0") {
		t.Error(got)
	}
}

func TestLabelsAreWords(t *testing.T) {
	m := New(Sources{Frames: func(yield func(string, uint64)) { yield("vi\"deo", 1) }})
	for _, s := range []string{"live/cam?key=hunter2", "", strings.Repeat("a", 41), "a\nb", "Ä", "fine", "also-fine_2"} {
		m.Rejected(s)
	}
	got := ours(scrape(t, m))
	for _, want := range []string{`weir_rejected_total{reason="other"} 5`, `weir_rejected_total{reason="fine"} 1`, `{reason="also-fine_2"} 1`, `{kind="other"} 1`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Error(got)
	}
}

// TestLagsDoNotDependOnScrapes: what is counted is what the server counted, however often somebody asks.
func TestLagsDoNotDependOnScrapes(t *testing.T) {
	m := New(sources())
	m.Lag(20 * time.Millisecond)
	m.Lag(9 * time.Second)
	for range 3 {
		text := scrape(t, m)
		for _, want := range []string{"weir_player_lag_seconds_count 2\n", `weir_player_lag_seconds_bucket{le="0.05"} 1` + "\n", `weir_player_lag_seconds_bucket{le="8"} 1` + "\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("the metrics do not say %s", want)
			}
		}
	}
}

// TestBuildInfo: the metrics say which program this is.
func TestBuildInfo(t *testing.T) {
	if text := scrape(t, New(Sources{})); !regexp.MustCompile(`(?m)^weir_build_info\{commit="[^"]*",go_version="go[^"]+",version="[^"]*"\} 1$`).MatchString(text) {
		t.Error("there is no weir_build_info")
	}
}

func TestManyScrapes(t *testing.T) {
	m := full()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			m.Rejected("limit")
			if w.Code != http.StatusOK {
				t.Error(w.Code)
			}
		})
	}
	wg.Wait()
}

func BenchmarkScrape(b *testing.B) {
	m := full()
	b.ReportAllocs()
	for b.Loop() {
		scrape(b, m)
	}
}

func BenchmarkCount(b *testing.B) {
	m := full()
	b.ReportAllocs()
	for b.Loop() {
		m.Dropped("rtmp", "malformed")
	}
}

func TestSourceThatRepeatsItself(t *testing.T) {
	m := New(Sources{
		Streams: func() int { return 3 },
		Repairs: func(yield func(string, uint64)) { yield("jump", 1); yield("jump", 2) },
	})
	if got := ours(scrape(t, m)); !strings.Contains(got, "weir_streams 3") {
		t.Error(got)
	}
}
