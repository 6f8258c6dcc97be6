package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HLSConfig is what HLS does.
type HLSConfig struct {
	URL         string        `arg:"" help:"The playlist (http). Of a multivariant playlist the first media playlist is taken."`
	Connections int           `default:"50" help:"How many connections, each with one request under way at a time."`
	Warmup      time.Duration `default:"1s" help:"Time between the first answers and the measurement."`
	Duration    time.Duration `default:"5s" help:"How long to measure."`
	Pid         int           `help:"Process of the server, whose processor time and memory are to be reported (Linux)."`
}

// HLSReport is what HLS saw within the measurement. Each connection asks in turn for the playlist
// and for the newest part, or segment, that it lists.
type HLSReport struct {
	URL         string         `json:"url"` // of the media playlist
	Connections int            `json:"connections"`
	Failed      map[string]int `json:"failed"` // connections that ended, by reason
	Seconds     float64        `json:"seconds"`
	Requests    int64          `json:"requests"`
	PerSecond   float64        `json:"requests_per_second"`
	// PerCPUSecond is requests for each second of the server's processor time; 0 if the
	// configuration named no process.
	PerCPUSecond float64       `json:"requests_per_cpu_second"`
	Bytes        int64         `json:"bytes"` // of bodies
	PartBytes    float64       `json:"part_bytes"`
	Playlist     Spread        `json:"playlist"` // from sending the request to reading the answer whole
	Part         Spread        `json:"part"`
	Server       *ServerReport `json:"server,omitempty"`
}

const (
	maxConnections = 10_000
	maxPlaylist    = 1 << 20
	maxMedia       = 64 << 20 // of a part or segment
	hlsPatience    = 10 * time.Second
)

// HLS asks for a playlist and what is newest in it, as fast as it is answered. It fails
// if a configuration value is out of bounds, if ctx ends, or if nothing was answered.
func HLS(ctx context.Context, c HLSConfig) (HLSReport, error) {
	if c.Connections < 1 || c.Connections > maxConnections {
		return HLSReport{}, fmt.Errorf("%d connections: there must be from 1 to %d", c.Connections, maxConnections)
	}
	if c.Duration <= 0 || c.Warmup < 0 {
		return HLSReport{}, errors.New("the durations must be positive")
	}
	w, err := newWatch(c.Pid)
	if err != nil {
		return HLSReport{}, err
	}
	media, err := mediaPlaylist(ctx, c.URL)
	if err != nil {
		return HLSReport{}, err
	}
	a := &askers{playlist: media, failed: map[string]int{}}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	for range c.Connections {
		a.wg.Go(func() { a.ask(running) })
	}
	defer a.wg.Wait()
	defer cancel()
	if err := wait(ctx, c.Warmup); err != nil {
		return HLSReport{}, err
	}
	if err := w.begin(); err != nil {
		return HLSReport{}, err
	}
	begun, requests, parts, bytes, partBytes := time.Now(), a.requests.Load(), a.parts.Load(), a.bytes.Load(), a.partBytes.Load()
	a.measuring.Store(true)
	if err := wait(ctx, c.Duration); err != nil {
		return HLSReport{}, err
	}
	a.measuring.Store(false)
	took := time.Since(begun)
	requests, parts, bytes, partBytes = a.requests.Load()-requests, a.parts.Load()-parts, a.bytes.Load()-bytes, a.partBytes.Load()-partBytes
	if err := w.end(took, bytes, c.Connections); err != nil {
		return HLSReport{}, err
	}
	cancel()
	a.wg.Wait()
	r := HLSReport{
		URL: media.String(), Connections: c.Connections, Failed: a.failed, Seconds: round(took.Seconds(), 3),
		Requests: requests, PerSecond: round(float64(requests)/took.Seconds(), 1), Bytes: bytes,
		Playlist: a.playlistTime.spread(), Part: a.partTime.spread(), Server: w.result(),
	}
	if parts > 0 {
		r.PartBytes = round(float64(partBytes)/float64(parts), 0)
	}
	if r.Server != nil && r.Server.CPUSeconds > 0 {
		r.PerCPUSecond = round(float64(requests)/r.Server.CPUSeconds, 1)
	}
	if requests == 0 {
		return r, fmt.Errorf("nothing was answered by %s: %s", c.URL, mostFrequent(a.failed))
	}
	return r, nil
}

