package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	load "weir/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScenarios_Goals: each goal is about a row and contenders that exist.
func TestScenarios_Goals(t *testing.T) {
	all := scenarios()
	names := map[string]bool{}
	for _, s := range all {
		if names[s.name] {
			t.Errorf("two rows are called %s", s.name)
		}
		names[s.name] = true
		if s.window%(2*time.Second) != 0 {
			t.Errorf("%s: a window of %v does not hold whole groups of pictures", s.name, s.window)
		}
	}
	for _, g := range append(goals(), faultless(all)...) {
		i := slices.IndexFunc(all, func(s scenario) bool { return s.name == g.scenario })
		if i < 0 {
			t.Errorf("%+v: there is no such row", g)
			continue
		}
		for _, who := range []string{g.of, g.over} {
			if who != "" && !slices.ContainsFunc(all[i].contenders, func(c contender) bool { return c.name == who }) {
				t.Errorf("%s: there is no contender %q", g.scenario, who)
			}
		}
		if words[g.figure] == "" {
			t.Errorf("%s: figure %q has no name", g.scenario, g.figure)
		}
	}
}

// TestScenarios_Time: all of it is to take 40 minutes at most, the quick one 90 seconds.
func TestScenarios_Time(t *testing.T) {
	estimate := func(all []scenario) time.Duration {
		var d time.Duration
		for _, s := range all {
			for range s.contenders {
				join := time.Duration(s.players) * time.Second / 2000
				d += 5 * (s.settle + join + s.warmup + s.window + 700*time.Millisecond)
				if s.kind == storming {
					d += 5 * s.window
				}
			}
		}
		return d
	}
	if d := estimate(scenarios()); d > 38*time.Minute {
		t.Errorf("all: %v", d)
	}
	if d := estimate(quick()); d > 88*time.Second {
		t.Errorf("quick: %v", d)
	}
}

