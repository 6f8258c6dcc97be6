package metrics

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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
		Intake:        func() time.Duration { return 50 * time.Millisecond },
		Segments:      func() int64 { return 6 << 20 },
		Recordings:    func() int { return 3 },
		Faults:        func(yield func(string, int)) { yield("long_gop", 2) },
		Traces:        func() (uint64, uint64) { return 40, 2 },
		PullsOnBackup: func() int { return 7 },
		Pulls: func(yield func(string, int)) {
			yield("live", 3)
			yield("retrying", 1)
		},
		Queues: func(yield func(string, int)) {
			yield("billing", 3)
			yield("a b", 1)
			yield("c d", 2)
		},
		PerStream: func(yield func(Stream)) bool {
			yield(Stream{Path: "live/a \"b\"", Bitrate: 4e6, FrameRate: 29.97, KeyInterval: 2 * time.Second, Width: 1280, Height: 720, Players: 12, Faults: 1})
			return true
		},
	}
}

func full() *Metrics {
	m := New(sources())
	m.SessionClosed("rtmp", "play", "slow")
	m.SessionClosed("rtmp", "play", "slow")
	m.Rejected("bad_key")
	m.Limited("players")
	m.Reconnected()
	m.HookCalled("billing", "ok", 40*time.Millisecond)
	m.HookFailed("billing")
	m.HookDropped("billing", 2)
	m.HookDropped("billing", -1)
	m.RecordBytes(4096)
	m.RecordDropped(2)
	m.RecordFailed("full")
	m.Decisions().Decided("deny", 2*time.Millisecond)
	m.Decisions().Failed()
	m.Decided(Allowed, "", 2*time.Millisecond)
	m.Decided("bad_key", "", 3*time.Second)
	m.PullFailed("not_found")
	m.HandshakeFailed("rtmp", "timeout")
	m.Dropped("rtmp", "malformed")
	m.FirstFrame("", 30*time.Millisecond)
	m.Lag(20 * time.Millisecond)
	m.Lag(9 * time.Second)
	return m
}

func TestScrape(t *testing.T) {
	got := regexp.MustCompile(`weir_build_info\{.*\}`).ReplaceAllString(ours(scrape(t, full())), "weir_build_info{…}")
	got = regexp.MustCompile(`weir_fd_limit [0-9].*`).ReplaceAllString(got, "weir_fd_limit …")
	got = regexp.MustCompile(`weir_config_reload_time_seconds [0-9].*`).ReplaceAllString(got, "weir_config_reload_time_seconds …")
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
	want := strings.Fields(`weir_auth_seconds weir_build_info weir_config_reload_success weir_config_reload_time_seconds weir_delivery_round_interval_seconds weir_delivery_worker_load weir_dropped_messages_total
		weir_faulty_streams weir_fd_limit weir_first_frame_seconds weir_frames_received_total weir_handshake_failures_total
		weir_hook_dropped_total weir_hook_failures_total weir_hook_queue weir_hook_seconds weir_ingest_bits_per_second weir_intake_interval_seconds weir_limit_reached_total weir_player_lag_seconds
		weir_player_skips_total weir_publisher_reconnects_total weir_publisher_silence_seconds weir_pull_failures_total weir_pulls weir_pulls_on_backup weir_received_bytes_total weir_record_bytes_total weir_record_dropped_frames_total weir_record_failures_total weir_recordings weir_rejected_total weir_segment_memory_bytes weir_sent_bytes_total
		weir_session_closed_total weir_sessions weir_stream_bits_per_second weir_stream_faults weir_stream_frames_per_second
		weir_stream_height_pixels weir_stream_key_interval_seconds weir_stream_players weir_stream_repairs_total weir_stream_width_pixels weir_streams weir_streams_stalled weir_trace_spans_total`)
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

// TestReloaded: a change that was refused leaves the time of the one before.
func TestReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New(Sources{})
		at := func(success, age int) {
			t.Helper()
			text := ours(scrape(t, m))
			for _, want := range []string{
				fmt.Sprintf("weir_config_reload_success %d\n", success),
				"weir_config_reload_time_seconds " + strconv.FormatFloat(float64(time.Now().Unix()-int64(age)), 'g', -1, 64) + "\n",
			} {
				if !strings.Contains(text, want) {
					t.Errorf("no %s", want)
				}
			}
		}
		at(1, 0)
		<-time.After(10 * time.Second)
		m.Reloaded(false)
		at(0, 10)
		<-time.After(10 * time.Second)
		m.Reloaded(true)
		at(1, 0)
	})
}

// TestExemplars: histograms have the newest session of each bucket, and nothing that is no id of ours.
func TestExemplars(t *testing.T) {
	m := New(Sources{})
	for _, id := range []string{"first", "k2v7mz5ab4t6cq3x", "", "a peer's \"name\""} {
		m.FirstFrame(id, 30*time.Millisecond)
		m.Decided(Allowed, id, 30*time.Millisecond)
	}
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	for _, want := range []string{
		`weir_first_frame_seconds_bucket{le="0.05"} 4 # {session="k2v7mz5ab4t6cq3x"} 0.03`,
		`weir_auth_seconds_bucket{result="allow",le="0.05"} 4 # {session="k2v7mz5ab4t6cq3x"} 0.03`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Count(w.Body.String(), "# {") != 2 {
		t.Error("more exemplars than two")
	}
}

// TestCountersBeginAtZero: rate() sees the first case only where the series was there before it.
func TestCountersBeginAtZero(t *testing.T) {
	m := New(Sources{Counted: Counted{Protocols: []string{"rtmp"}, Reasons: []string{"bad_key", "slow"}, Limits: []string{"players"}}})
	m.HookBegins("billing")
	text := scrape(t, m)
	for _, want := range []string{
		`weir_rejected_total{reason="bad_key"} 0`, `weir_limit_reached_total{limit="players"} 0`,
		`weir_session_closed_total{protocol="rtmp",reason="slow",role="play"} 0`, `weir_session_closed_total{protocol="rtmp",reason="slow",role="publish"} 0`,
		`weir_hook_failures_total{hook="billing"} 0`, `weir_hook_dropped_total{hook="billing"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Error("missing:", want)
		}
	}
}
