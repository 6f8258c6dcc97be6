package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// PublishersConfig is what Publishers does.
type PublishersConfig struct {
	URL      string        `arg:"" help:"Where to publish (rtmp or rtmps). %d in it is the number of the stream, from 0."`
	Streams  int           `default:"1" help:"How many streams."`
	Bitrate  int           `default:"2500000" help:"Bits per second of each stream: 30 video frames and 43 audio frames a second."`
	Warmup   time.Duration `default:"1s" help:"Time between the last stream's beginning and the measurement."`
	Duration time.Duration `default:"0s" help:"How long to measure; 0 publishes until it is interrupted."`
	Pid      int           `help:"Process of the server, whose processor time and memory are to be reported (Linux)."`
	Insecure bool          `help:"Do not verify the server's certificate."`

	// Publishing is called once all streams are accepted; nil is not.
	Publishing func() `kong:"-" json:"-"`
}

// PublishersReport is what Publishers saw within the measurement.
type PublishersReport struct {
	URL      string         `json:"url"`
	Streams  int            `json:"streams"`
	Failed   map[string]int `json:"failed"` // streams that were refused or broke, by reason
	Seconds  float64        `json:"seconds"`
	Frames   int64          `json:"frames"`
	Bytes    int64          `json:"bytes"`
	Mbps     float64        `json:"mbps"`
	Lateness Spread         `json:"lateness"` // of frames against their time: this machine's and the server's slowness
	Server   *ServerReport  `json:"server,omitempty"`
}

const (
	setupTime    = 10 * time.Second
	maxStreams   = 10_000
	dialTogether = 32 // streams that are set up at a time
)

// Publishers publishes streams and measures what the server makes of them. It returns
// when ctx ends or the duration is over; that ctx ended while it measured without
// duration is no error. It fails if no stream was accepted.
func Publishers(ctx context.Context, c PublishersConfig) (PublishersReport, error) {
	p, err := newPublishing(c)
	if err != nil {
		return PublishersReport{}, err
	}
	w, err := newWatch(c.Pid)
	if err != nil {
		return PublishersReport{}, err
	}
	defer p.stop()
	if err := p.start(ctx); err != nil {
		return PublishersReport{}, err
	}
	if c.Publishing != nil {
		c.Publishing()
	}
	if err := wait(ctx, c.Warmup); err != nil {
		return PublishersReport{}, err
	}
	begun, bytes, frames := time.Now(), p.bytes.Load(), p.frames.Load()
	p.measuring.Store(true)
	if err := w.begin(); err != nil {
		return PublishersReport{}, err
	}
	if c.Duration > 0 {
		if err := wait(ctx, c.Duration); err != nil {
			return PublishersReport{}, err
		}
	} else {
		<-ctx.Done()
	}
	took := time.Since(begun)
	bytes, frames = p.bytes.Load()-bytes, p.frames.Load()-frames
	p.measuring.Store(false)
	if err := w.end(took, bytes, c.Streams); err != nil && c.Duration > 0 {
		return PublishersReport{}, err
	}
	p.stop()
	return PublishersReport{
		URL: c.URL, Streams: c.Streams, Failed: p.failed,
		Seconds: round(took.Seconds(), 3), Frames: frames, Bytes: bytes,
		Mbps:     round(float64(bytes)*8/1e6/took.Seconds(), 3),
		Lateness: p.lateness(),
		Server:   w.result(),
	}, nil
}

// publishing is a number of running publishers.
type publishing struct {
	conf      PublishersConfig
	load      load
	clock     clock
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	bytes     atomic.Int64
	frames    atomic.Int64
	measuring atomic.Bool

	mu     sync.Mutex // guards below
	failed map[string]int
	late   histogram
}

func newPublishing(c PublishersConfig) (*publishing, error) {
	if c.Streams < 1 || c.Streams > maxStreams {
		return nil, fmt.Errorf("%d streams: there must be from 1 to %d", c.Streams, maxStreams)
	}
	l, err := newLoad(c.Bitrate)
	if err != nil {
		return nil, err
	}
	t, err := parseTarget(c.URL, 0)
	if err != nil {
		return nil, err
	}
	if t.scheme != "rtmp" {
		return nil, fmt.Errorf("%w %q: publishing is by rtmp or rtmps", errBadURL, c.URL)
	}
	return &publishing{conf: c, load: l, clock: newClock(), failed: map[string]int{}, cancel: func() {}}, nil
}

// start sets all streams up. They go on until stop.
func (p *publishing) start(ctx context.Context) error {
	running, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	setup, done := context.WithTimeout(ctx, setupTime)
	defer done()
	defer context.AfterFunc(ctx, cancel)()
	turns := make(chan struct{}, dialTogether)
	var answered sync.WaitGroup
	var first atomic.Pointer[error]
	for i := range p.conf.Streams {
		answered.Add(1)
		p.wg.Go(func() {
			turns <- struct{}{}
			c, err := p.open(setup, uint32(i))
			<-turns
			if err != nil {
				first.CompareAndSwap(nil, &err)
				p.fail(err)
				answered.Done()
				return
			}
			answered.Done()
			if err := c.publish(running); err != nil && running.Err() == nil {
				p.fail(err)
			}
		})
	}
	answered.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, k := range p.failed {
		n += k
	}
	if n >= p.conf.Streams {
		if err := first.Load(); err != nil {
			return fmt.Errorf("publishing to %s: %w", p.conf.URL, *err)
		}
	}
	return nil
}

// stop ends all streams and waits for them.
func (p *publishing) stop() {
	p.cancel()
	p.wg.Wait()
}

func (p *publishing) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed[reason(err)]++
}

func (p *publishing) lateness() Spread {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late.spread()
}

// open connects a stream and waits until it may publish.
func (p *publishing) open(ctx context.Context, stream uint32) (*publisher, error) {
	t, err := parseTarget(p.conf.URL, int(stream))
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	if t.tls {
		tc := tls.Client(nc, tlsConfig(t, p.conf.Insecure))
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return nil, err
		}
		nc = tc
	}
	c := &publisher{all: p, nc: nc, media: newMediaWriter(p.load, rand.Uint32(), stream)}
	deadline, _ := ctx.Deadline()
	_ = nc.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Now()) })()
	if err := c.setUp(t); err != nil {
		_ = nc.Close()
		return nil, err
	}
	return c, nil
}

// tlsConfig is how a client speaks TLS with a target.
func tlsConfig(t *target, insecure bool) *tls.Config {
	host, _, err := net.SplitHostPort(t.addr)
	if err != nil {
		host = t.host
	}
	return &tls.Config{ServerName: host, InsecureSkipVerify: insecure}
}

// errNoAnswer: the server said neither yes nor no.
var errNoAnswer = errors.New("no answer to publish")