// TestMeasure_TakesTurns: the contenders of a row are interleaved, in both orders.
func TestMeasure_TakesTurns(t *testing.T) {
	s := one(50, atOnce, flat, nginx)
	var order []string
	r, err := measure(t.Context(), []scenario{s}, 3, io.Discard, func(_ context.Context, _ scenario, c contender) (sample, error) {
		order = append(order, c.name)
		return sample{cpuPerGB: float64(len(order))}, nil
	})
	a, b, c := weirAtOnce, floorPlain, nginxRTMP
	if want := []string{a, b, c, c, b, a, a, b, c}; err != nil || !slices.Equal(order, want) {
		t.Errorf("order %q, %v", order, err)
	}
	if len(r["1x50"]) != 3 || r["1x50"][1][a][cpuPerGB] != 6 {
		t.Errorf("results %v", r)
	}
	broken := errors.New("broken")
	if _, err := measure(t.Context(), []scenario{s}, 1, io.Discard, func(context.Context, scenario, contender) (sample, error) {
		return nil, broken
	}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// rounds makes results of one row: figures[contender] holds a value a round.
func rounds(row, figure string, figures map[string][]float64) results {
	r := results{}
	for name, values := range figures {
		for i, v := range values {
			if len(r[row]) <= i {
				r[row] = append(r[row], map[string]sample{})
			}
			r[row][i][name] = sample{figure: v}
		}
	}
	return r
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name     string
		goal     goal
		figures  map[string][]float64
		want     spread
		met, not bool
	}{
		{
			name: "the median of the rounds' own ratios", goal: goal{of: "a", over: "b", limit: 1.1},
			figures: map[string][]float64{"a": {1, 2, 9}, "b": {1, 2, 3}}, want: spread{1, 1, 3}, met: true,
		},
		{
			name: "over the limit", goal: goal{of: "a", over: "b", limit: 1.1},
			figures: map[string][]float64{"a": {2, 2, 3}, "b": {1, 1, 3}}, want: spread{1, 2, 2},
		},
		{
			name: "an even number of rounds", goal: goal{of: "a", limit: 3},
			figures: map[string][]float64{"a": {4, 2}}, want: spread{2, 3, 4}, met: true,
		},
		{
			name: "a fault in one window", goal: goal{of: "a", limit: 0},
			figures: map[string][]float64{"a": {0, 0, 1}}, want: spread{0, 0, 1},
		},
		{
			name: "at least", goal: goal{of: "a", limit: 99, least: true},
			figures: map[string][]float64{"a": {98, 99.5, 100}}, want: spread{98, 99.5, 100}, met: true,
		},
		{name: "not measured", goal: goal{of: "a", over: "b", limit: 1}, figures: map[string][]float64{"a": {1}}, not: true},
		{name: "nothing to divide by", goal: goal{of: "a", over: "b", limit: 1}, figures: map[string][]float64{"a": {1}, "b": {0}}, not: true},
	} {
		c.goal.scenario, c.goal.figure = "row", cpuPerGB
		v := judge(c.goal, rounds("row", cpuPerGB, c.figures))
		if v.spread != c.want || v.met != c.met || v.measured == c.not {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

func TestWriteResults(t *testing.T) {
	all := []scenario{one(1000, atOnce, auto, flat)}
	r := results{"1x1000": {
		{weirAtOnce: {cpuPerGB: 1.05, lostFrames: 0, latencyP99: 10}, weirAuto: {cpuPerGB: 0.5, lostFrames: 0, latencyP99: 60}, floorPlain: {cpuPerGB: 1, latencyP99: 9}},
		{weirAtOnce: {cpuPerGB: 1.07, lostFrames: 0, latencyP99: 11}, weirAuto: {cpuPerGB: 0.6, lostFrames: 3, latencyP99: 90}, floorPlain: {cpuPerGB: 1, latencyP99: 9}},
	}}
	var b strings.Builder
	missed, err := writeResults(&b, machine{model: "M", cpus: 2, kernel: "6", goVersion: "go1", version: "v1", serverCPU: "0", loadCPU: "1", date: "2026-01-01"}, all, r, []string{"A note."})
	if err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{
		"M, 2 CPUs, Linux 6, go1, weir v1, 2026-01-01. The server has CPU 0, the load CPU 1.",
		"**A note.**",
		"| 1x1000 | CPU per GB | weir, every frame at once / floor | ≤ 1.10 × | 1.06 (1.05–1.07) | met |",
		"| 1x1000 | CPU per GB | weir / floor | ≤ 0.42 × | 0.55 (0.50–0.60) | **missed** |",
		"| 1x1000 | latency p99 | weir | ≤ 85 ms | 75 (60–90) | met |",
		"| 1x1000 | frames lost | weir | ≤ 0 | 1.50 (0–3) | **missed** |",
		"| | CPU s/GB | p99 ms | lost |\n|---|---|---|---|\n| weir, every frame at once | 1.06 (1.05–1.07) | 10.5 (10–11) | 0 |",
		"| floor | 1 | 9 |  |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
	if missed != 2 || strings.Contains(got, "nginx") && strings.Contains(got, "nginx-rtmp |") {
		t.Errorf("%d missed", missed)
	}
}

func TestChoose(t *testing.T) {
	all, err := choose(scenarios(), "slow,100x5", 100, time.Second)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	for _, s := range all {
		if s.players != 100 || s.window != time.Second {
			t.Errorf("%+v", s)
		}
		if s.name == "100x5" && s.streams != 20 || s.name == "slow" && s.contenders[1].slow != 10 {
			t.Errorf("%+v", s)
		}
	}
	if _, err := choose(scenarios(), "slow,fast", 0, 0); err == nil {
		t.Error("a row that does not exist was taken")
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string]string{"0": "[0]", "0-1": "[0 1]", "0,2-3,7": "[0 2 3 7]"} {
		if got, err := parseCPUs(list); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "x", "1-y"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("%q: %v", list, got)
		}
	}
}

func TestListening(t *testing.T) {
	for line, want := range map[string]string{
		`05:27:01 INF listening proto=rtmp addr=127.0.0.1:40001`:                 "rtmp 127.0.0.1:40001",
		`listening proto=https addr=[::1]:40002`:                                 "https [::1]:40002",
		`level=INFO msg=listening proto=http addr=127.0.0.1:1 stream=x`:          "http 127.0.0.1:1",
		`05:27:01 INF session opened protocol=rtmp remote=127.0.0.1:5 role=play`: "",
	} {
		got := ""
		if m := listening.FindStringSubmatch(line); m != nil {
			got = m[1] + " " + m[2]
		}
		if got != want {
			t.Errorf("%s: %q", line, got)
		}
	}
}

func TestFigures(t *testing.T) {
	s := one(10, auto)
	p := ofPlayers(s, load.PlayersReport{
		Seconds: 2, Bytes: 2 * 10 * usualBitrate / 8, Latency: load.Spread{P99: 5}, Server: &load.ServerReport{CPUPerGB: 1.5, MemoryPerPeer: 2048},
		Main: load.GroupReport{Lost: 1, Torn: 2, Repeated: 3, Failed: map[string]int{"x": 4}},
	})
	if p[delivered] != 100 || p[latencyP99] != 5 || p[cpuPerGB] != 1.5 || p[memoryPer] != 2 || p[lostFrames] != 1 || p[badFrames] != 5 || p[notStarted] != 4 {
		t.Errorf("players: %v", p)
	}
	p = ofPlayers(s, load.PlayersReport{Seconds: 1, Slow: &load.GroupReport{Lost: 100, Torn: 1, Failed: map[string]int{"closed": 1}}})
	if _, ok := p[delivered]; ok || p[lostFrames] != 0 || p[badFrames] != 1 || p[notStarted] != 1 {
		t.Errorf("slow players: %v", p)
	}
	st := ofStorm(load.StormReport{Before: load.Spread{P99: 2}, During: load.Spread{P99: 5}, Joined: load.GroupReport{Keyless: 1}})
	if st[stormP99] != 2.5 || st[noKey] != 1 {
		t.Errorf("storm: %v", st)
	}
	i := ofPublishers(one(0), load.PublishersReport{Seconds: 1, Bytes: usualBitrate / 8, Server: &load.ServerReport{MemoryPerPeer: 1}, Failed: map[string]int{"x": 1}})
	if _, ok := i[memoryPer]; ok || i[delivered] != 100 || i[notStarted] != 1 {
		t.Errorf("publishers: %v", i)
	}
}

func TestWriteCertificate(t *testing.T) {
	dir := t.TempDir()
	if err := writeCertificate(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		t.Error(err)
	}
	if f, err := os.Stat(filepath.Join(dir, "key.pem")); err != nil || f.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", f, err)
	}
}