// mediaPlaylist follows a multivariant playlist to its first media playlist.
func mediaPlaylist(ctx context.Context, rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("%w %q: it must be http://HOST/…", errBadURL, rawURL)
	}
	for range 2 {
		c, err := dialAsker(ctx, u)
		if err != nil {
			return nil, err
		}
		body, err := c.get(requestFor(u), maxPlaylist)
		c.close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", u, err)
		}
		if !bytes.Contains(body, []byte("#EXT-X-STREAM-INF")) {
			return u, nil
		}
		next, ok := lastURI(body)
		if !ok {
			break
		}
		if u, err = u.Parse(next); err != nil {
			return nil, fmt.Errorf("%w in the playlist: %w", errBadURL, err)
		}
	}
	return nil, fmt.Errorf("%s leads to no media playlist", rawURL)
}

// lastURI returns the URI of the newest part, or if there are none the last line that is a URI.
func lastURI(playlist []byte) (string, bool) {
	part, last := "", ""
	for line := range bytes.Lines(playlist) {
		line = bytes.TrimSpace(line)
		switch {
		case len(line) == 0:
		case bytes.HasPrefix(line, []byte("#EXT-X-PART:")):
			if _, uri, ok := bytes.Cut(line, []byte(`URI="`)); ok {
				uri, _, _ = bytes.Cut(uri, []byte(`"`))
				part = string(uri)
			}
		case line[0] != '#':
			last = string(line)
		}
	}
	if part != "" {
		last = part
	}
	return last, last != ""
}

// askers are the connections of a measurement.
type askers struct {
	playlist  *url.URL
	wg        sync.WaitGroup
	measuring atomic.Bool
	requests  atomic.Int64
	parts     atomic.Int64
	bytes     atomic.Int64
	partBytes atomic.Int64

	mu           sync.Mutex // guards below
	failed       map[string]int
	playlistTime histogram
	partTime     histogram
}

// ask asks until ctx ends.
func (a *askers) ask(ctx context.Context) {
	var playlists, parts histogram
	err := a.asking(ctx, &playlists, &parts)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.playlistTime.merge(&playlists)
	a.partTime.merge(&parts)
	if ctx.Err() == nil {
		a.failed[reason(err)]++
	}
}

func (a *askers) asking(ctx context.Context, playlists, parts *histogram) error {
	c, err := dialAsker(ctx, a.playlist)
	if err != nil {
		return err
	}
	defer c.close()
	request := requestFor(a.playlist)
	var seen, partRequest []byte
	// one asks once and counts it.
	one := func(request []byte, most int, h *histogram, isPart bool) ([]byte, error) {
		begun := time.Now()
		body, err := c.get(request, most)
		if err != nil {
			return nil, err
		}
		a.requests.Add(1)
		a.bytes.Add(int64(len(body)))
		if isPart {
			a.parts.Add(1)
			a.partBytes.Add(int64(len(body)))
		}
		if a.measuring.Load() {
			h.add(int64(time.Since(begun)))
		}
		return body, nil
	}
	for {
		body, err := one(request, maxPlaylist, playlists, false)
		if err != nil {
			return err
		}
		if !bytes.Equal(body, seen) {
			seen = append(seen[:0], body...)
			uri, ok := lastURI(seen)
			if !ok {
				return &refusal{"a playlist of nothing"}
			}
			u, err := a.playlist.Parse(uri)
			if err != nil {
				return err
			}
			partRequest = requestFor(u)
		}
		if _, err := one(partRequest, maxMedia, parts, true); err != nil {
			return err
		}
	}
}

