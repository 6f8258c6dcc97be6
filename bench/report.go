package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// lines collects a report's text.
type lines struct{ strings.Builder }

func (l *lines) add(name, format string, args ...any) {
	fmt.Fprintf(&l.Builder, "%-14s %s\n", name, fmt.Sprintf(format, args...))
}

func (l *lines) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, l.String())
	return err
}

func (s Spread) text() string {
	if s.Count == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %.3g ms, p99 %.3g ms, max %.3g ms (%d)", s.P50, s.P99, s.Max, s.Count)
}

func (l *lines) failures(failed map[string]int) {
	for _, why := range slices.Sorted(maps.Keys(failed)) {
		l.add("  failed", "%d: %s", failed[why], why)
	}
}

func (l *lines) group(name string, g GroupReport) {
	l.add(name, "%d of %d started, %d of them without a key frame; %.1f MB", g.Started, g.Players, g.Keyless, float64(g.Bytes)/1e6)
	l.failures(g.Failed)
	l.add("  frames", "%d: %d lost, %d repeated, %d reordered, %d torn", g.Frames, g.Lost, g.Repeated, g.Reordered, g.Torn)
	if g.Misdirected+g.Unstamped+g.Restarts > 0 {
		l.add("", "%d of another stream, %d not from weir bench, %d restarts of a publisher", g.Misdirected, g.Unstamped, g.Restarts)
	}
}

func (l *lines) server(s *ServerReport, peers string) {
	if s == nil {
		return
	}
	l.add("server", "%.3f s of CPU, %.1f %% of one, %.3f s per GB", s.CPUSeconds, 100*s.CPUShare, s.CPUPerGB)
	l.add("  memory", "%.1f MiB, before %.1f MiB: %.1f KiB a %s", mebi(s.MemoryAfter), mebi(s.MemoryBefore), s.MemoryPerPeer/1024, peers)
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

// WriteText writes the report for people to read.
func (r PlayersReport) WriteText(w io.Writer) error {
	var l lines
	l.add("url", "%s (%d streams)", r.URL, r.Streams)
	l.add("received", "%.1f MB in %.1f s, %.1f Mbit/s", float64(r.Bytes)/1e6, r.Seconds, r.Mbps)
	l.add("latency", "%s", r.Latency.text())
	l.add("first frame", "%s", r.FirstFrame.text())
	l.group("players", r.Main)
	if r.Slow != nil {
		l.group("slow players", *r.Slow)
	}
	if r.Published != nil {
		l.failures(r.Published.Failed)
	}
	l.server(r.Server, "player")
	return l.writeTo(w)
}

// WriteText writes the report for people to read.
func (r PublishersReport) WriteText(w io.Writer) error {
	var l lines
	l.add("url", "%s (%d streams)", r.URL, r.Streams)
	l.failures(r.Failed)
	l.add("sent", "%d frames, %.1f MB in %.1f s, %.1f Mbit/s", r.Frames, float64(r.Bytes)/1e6, r.Seconds, r.Mbps)
	l.add("lateness", "%s", r.Lateness.text())
	l.server(r.Server, "publisher")
	return l.writeTo(w)
}

// WriteText writes the report for people to read.
func (r StormReport) WriteText(w io.Writer) error {
	var l lines
	l.add("url", "%s", r.URL)
	l.add("before", "%s", r.Before.text())
	l.add("during", "%s", r.During.text())
	l.add("first frame", "%s", r.FirstFrame.text())
	l.group("players", r.Main)
	l.group("joined", r.Joined)
	l.server(r.Server, "player")
	return l.writeTo(w)
}

// WriteText writes the report for people to read.
func (r FloorReport) WriteText(w io.Writer) error {
	var l lines
	l.add("received", "%.1f MB", float64(r.Received)/1e6)
	l.add("sent", "%.1f MB in %d sends, %d of them cut short, %d players dropped", float64(r.Sent)/1e6, r.Sends, r.Short, r.Dropped)
	return l.writeTo(w)
}
