package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	load "weir/bench"
)

// requestWindow measures what a server makes of requests for the HLS of its stream.
func (b *bench) requestWindow(ctx context.Context, s scenario, r *running, to string) (sample, error) {
	pub, err := b.publish(ctx, s, to)
	if err != nil {
		return nil, err
	}
	defer pub.stop()
	return b.ask(ctx, s, r, hlsURL(r))
}

func hlsURL(r *running) string { return "http://" + r.addrs["http"] + "/live/s0/index.m3u8" }

// ask asks a server for a playlist and its newest part, by our own load and by wrk.
func (b *bench) ask(ctx context.Context, s scenario, r *running, playlist string) (sample, error) {
	connections := strconv.Itoa(s.players)
	var got load.HLSReport
	if err := b.report(ctx, &got, "hls", "--json", "--connections", connections,
		"--warmup", s.warmup.String(), "--duration", s.window.String(), "--pid", strconv.Itoa(r.pid()), playlist); err != nil {
		return nil, err
	}
	f := sample{requests: got.PerSecond, perCPU: got.PerCPUSecond, latencyP50: got.Part.P50, latencyP99: got.Part.P99, latencyMax: got.Part.Max}
	for _, n := range got.Failed {
		f[notStarted] += float64(n)
	}
	ofServer(f, got.Server)
	delete(f, memoryPer)
	part, err := newest(ctx, got.URL)
	if err != nil {
		return nil, err
	}
	f[byWrk], err = b.wrk(ctx, s, connections, got.URL, part)
	return f, err
}

// wrkScript asks for two things in turn.
const wrkScript = `local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", n %% 2 == 1 and %q or %q)
end
`

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkErrors = regexp.MustCompile(`Non-2xx or 3xx responses|Socket errors`)
)

// wrk runs wrk and returns how many requests a second were answered.
func (b *bench) wrk(ctx context.Context, s scenario, connections, playlist string, part *url.URL) (float64, error) {
	u, err := url.Parse(playlist)
	if err != nil {
		return 0, err
	}
	script := filepath.Join(b.dir, "wrk.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, wrkScript, u.RequestURI(), part.RequestURI()), 0o600); err != nil {
		return 0, err
	}
	c, err := start(b.loadCPU, []string{"wrk", "-t1", "-c", connections, "-d", s.window.String(), "-s", script, u.Scheme + "://" + u.Host}, func(string) bool { return false })
	if err != nil {
		return 0, err
	}
	out, err := c.finish(ctx)
	if err != nil {
		return 0, err
	}
	m := wrkRate.FindSubmatch(out)
	if m == nil || wrkErrors.Match(out) {
		return 0, fmt.Errorf("wrk on %s: %s", playlist, out)
	}
	return strconv.ParseFloat(string(m[1]), 64)
}

// copyHLS has weir make a playlist and a part, and puts them where nginx serves them.
func (b *bench) copyHLS(ctx context.Context) error {
	s := one(1)
	for _, other := range scenarios() {
		if other.kind == requesting {
			s = other
		}
	}
	r, err := b.startServer(ctx, contender{name: weirHLS})
	if err != nil {
		return err
	}
	defer r.stop()
	to, err := r.url("rtmp")
	if err != nil {
		return err
	}
	pub, err := b.publish(ctx, s, to)
	if err != nil {
		return err
	}
	defer pub.stop()
	var got load.HLSReport // which finds the media playlist
	if err := b.report(ctx, &got, "hls", "--json", "--connections", "1", "--warmup", "0s", "--duration", "100ms", hlsURL(r)); err != nil {
		return err
	}
	playlist, err := fetch(ctx, got.URL)
	if err != nil {
		return err
	}
	part, err := newestOf(got.URL, playlist)
	if err != nil {
		return err
	}
	media, err := fetch(ctx, part.String())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.files, "index.m3u8"), playlist, 0o644); err != nil {
		return err
	}
	if err := os.Chmod(b.files, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.files, filepath.Base(part.Path)), media, 0o644)
}

var partURI = regexp.MustCompile(`#EXT-X-PART:.*URI="([^"]+)"`)

// newest returns where the newest part of a playlist is.
func newest(ctx context.Context, playlist string) (*url.URL, error) {
	body, err := fetch(ctx, playlist)
	if err != nil {
		return nil, err
	}
	return newestOf(playlist, body)
}

func newestOf(playlist string, body []byte) (*url.URL, error) {
	all := partURI.FindAllSubmatch(body, -1)
	if len(all) == 0 {
		return nil, errors.New(playlist + " lists no part")
	}
	u, err := url.Parse(playlist)
	if err != nil {
		return nil, err
	}
	return u.Parse(string(all[len(all)-1][1]))
}

// fetch returns what is at a URL.
func fetch(ctx context.Context, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, res.Status)
	}
	var b bytes.Buffer
	const most = 64 << 20
	_, err = io.Copy(&b, io.LimitReader(res.Body, most))
	return b.Bytes(), err
}
