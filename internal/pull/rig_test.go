package pull

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/fetch"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// behaviour is what an origin does.
type behaviour int

const (
	sends   behaviour = iota
	refuses           // says after 100 ms that nobody publishes the stream
	hangs             // does not answer
	silent            // answers, and sends nothing
	ends              // ends the stream properly
	breaks            // closes its connections
	once              // sends one frame, and then nothing
	late              // answers after a minute, whoever has given up
)

// frameTime is the time between two frames of an origin.
const frameTime = 20 * time.Millisecond

// origin is a server with one stream, of sound.
type origin struct {
	mu     sync.Mutex // guards below
	does   behaviour
	opened int
	open   int // of them, those that are not closed
	hops   []string
	header http.Header // of the newest connection
	trust  bool        // it accepts every certificate
	let    error       // why it may not be connected to
	place  *fetch.Place
}

func (o *origin) become(b behaviour) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.does = b
}

func (o *origin) now() behaviour {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.does
}

func (o *origin) counts() (opened, open int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.opened, o.open
}

var errNobody = session.Because(session.NotFound, errors.New("nobody publishes it"))

// connect opens the origin's stream.
func (o *origin) connect(ctx context.Context, a fetch.Access) (fetch.Source, error) {
	o.mu.Lock()
	o.opened++
	o.hops, o.header, o.trust = a.Hops, a.Header, a.Insecure
	o.place = a.Place
	o.let = a.Control("tcp", "192.0.2.7:1935", nil)
	o.mu.Unlock()
	switch o.now() {
	case refuses:
		time.Sleep(100 * time.Millisecond)
		return nil, errNobody
	case hangs:
		<-ctx.Done()
		return nil, ctx.Err()
	case breaks:
		return nil, io.EOF
	case late:
		time.Sleep(time.Minute)
	}
	o.mu.Lock()
	o.open++
	o.mu.Unlock()
	return &feedOf{o: o, silence: a.Timeout, closed: make(chan struct{})}, nil
}

// feedOf is a connection to an origin.
type feedOf struct {
	o       *origin
	silence time.Duration
	closed  chan struct{}
	once    sync.Once
	at      time.Duration
}

// ReadFrame implements fetch.Source.
func (f *feedOf) ReadFrame() (*av.Frame, error) {
	for quiet := time.Duration(0); ; quiet += frameTime {
		t := time.NewTimer(frameTime)
		select {
		case <-f.closed:
			t.Stop()
			return nil, errors.New("closed")
		case <-t.C:
		}
		switch f.o.now() {
		case ends:
			return nil, io.EOF
		case breaks:
			return nil, fetch.ErrLost
		case sends, once:
			if f.at > 0 && f.o.now() == once {
				break
			}
			f.at += frameTime
			return &av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: f.at, PTS: f.at, Payload: []byte{0xff, 0xfb, 0x90, 0}}, nil
		}
		if quiet >= f.silence {
			return nil, session.Becausef(session.Idle, "no frame has come for %v", f.silence)
		}
	}
}

func (f *feedOf) Live() bool                 { return true }
func (f *feedOf) Condition() fetch.Condition { return fetch.Condition{} }

// Close implements fetch.Source.
func (f *feedOf) Close() error {
	f.once.Do(func() {
		close(f.closed)
		f.o.mu.Lock()
		f.o.open--
		f.o.mu.Unlock()
	})
	return nil
}

// rig is a manager with origins "rtmp://a/…", "rtmp://b/…" and so on.
type rig struct {
	*Manager
	t       *testing.T
	hub     *stream.Hub
	door    *peer.Door
	origins map[byte]*origin
	log     *bytes.Buffer

	mu     sync.Mutex // guards below
	conf   Config
	edge   EdgeConfig
	always []string
	told   []Status
	fails  map[session.Reason]int
	urls   []string
}

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) Dropped(string, string)         {}
func (noMetrics) HandshakeFailed(string, string) {}
func (noMetrics) Rejected(string)                {}

