//go:build linux

// Command start measures what players show when they join a stream in the middle of a group of
// pictures: how soon the first picture, and how far behind live they stay.
//
// It publishes a film whose pictures carry their number, has real players join at a given time
// after a key frame with each ?start=, and compares when they show a picture with when it came to
// somebody who was there from the beginning.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	firstWithin  = 20 * time.Second
	watched      = 6 * time.Second  // from the first picture on
	startsWithin = 20 * time.Second // a player that is held
	settled      = 2 * time.Second  // of it, after which the delay is taken
)

func main() {
	weir := flag.String("weir", "bin/weir", "the server")
	dir := flag.String("dir", os.TempDir(), "where films are kept")
	only := flag.String("players", "", "only these, by comma")
	over := flag.String("over", "", "only these ways, by comma: rtmp, flv, ts, ws")
	starts := flag.String("starts", "key,live,burst", "what players ask for, by comma")
	films := flag.String("films", "10/0,10/2,2/2", "seconds between key frames, and B-frames, by comma")
	runs := flag.Int("runs", 1, "how often each is measured; the table has medians")
	after := flag.Float64("after", 0.6, "where in the group of pictures players join, of its length")
	out := flag.String("o", "", "write the table to this file too")
	verbose := flag.Bool("v", false, "print each picture")
	flag.Parse()
	var w io.Writer = os.Stdout
	if *out != "" {
		f, err := os.Create(*out)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		defer f.Close()
		w = io.MultiWriter(os.Stdout, f)
	}
	list := func(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return r == ',' }) }
	b := bench{
		weir: *weir, dir: *dir, players: list(*only), over: list(*over), starts: list(*starts), runs: *runs, after: *after, out: w, verbose: *verbose,
	}
	for _, s := range list(*films) {
		var f film
		if _, err := fmt.Sscanf(s, "%d/%d", &f.gop, &f.bframes); err != nil || f.gop < 1 {
			fmt.Fprintf(os.Stderr, "-films: %q is not like 10/2\n", s)
			os.Exit(2)
		}
		if err := b.measure(f); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

type bench struct {
	weir, dir             string
	players, over, starts []string
	runs                  int
	after                 float64
	out                   io.Writer
	verbose               bool
}

// result is what one run showed.
type result struct {
	first, delay, still time.Duration
	backward            int // how often an older picture followed a newer one
	complaints          []string
	err                 error
}

// measure prints the table of a film.
func (b *bench) measure(f film) error {
	file, err := f.file(b.dir)
	if err != nil {
		return err
	}
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Fprintf(b.out, "\n## %v\n\nLoad of the machine at the beginning: %.14s\n\n", f, load)
	fmt.Fprintln(b.out, "| player | over | start | first picture, ms | behind live, ms | longest still, ms | backward | complaints |")
	fmt.Fprintln(b.out, "|---|---|---|---|---|---|---|---|")
	var (
		l     *live
		began time.Time
	)
	ctx, cancel := context.WithCancel(context.Background())
	stop := func() {
		cancel()
		if l != nil {
			l.running.Wait()
		}
	}
	defer func() { stop() }()
	again := func() (err error) {
		stop()
		ctx, cancel = context.WithCancel(context.Background())
		began = time.Now()
		l, err = goLive(ctx, b.weir, file)
		return err
	}
	for _, p := range players {
		if len(b.players) > 0 && !slices.Contains(b.players, p.name) {
			continue
		}
		if p.missing != nil {
			if why := p.missing(); why != "" {
				fmt.Fprintf(os.Stderr, "%s is skipped: %s\n", p.name, why)
				continue
			}
		}
		for _, over := range p.over {
			if len(b.over) > 0 && !slices.Contains(b.over, over) {
				continue
			}
			got := map[string][]result{}
			for range b.runs {
				for _, start := range b.starts {
					if l == nil || time.Since(began) > filmLength*time.Second-startsWithin-firstWithin-watched-2*time.Duration(f.gop)*time.Second {
						if err := again(); err != nil {
							return err
						}
					}
					got[start] = append(got[start], b.run(ctx, l, f, p, over, start))
				}
			}
			for _, start := range b.starts {
				b.row(p.name, over, start, got[start])
			}
		}
	}
	return nil
}

func median(of []result, value func(r result) time.Duration) time.Duration {
	var list []time.Duration
	for _, r := range of {
		list = append(list, value(r))
	}
	slices.Sort(list)
	return list[len(list)/2]
}

func (b *bench) row(player, over, start string, all []result) {
	var fine []result
	said := map[string]bool{}
	backward := 0
	for _, r := range all {
		for _, c := range r.complaints {
			said[c] = true
		}
		if r.err != nil {
			said[r.err.Error()] = true
			continue
		}
		fine = append(fine, r)
		backward += r.backward
	}
	text := fmt.Sprint(len(said))
	for c := range said {
		text += "; " + strings.ReplaceAll(c[:min(len(c), 120)], "|", "/")
		break
	}
	if len(said) == 0 {
		text = "none"
	}
	if len(fine) == 0 {
		fmt.Fprintf(b.out, "| %s | %s | %s | – | – | – | – | %s |\n", player, over, start, text)
		return
	}
	fmt.Fprintf(b.out, "| %s | %s | %s | %d | %d | %d | %d | %s |\n", player, over, start,
		median(fine, func(r result) time.Duration { return r.first }).Milliseconds(),
		median(fine, func(r result) time.Duration { return r.delay }).Milliseconds(),
		median(fine, func(r result) time.Duration { return r.still }).Milliseconds(), backward, text)
}

// run has one player join.
func (b *bench) run(ctx context.Context, l *live, f film, p player, over, start string) (r result) {
	dir, err := os.MkdirTemp("", "start")
	if err != nil {
		return result{err: err}
	}
	defer os.RemoveAll(dir)
	to := l.http
	if over == "rtmp" {
		to = l.rtmp
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	moment := time.Duration(b.after * float64(time.Duration(f.gop)*time.Second))
	// Of a player that is held, what it asks for waits in the gate; any other is started at the moment.
	hold, ready, limit := func() {}, make(chan struct{}), firstWithin+watched
	if p.held {
		limit += startsWithin + time.Duration(f.gop)*time.Second
		hold = func() {
			select {
			case <-ready:
				l.untilInGOP(ctx, moment)
			case <-ctx.Done():
			}
		}
	} else {
		l.untilInGOP(ctx, moment)
	}
	defer time.AfterFunc(limit, cancel).Stop()
	g, err := newGate(ctx, to, hold)
	if err != nil {
		return result{err: err}
	}
	url := map[string]string{
		"rtmp": "rtmp://%s/%s?start=%s", "flv": "http://%s/%s.flv?start=%s", "ts": "http://%s/%s.ts?start=%s", "ws": "http://%s/%s.flv?start=%s",
	}[over]
	url = fmt.Sprintf(url, g.Addr(), streamPath, start)
	if p.name == "watch page" {
		url += "#" + over
	}
	var mu sync.Mutex
	var shots []shot
	seen := func(s shot) {
		mu.Lock()
		defer mu.Unlock()
		if len(shots) == 0 {
			time.AfterFunc(watched, cancel)
		}
		shots = append(shots, s)
	}
	complaints, err := p.run(ctx, visit{url: url, dir: dir, seen: seen, ready: sync.OnceFunc(func() { close(ready) })})
	cancel()
	g.running.Wait()
	mu.Lock()
	defer mu.Unlock()
	return b.judge(l, g, shots, complaints, err)
}

func (b *bench) judge(l *live, g *gate, shots []shot, complaints []string, err error) result {
	r := result{complaints: complaints, err: err}
	if err != nil {
		return r
	}
	if len(shots) == 0 {
		r.err = fmt.Errorf("nothing is shown")
		return r
	}
	select {
	case asked := <-g.asked:
		r.first = shots[0].at.Sub(asked)
	default:
		r.err = fmt.Errorf("it did not ask for the stream")
		return r
	}
	var delays []time.Duration
	for i, s := range shots {
		if i > 0 {
			if before := shots[i-1]; s.number < before.number || s.time < before.time {
				r.backward++
			}
		}
		d, ok := l.delay(s)
		if b.verbose {
			fmt.Fprintf(os.Stderr, "%v %d %v: %v %v\n", s.at.Sub(shots[0].at).Round(time.Millisecond), s.number, s.time, d.Round(time.Millisecond), ok)
		}
		if s.at.Sub(shots[0].at) < settled {
			continue
		}
		if ok {
			delays = append(delays, d)
		}
		r.still = max(r.still, s.at.Sub(shots[i-1].at))
	}
	if len(delays) == 0 {
		r.err = fmt.Errorf("nothing is shown for long")
		return r
	}
	slices.Sort(delays)
	r.delay = delays[len(delays)/2]
	return r
}
