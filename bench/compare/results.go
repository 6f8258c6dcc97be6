package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// sample is the figures of one window.
type sample map[string]float64

// results are the windows by scenario, round and contender.
type results map[string][]map[string]sample

// machine is where it was measured.
type machine struct {
	model, kernel, goVersion, version string
	cpus                              int
	serverCPU, loadCPU                string
	date                              string
}

// columns are the figures of the tables, and their titles.
var columns = []struct{ figure, title string }{
	{cpuPerGB, "CPU s/GB"},
	{cpuShare, "share of a CPU"},
	{latencyP50, "p50 ms"},
	{latencyP99, "p99 ms"},
	{latencyMax, "max ms"},
	{firstP50, "first frame p50 ms"},
	{firstMax, "first frame max ms"},
	{stormP99, "p99 during / before"},
	{memoryPer, "KiB a player"},
	{requests, "requests a second"},
	{perCPU, "requests a CPU second"},
	{byWrk, "requests a second, by wrk"},
	{delivered, "delivered %"},
	{lostFrames, "lost"},
	{badFrames, "torn"},
	{notStarted, "failed"},
}

// unit is what stands behind a figure.
func unit(figure string, ratio bool) string {
	switch {
	case ratio:
		return " ×"
	case figure == latencyP50 || figure == latencyP99 || figure == latencyMax || figure == firstP50 || figure == firstMax:
		return " ms"
	case figure == memoryPer:
		return " KiB"
	case figure == delivered:
		return " %"
	case figure == stormP99:
		return " ×"
	}
	return ""
}

// number prints three digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) || a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// text is the spread as "median (min–max)".
func (s spread) text() string {
	if s.min == s.max {
		return number(s.median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.min), number(s.max))
}

// words are a figure in the table of goals.
var words = map[string]string{
	cpuPerGB: "CPU per GB", cpuShare: "share of one CPU", memoryPer: "memory a player", latencyP99: "latency p99",
	firstMax: "first frame, the last one's", delivered: "delivered", stormP99: "latency p99 during / before",
	lostFrames: "frames lost", badFrames: "frames torn, repeated or misplaced", notStarted: "players that failed",
	requests: "requests a second", perCPU: "requests a CPU second", byWrk: "requests a second, by wrk", noKey: "players not begun at a key frame",
}

// writeResults writes the report, and returns how many goals were missed that fail the
// benchmark.
func writeResults(w io.Writer, m machine, all []scenario, r results, notes []string) (missed int, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark results\n\n%s, %d CPUs, Linux %s, %s, weir %s, %s. The server has CPU %s, the load CPU %s.\n\n",
		m.model, m.cpus, m.kernel, m.goVersion, m.version, m.date, m.serverCPU, m.loadCPU)
	b.WriteString(`Written by ` + "`make bench`" + `. Windows of all contenders of a row are interleaved; a figure is the median
of the rounds, with least and most. A ratio is taken within each round. What must be met is ratios
and the absence of faults; what depends on the machine is shown, with the limit that was aimed at.
The floor reads the publishers' bytes unparsed and sends each message to each player with one
system call. GB is 10⁹ bytes. Memory is the server's resident memory over that with one player of each stream, for each
further one.
`)
	for _, n := range notes {
		fmt.Fprintf(&b, "\n**%s**\n", n)
	}

	b.WriteString("\n## Goals\n\n| scenario | figure | of | limit | measured | |\n|---|---|---|---|---|---|\n")
	for _, g := range goals() {
		if v := judge(g, r); v.measured {
			mark := "met"
			switch {
			case !v.met && g.shown:
				mark = "missed, shown only"
			case !v.met:
				mark = "**missed**"
				missed++
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", g.scenario, words[g.figure], g.text(), g.bound(), v.spread.text(), mark)
		}
	}
	faults, windows := 0, 0
	for _, g := range faultless(all) {
		v := judge(g, r)
		if !v.measured {
			continue
		}
		windows++
		if !v.met {
			faults++
			missed++
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | **missed** |\n", g.scenario, words[g.figure], g.text(), g.bound(), v.spread.text())
		}
	}
	if windows > 0 && faults == 0 {
		b.WriteString("| all | frames lost, torn, repeated or misplaced; players that failed | weir | 0 | 0 | met |\n")
	}

	for _, s := range all {
		rounds := r[s.name]
		if len(rounds) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s: %s\n\n", s.name, s.title)
		writeTable(&b, s, rounds)
	}
	_, err = io.WriteString(w, b.String())
	return missed, err
}

// writeTable writes the figures of a scenario, those columns that any contender has.
func writeTable(b *strings.Builder, s scenario, rounds []map[string]sample) {
	of := func(c contender, figure string) (spread, bool) {
		var v []float64
		for _, round := range rounds {
			if x, ok := round[c.name][figure]; ok {
				v = append(v, x)
			}
		}
		return spreadOf(v)
	}
	used := slices.Clone(columns)
	used = slices.DeleteFunc(used, func(col struct{ figure, title string }) bool {
		return !slices.ContainsFunc(s.contenders, func(c contender) bool {
			_, ok := of(c, col.figure)
			return ok
		})
	})
	b.WriteString("| |")
	for _, col := range used {
		b.WriteString(" " + col.title + " |")
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(used)) + "|\n")
	for _, c := range s.contenders {
		b.WriteString("| " + c.name + " |")
		for _, col := range used {
			cell := ""
			if v, ok := of(c, col.figure); ok {
				cell = v.text()
			}
			b.WriteString(" " + cell + " |")
		}
		b.WriteString("\n")
	}
}
