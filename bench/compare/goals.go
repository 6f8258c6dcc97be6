package main

import (
	"fmt"
	"slices"
)

// The figures of a window.
const (
	cpuPerGB   = "cpu"       // seconds of the server's processor time per 10^9 bytes
	cpuShare   = "share"     // of one processor
	memoryPer  = "memory"    // KiB of the server's user memory for each player
	latencyP50 = "p50"       // ms
	latencyP99 = "p99"       // ms
	latencyMax = "max"       // ms
	firstP50   = "first p50" // ms
	firstMax   = "first max" // ms
	lostFrames = "lost"      // by the players that keep up
	badFrames  = "torn"      // torn, repeated, reordered, or of another stream, of all players
	delivered  = "delivered" // of what was published, in per cent
	notStarted = "failed"    // players that did not start, or were closed
	noKey      = "keyless"   // players that did not start at a key frame
	requests   = "requests"  // in a second
	perCPU     = "per CPU"   // requests for each second of the server's processor time
	byWrk      = "wrk"       // requests in a second, asked by wrk
	stormP99   = "storm p99" // that of those already there during the storm over that before
)

// goal is what is to be reached. Its figure is a contender's, divided by that of another
// one in the same round if there is one.
type goal struct {
	scenario string
	figure   string
	of       string
	over     string // empty: the figure itself
	least    bool   // the limit is the least, not the most
	limit    float64
	// shown says that the goal is about this machine, not about a ratio or a fault, and is
	// reported but fails nothing.
	shown bool
	note  string
}

// goals is all goals.
func goals() []goal {
	var g []goal
	for _, s := range []struct {
		name  string
		limit float64
	}{{"1x50", 1.30}, {"1x500", 1.10}, {"1x1000", 1.10}, {"1x2000", 1.10}} {
		g = append(g,
			goal{scenario: s.name, figure: cpuPerGB, of: weirAtOnce, over: floorPlain, limit: s.limit},
			goal{scenario: s.name, figure: cpuPerGB, of: weirAtOnce, over: nginxRTMP, limit: 1},
			goal{scenario: s.name, figure: latencyP99, of: weirAtOnce, over: floorPlain, limit: 1.2})
	}
	g = append(g,
		goal{scenario: "1x50", figure: latencyP99, of: weirAuto, limit: 8, shown: true},
		goal{scenario: "1x500", figure: cpuPerGB, of: weirAuto, over: floorPlain, limit: 0.8})
	for _, name := range []string{"1x1000", "1x2000"} {
		g = append(g,
			goal{scenario: name, figure: cpuPerGB, of: weirAuto, over: floorPlain, limit: 0.42},
			goal{scenario: name, figure: cpuPerGB, of: weirAuto, over: nginxRTMP, limit: 0.40},
			goal{scenario: name, figure: latencyP99, of: weirAuto, limit: 85, shown: true})
	}
	g = append(g,
		goal{scenario: "1x1000", figure: cpuPerGB, of: weir350, over: floor350, limit: 1.15},
		goal{scenario: "1x1000", figure: cpuPerGB, of: weir350, over: nginxRTMP, limit: 0.20, shown: true, note: "about 0.15 to 0.20"},
		goal{scenario: "1x2000-600k", figure: cpuPerGB, of: weirAuto, over: nginxRTMP, limit: 0.30},
		goal{scenario: "1x5000", figure: delivered, of: weirAuto, least: true, limit: 99, shown: true, note: "all, but for the window's edges"},
		goal{scenario: "1x5000", figure: cpuShare, of: weirAuto, limit: 0.55, shown: true},
		goal{scenario: "1x5000", figure: latencyP99, of: weirAuto, limit: 150, shown: true})
	for _, name := range []string{"100x5", "500x5"} {
		g = append(g,
			goal{scenario: name, figure: cpuPerGB, of: weirAuto, over: floorPlain, limit: 0.90},
			goal{scenario: name, figure: cpuPerGB, of: weirAtOnce, over: floorPlain, limit: 1.40})
	}
	g = append(g,
		goal{scenario: "memory-rtmp", figure: memoryPer, of: weirAuto, limit: 6, shown: true},
		goal{scenario: "memory-http", figure: memoryPer, of: weirHTTP, limit: 6, shown: true},
		goal{scenario: "memory-ws", figure: memoryPer, of: weirWS, limit: 8, shown: true},
		goal{scenario: "slow", figure: latencyP99, of: weirSlow, over: weirAuto, limit: 1.2, note: "of the others"},
		goal{scenario: "slow", figure: cpuPerGB, of: weirSlow, over: weirAuto, limit: 1.2},
		goal{scenario: "tls", figure: cpuPerGB, of: weirRTMPS, over: weirAuto, limit: 1.6},
		goal{scenario: "tls", figure: cpuPerGB, of: weirHTTPS, over: weirHTTP, limit: 1.6},
		goal{scenario: "tls", figure: memoryPer, of: weirRTMPS, limit: 24, shown: true},
		goal{scenario: "tls", figure: memoryPer, of: weirHTTPS, limit: 24, shown: true},
		goal{scenario: "storm", figure: noKey, of: weirAuto, limit: 0},
		goal{scenario: "storm", figure: firstMax, of: weirAuto, limit: 1000, shown: true},
		goal{scenario: "storm", figure: stormP99, of: weirAuto, limit: 3},
		goal{scenario: "hls", figure: perCPU, of: weirHLS, over: nginxHTTP, least: true, limit: 0.6},
		goal{scenario: "hls", figure: byWrk, of: weirHLS, over: nginxHTTP, least: true, limit: 0.6},
		goal{scenario: "hls", figure: requests, of: weirHLS, least: true, limit: 10_000, shown: true},
		goal{scenario: "ingest", figure: cpuPerGB, of: weirAuto, over: nginxRTMP, limit: 0.7})
	return g
}