// newRig makes one whose streams all have these sources, within a synctest bubble.
func newRig(t *testing.T, sources ...string) *rig {
	r := &rig{t: t, origins: map[byte]*origin{'a': {}, 'b': {}, 'c': {}}, log: &bytes.Buffer{}, conf: DefaultConfig(), edge: DefaultEdge(), fails: map[session.Reason]int{}}
	r.conf.Sources = sources
	log := slog.New(slog.NewTextHandler(r.log, nil))
	r.hub = stream.New(stream.Options{})
	r.door = &peer.Door{
		Name: "pull", Log: log, Hub: r.hub, Sessions: session.New(session.Limits{}, session.Observer{}), Metrics: noMetrics{},
		Admit:    func(context.Context, *admit.Request) (session.Grant, error) { return session.Grant{}, nil },
		Reserved: new(peer.Reserved), Server: "here",
	}
	r.begin("")
	t.Cleanup(func() {
		r.Close()
		r.hub.Close(nil)
		for name, o := range r.origins {
			if _, open := o.counts(); open != 0 {
				t.Errorf("%d connections to %c are open at the end", open, name)
			}
		}
	})
	return r
}

// begin makes the manager, which keeps what the API has fetched in a folder.
func (r *rig) begin(folder string) {
	r.t.Helper()
	locked := func(f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		f()
	}
	m, err := NewManager(Options{
		Log: slog.New(slog.NewTextHandler(r.log, nil)), State: folder, Door: r.door, Hub: r.hub, Server: "here",
		Config: func(string) *Config {
			r.mu.Lock()
			defer r.mu.Unlock()
			c := r.conf
			return &c
		},
		Edge:    func() *EdgeConfig { return &r.edge },
		Always:  func() []string { return r.always },
		Bitrate: func() int64 { return 0 },
		Changed: func(s State) { locked(func() { r.told = append(r.told, s.Status) }) },
		Failed:  func(why session.Reason) { locked(func() { r.fails[why]++ }) },
		Open: func(ctx context.Context, url string, a fetch.Access) (fetch.Source, error) {
			locked(func() { r.urls = append(r.urls, url) })
			return r.origins[url[len("rtmp://")]].connect(ctx, a)
		},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Manager = m
}

// player is one that waits for a stream or plays it.
type player struct {
	r *rig
	s *stream.Stream
}

// play lets a player in.
func (r *rig) play(path string, hops ...string) (*player, error) {
	s, err := r.hub.Play(path)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.Want(&admit.Request{Role: session.Play, Path: path, RawQuery: "key=k y", Hops: hops}, session.Grant{}); err != nil {
		s.Leave()
		return nil, err
	}
	return &player{r, s}, nil
}

// mustPlay is play that succeeds.
func (r *rig) mustPlay(path string) *player {
	r.t.Helper()
	p, err := r.play(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

// within waits until a condition holds, and returns how long it took.
func (r *rig) within(most time.Duration, what string, holds func() bool) time.Duration {
	r.t.Helper()
	begin := time.Now()
	for !holds() {
		if time.Since(begin) > most {
			r.t.Fatalf("not within %v: %s; %+v\n%s", most, what, r.List(), r.log)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
	}
	return time.Since(begin)
}

// state is that of one pull.
func (r *rig) state(path string) State {
	for _, s := range r.List() {
		if s.Path == path {
			return s
		}
	}
	return State{}
}

// lives waits until a stream is fetched from an origin.
func (r *rig) lives(most time.Duration, path string, from byte) time.Duration {
	r.t.Helper()
	return r.within(most, "live from "+string(from), func() bool {
		s := r.state(path)
		return s.Status == Live && len(s.Source) > 7 && s.Source[7] == from
	})
}

// statuses returns what was told so far.
func (r *rig) statuses() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Status{}, r.told...)
}

// over reports whether the player's stream has ended.
func (p *player) over() bool {
	select {
	case <-p.s.Over():
		return true
	default:
		return false
	}
}
