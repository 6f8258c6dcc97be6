package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	load "weir/bench"
)

const (
	pollPause  = 20 * time.Millisecond
	windowTime = 2 * time.Minute // more than any window takes
)

// pause waits for d.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// window measures a contender once: a fresh server, its publishers, its players.
func (b *bench) window(ctx context.Context, s scenario, c contender) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, windowTime, fmt.Errorf("the window took more than %v", windowTime))
	defer cancel()
	r, err := b.startServer(ctx, c)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	if c.server == filesServer {
		return b.ask(ctx, s, r, "http://"+r.addrs["http"]+"/index.m3u8")
	}
	to, err := r.url("rtmp")
	if err != nil {
		return nil, err
	}
	pid := strconv.Itoa(r.pid())
	if s.kind == requesting {
		return b.requestWindow(ctx, s, r, to)
	}
	if s.kind == publishing {
		var got load.PublishersReport
		err := b.report(ctx, &got, "publishers", "--json", "--streams", strconv.Itoa(s.streams), "--bitrate", strconv.Itoa(s.bitrate),
			"--warmup", s.warmup.String(), "--duration", s.window.String(), "--pid", pid, to)
		return ofPublishers(s, got), err
	}

	pub, err := b.publish(ctx, s, to)
	if err != nil {
		return nil, err
	}
	defer pub.stop()
	scheme := c.scheme
	if scheme == "" {
		scheme = "rtmp"
	}
	from, err := r.url(scheme)
	if err != nil {
		return nil, err
	}
	common := []string{
		"--json", "--insecure", "--players", strconv.Itoa(s.players), "--streams", strconv.Itoa(s.streams),
		"--warmup", s.warmup.String(), "--duration", s.window.String(), "--pid", pid,
	}
	if s.kind == storming {
		var got load.StormReport
		err := b.report(ctx, &got, append(append([]string{"storm"}, common...), "--joins", strconv.Itoa(s.players), from)...)
		return ofStorm(got), err
	}
	var got load.PlayersReport
	err = b.report(ctx, &got, append(append([]string{"players"}, common...), "--rate", "2000", "--sample", strconv.Itoa(s.sample),
		"--slow", strconv.Itoa(c.slow), "--slow-rate", strconv.Itoa(s.bitrate/5), from)...)
	return ofPlayers(s, got), err
}

// publish starts the publishers and lets them settle.
func (b *bench) publish(ctx context.Context, s scenario, to string) (*child, error) {
	pub, err := start(b.loadCPU, b.publishers(s, to), func(line string) bool { return strings.HasPrefix(line, "publishing") })
	if err != nil {
		return nil, err
	}
	if _, err = pub.await(ctx, func(lines []string) bool { return len(lines) > 0 }); err == nil {
		err = pause(ctx, s.settle)
	}
	if err != nil {
		pub.stop()
		return nil, err
	}
	return pub, nil
}

// publishers is the command that publishes a scenario's streams until it is stopped.
func (b *bench) publishers(s scenario, to string) []string {
	argv := append(append([]string{}, b.first...), b.loader...)
	return append(argv, "publishers", "--streams", strconv.Itoa(s.streams), "--bitrate", strconv.Itoa(s.bitrate), to)
}

// report runs the load generator and reads what it measured.
func (b *bench) report(ctx context.Context, into any, args ...string) error {
	c, err := start(b.loadCPU, append(append([]string{}, b.loader...), args...), func(string) bool { return false })
	if err != nil {
		return err
	}
	out, err := c.finish(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return c.failure(fmt.Errorf("reading its report: %w", err))
	}
	return nil
}

func ofServer(f sample, s *load.ServerReport) sample {
	if s != nil {
		f[cpuPerGB], f[cpuShare], f[memoryPer] = s.CPUPerGB, s.CPUShare, s.MemoryPerPeer/1024
	}
	return f
}

// wrong is what no frame may be.
func wrong(g load.GroupReport) float64 {
	return float64(g.Torn + g.Repeated + g.Reordered + g.Misdirected + g.Unstamped)
}

func failures(g load.GroupReport) float64 {
	n := 0
	for _, k := range g.Failed {
		n += k
	}
	return float64(n)
}

func ofPlayers(s scenario, r load.PlayersReport) sample {
	f := sample{
		latencyP50: r.Latency.P50, latencyP99: r.Latency.P99, latencyMax: r.Latency.Max,
		firstP50: r.FirstFrame.P50, firstMax: r.FirstFrame.Max,
		lostFrames: float64(r.Main.Lost), badFrames: wrong(r.Main), notStarted: failures(r.Main),
	}
	if r.Seconds > 0 && r.Slow == nil {
		f[delivered] = 100 * float64(r.Bytes) / (r.Seconds * float64(s.players) * float64(s.bitrate) / 8)
	}
	if r.Slow != nil { // that they lose frames is what they are for
		f[badFrames] += wrong(*r.Slow)
		f[notStarted] += failures(*r.Slow)
	}
	return ofServer(f, r.Server)
}

func ofStorm(r load.StormReport) sample {
	f := sample{
		latencyP50: r.During.P50, latencyP99: r.During.P99, latencyMax: r.During.Max,
		firstP50: r.FirstFrame.P50, firstMax: r.FirstFrame.Max,
		lostFrames: float64(r.Main.Lost + r.Joined.Lost),
		badFrames:  wrong(r.Main) + wrong(r.Joined),
		notStarted: failures(r.Main) + failures(r.Joined),
		noKey:      float64(r.Joined.Keyless),
	}
	if r.Before.P99 > 0 {
		f[stormP99] = r.During.P99 / r.Before.P99
	}
	return ofServer(f, r.Server)
}

func ofPublishers(s scenario, r load.PublishersReport) sample {
	failed := 0
	for _, k := range r.Failed {
		failed += k
	}
	f := sample{notStarted: float64(failed)}
	if r.Seconds > 0 {
		f[delivered] = 100 * float64(r.Bytes) / (r.Seconds * float64(s.streams) * float64(s.bitrate) / 8)
	}
	f = ofServer(f, r.Server)
	delete(f, memoryPer) // of publishers, whose buffers come and go
	return f
}