// faultless is, for each contender that is weir, that nothing was lost, torn or refused
// in any window.
func faultless(all []scenario) []goal {
	var g []goal
	for _, s := range all {
		if s.kind == publishing {
			continue
		}
		for _, c := range s.contenders {
			if c.server != weirServer {
				continue
			}
			for _, f := range []string{lostFrames, badFrames, notStarted} {
				g = append(g, goal{scenario: s.name, figure: f, of: c.name, limit: 0})
			}
		}
	}
	return g
}

// spread is the least, the middle and the most of several values.
type spread struct{ min, median, max float64 }

func spreadOf(v []float64) (spread, bool) {
	if len(v) == 0 {
		return spread{}, false
	}
	v = slices.Sorted(slices.Values(v))
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + m) / 2
	}
	return spread{v[0], m, v[len(v)-1]}, true
}

// verdict is what became of a goal.
type verdict struct {
	goal
	spread
	measured bool
	met      bool
}

// judge compares a goal with what was measured. Faults must be absent from every window;
// of anything else the median counts.
func judge(g goal, r results) verdict {
	var values []float64
	for _, round := range r[g.scenario] {
		v, ok := round[g.of][g.figure]
		if !ok {
			continue
		}
		if g.over != "" {
			base, ok := round[g.over][g.figure]
			if !ok || base == 0 {
				continue
			}
			v /= base
		}
		values = append(values, v)
	}
	out := verdict{goal: g}
	out.spread, out.measured = spreadOf(values)
	counted := out.median
	if g.limit == 0 {
		counted = out.max
	}
	out.met = out.measured && (g.least && counted >= g.limit || !g.least && counted <= g.limit)
	return out
}

// text is the goal in words.
func (g goal) text() string {
	what := g.of
	if g.over != "" {
		what = fmt.Sprintf("%s / %s", g.of, g.over)
	}
	if g.note != "" {
		what += " (" + g.note + ")"
	}
	return what
}

// bound is the limit in words.
func (g goal) bound() string {
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	return sign + " " + number(g.limit) + unit(g.figure, g.over != "")
}