// requestFor is a request for u, whole.
func requestFor(u *url.URL) []byte {
	return []byte("GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nUser-Agent: weir-bench\r\n\r\n")
}

// asker is a connection on which one request at a time is answered.
type asker struct {
	nc   net.Conn
	in   *bufio.Reader
	body []byte // of the last answer
	stop func() bool
}

// dialAsker connects to a URL's host. The connection breaks when ctx ends.
func dialAsker(ctx context.Context, u *url.URL) (*asker, error) {
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "80")
	}
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &asker{nc: nc, in: bufio.NewReaderSize(nc, 4<<10)}
	c.stop = context.AfterFunc(ctx, func() { _ = nc.Close() })
	return c, nil
}

func (c *asker) close() {
	c.stop()
	_ = c.nc.Close()
}

// get returns the body of the answer, of at most so many bytes. It is good until the next.
func (c *asker) get(request []byte, most int) ([]byte, error) {
	if err := c.nc.SetDeadline(time.Now().Add(hlsPatience)); err != nil {
		return nil, err
	}
	if _, err := c.nc.Write(request); err != nil {
		return nil, err
	}
	length, chunked, err := c.head()
	if err != nil {
		return nil, err
	}
	if chunked {
		return c.chunks(most)
	}
	if length < 0 || length > most {
		return nil, fmt.Errorf("%w: an answer of %d bytes", errFraming, length)
	}
	return c.read(c.body[:0], length)
}

// read appends n bytes to b, which becomes the body.
func (c *asker) read(b []byte, n int) ([]byte, error) {
	at := len(b)
	if cap(b)-at < n {
		b = append(make([]byte, 0, at+n), b...)
	}
	b = b[:at+n]
	_, err := io.ReadFull(c.in, b[at:])
	c.body = b
	return b, err
}

// head reads the head of an answer.
func (c *asker) head() (length int, chunked bool, err error) {
	length = -1
	for i, size := 0, 0; ; i++ {
		line, err := c.in.ReadSlice('\n')
		if size += len(line); err != nil || size > maxHead {
			return 0, false, errors.Join(err, errFraming)
		}
		line = bytes.TrimSpace(line)
		if i == 0 {
			if _, status, _ := bytes.Cut(line, []byte(" ")); !bytes.HasPrefix(status, []byte("200")) {
				return 0, false, &refusal{"http " + string(status)}
			}
			continue
		}
		if len(line) == 0 {
			return length, chunked, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, false, fmt.Errorf("%w: %w", errFraming, err)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = strings.Contains(strings.ToLower(string(value)), "chunked")
		}
	}
}

// chunks reads a body in chunks (RFC 9112 §7.1).
func (c *asker) chunks(most int) ([]byte, error) {
	b := c.body[:0]
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil || len(b)+int(size) > most {
			return nil, fmt.Errorf("%w: a chunk of %q", errFraming, line)
		}
		if b, err = c.read(b, int(size)); err != nil {
			return nil, err
		}
		if _, err := c.in.Discard(2); err != nil {
			return nil, err
		}
		if size == 0 {
			return b, nil
		}
	}
}

// WriteText writes the report for people to read.
func (r HLSReport) WriteText(w io.Writer) error {
	var l lines
	l.add("url", "%s (%d connections)", r.URL, r.Connections)
	l.add("answered", "%d requests in %.1f s, %.0f a second, %.1f MB; parts of %.1f KB", r.Requests, r.Seconds, r.PerSecond, float64(r.Bytes)/1e6, r.PartBytes/1e3)
	l.failures(r.Failed)
	l.add("playlists", "%s", r.Playlist.text())
	l.add("parts", "%s", r.Part.text())
	if r.PerCPUSecond > 0 {
		l.add("  for a second", "%.0f requests for each second of the server's CPU", r.PerCPUSecond)
	}
	l.server(r.Server, "connection")
	return l.writeTo(w)
}
