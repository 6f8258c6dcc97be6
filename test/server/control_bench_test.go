package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/av"
	"weir/internal/admit"
	"weir/internal/demo"
	"weir/internal/hook/deliver"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// p99 is the 99th percentile in ms.
func p99(took []time.Duration) float64 {
	slices.Sort(took)
	return ms(took[len(took)*99/100])
}

// BenchmarkPlayersAskedAbout has a thousand players come at once, whom a decision hook that takes 50 ms is asked about: how many calls
// are under way at most, how often it is asked about one credential, and when the last player is sent media. With each player's
// own credential, and with a hundred that ten players share each, who come from one address.
func BenchmarkPlayersAskedAbout(b *testing.B) {
	const players = 1000
	for _, credentials := range []int{players, players / 10} {
		b.Run(fmt.Sprintf("credentials=%d", credentials), func(b *testing.B) {
			var mu sync.Mutex
			asked := map[string]int{}
			var now, most atomic.Int64
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for n, m := now.Add(1), most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				defer now.Add(-1)
				var q question
				_ = json.NewDecoder(r.Body).Decode(&q)
				mu.Lock()
				asked[fmt.Sprint(q.Stream.Query["token"])]++
				mu.Unlock()
				time.Sleep(50 * time.Millisecond)
				_, _ = io.WriteString(w, `{"cache":"30s"}`)
			}))
			defer h.Close()
			var last, middle []float64
			for round := 0; b.Loop(); round++ {
				b.StopTimer()
				r := startQuietly(b, func(c *server.Config) {
					s := server.DefaultStream()
					s.Play.Auth = []string{"hook"}
					c.Auth.Hook.URL = h.URL
					c.Streams = []server.StreamConfig{s}
				})
				stop := r.demo("live/a")
				b.StartTimer()
				took := r.all(b, players, func(i int) string { return fmt.Sprintf("live/a.flv?token=%d-%d", round, i%credentials) })
				b.StopTimer()
				slices.Sort(took)
				last, middle = append(last, ms(took[players-1])), append(middle, ms(took[players/2]))
				stop()
				_ = r.stop()
				b.StartTimer()
			}
			each := 0
			for _, n := range asked {
				each = max(each, n)
			}
			slices.Sort(last)
			slices.Sort(middle)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(last[len(last)/2], "ms/last")
			b.ReportMetric(middle[len(middle)/2], "ms/middle")
			b.ReportMetric(float64(most.Load()), "calls-at-once")
			b.ReportMetric(float64(each), "calls/credential")
		})
	}
}

// startQuietly is start without the log.
func startQuietly(b *testing.B, change func(*server.Config), opts ...func(*server.Options)) *running {
	b.Helper()
	return start(b, change, append(opts, func(o *server.Options) { o.Log = slog.New(slog.DiscardHandler) })...)
}

// demo publishes the test stream, and waits until it is there.
func (r *running) demo(path string) (stop func()) {
	r.t.Helper()
	p, err := r.InProcess().PublishLocal(r.t.Context(), path)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = demo.Publish(ctx, p.Write) })
	r.arrived(path, 5)
	return func() { cancel(); wg.Wait(); p.Close() }
}

// all has n players come at once over HTTP, and returns how long each waited for its first kilobyte of media.
func (r *running) all(b *testing.B, n int, path func(i int) string) []time.Duration {
	took := make([]time.Duration, n)
	var here, done sync.WaitGroup
	begin := make(chan struct{})
	here.Add(n)
	addr := r.Addr("http").String()
	conns := make([]net.Conn, n)
	for i := range n {
		c, err := new(net.Dialer).DialContext(b.Context(), "tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
		done.Go(func() {
			here.Done()
			<-begin
			at := time.Now()
			_, err := fmt.Fprintf(c, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", path(i))
			if err == nil {
				_ = c.SetReadDeadline(at.Add(20 * time.Second))
				_, err = io.ReadFull(c, make([]byte, 2000)) // an answer that refuses is shorter
			}
			if err != nil {
				b.Error(i, err)
			}
			took[i] = time.Since(at)
		})
	}
	here.Wait()
	close(begin)
	done.Wait()
	for _, c := range conns {
		_ = c.Close()
	}
	return took
}

// BenchmarkBesideAHangingHook: how late a hook is told of an event and how long a frame takes to a player, alone and beside a hook
// that never answers.
func BenchmarkBesideAHangingHook(b *testing.B) {
	hang := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer dead.Close()
	defer close(hang)
	for name, hooks := range map[string][]string{"alone": nil, "beside": {dead.URL}} {
		b.Run(name, func(b *testing.B) {
			var mu sync.Mutex
			var late []time.Duration
			good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var e struct{ Time time.Time }
				if json.NewDecoder(r.Body).Decode(&e) == nil {
					mu.Lock()
					late = append(late, time.Since(e.Time))
					mu.Unlock()
				}
				w.WriteHeader(http.StatusNoContent)
			}))
			defer good.Close()
			r := startQuietly(b, func(c *server.Config) {
				for _, url := range append(slices.Clone(hooks), good.URL) {
					h := deliver.DefaultConfig()
					h.URL, h.Name = url, fmt.Sprint("h", len(c.Hooks))
					c.Hooks = append(c.Hooks, h)
				}
			})
			p := r.mustPublish("live/a")
			p.must(p.video(0, videoHeader))
			p.must(p.video(0, videoFrame(true, 0, 1000)))
			play := r.mustPlay("live/a")
			next(b, play, rtmp.TypeVideo)
			var frames []time.Duration
			n := 0
			for b.Loop() { // each is an event and a frame
				n++
				quick, err := r.InProcess().PublishLocal(b.Context(), fmt.Sprint("live/q", n%20))
				if err != nil {
					b.Fatal(err)
				}
				_ = quick.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}})
				quick.Close()
				at := time.Now()
				p.must(p.video(uint32(n*20), videoFrame(n%50 == 0, uint32(n), 1000)))
				for got := uint32(0); got != uint32(n); {
					if m := next(b, play, rtmp.TypeVideo); m.Payload[1] != 0 {
						got, _ = numberOf(m.Payload)
					}
				}
				frames = append(frames, time.Since(at))
				time.Sleep(2 * time.Millisecond)
			}
			r.until("the events have come", func() bool { mu.Lock(); defer mu.Unlock(); return len(late) >= 2*n })
			mu.Lock()
			defer mu.Unlock()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(p99(late), "ms-p99/event")
			b.ReportMetric(p99(frames), "ms-p99/frame")
		})
	}
}

// BenchmarkLoginsBesideGuesses: what somebody with the right key waits for on the wire, alone and while another address gives 100 wrong
// keys a second.
func BenchmarkLoginsBesideGuesses(b *testing.B) {
	all := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	for name, guesses := range map[string]bool{"alone": false, "beside": true} {
		b.Run(name, func(b *testing.B) {
			r := startQuietly(b, func(c *server.Config) {
				s := server.DefaultStream()
				s.Publish.Keys = []admit.Key{{Key: secret}}
				c.Streams = []server.StreamConfig{s}
				c.RTMP.ProxyProtocol = all
			})
			login := func(from, key string) error {
				c, err := rtmp.Dial(b.Context(), r.url("live/"+from+"?key="+key), rtmp.DialOptions{Dial: balanced(1, from)})
				if err != nil {
					return err
				}
				defer c.Close()
				_, err = c.Publish(b.Context())
				return err
			}
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			if guesses {
				wg.Go(func() {
					for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-tick.C {
						wg.Go(func() {
							if login("192.0.2.1", "guess") == nil {
								b.Error("a wrong key was let in")
							}
						})
					}
				})
			}
			var took []time.Duration
			for b.Loop() {
				at := time.Now()
				if err := login("192.0.2.2", secret); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(at))
				time.Sleep(2 * time.Millisecond)
			}
			cancel()
			wg.Wait()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(p99(took), "ms-p99/login")
		})
	}
}

// TestFrameUnderAGrant: no bound of a grant costs an allocation for a frame.
func TestFrameUnderAGrant(t *testing.T) {
	r := start(t, nil, func(o *server.Options) {
		o.Admit = func(context.Context, *admit.Request) (*session.Terms, error) { return &everyBound, nil }
	})
	p, err := r.InProcess().PublishLocal(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}
	if n := testing.AllocsPerRun(10_000, func() { // what the stream allocates for thousands of frames together is none for one
		f.DTS += 26 * time.Millisecond
		f.PTS = f.DTS
		if err := p.Write(&f); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

// everyBound is a grant with every bound there is.
var everyBound = session.Terms{
	By: "hook", KeyID: "k", User: "u", Labels: map[string]string{"plan": "pro"}, Until: time.Now().Add(time.Hour),
	Recheck: time.Hour, Duration: time.Hour, Bitrate: 1 << 40, Players: 10,
}

// BenchmarkFrameUnderAGrant: what a frame of a publisher costs that everybody may be, and of one that a grant with every bound holds.
func BenchmarkFrameUnderAGrant(b *testing.B) {
	for name, terms := range map[string]*session.Terms{
		"open": nil, "grant": &everyBound,
	} {
		b.Run(name, func(b *testing.B) {
			r := startQuietly(b, nil, func(o *server.Options) {
				o.Admit = func(context.Context, *admit.Request) (*session.Terms, error) { return terms, nil }
			})
			p, err := r.InProcess().PublishLocal(b.Context(), "live/a")
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			f := av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}
			b.ReportAllocs()
			for b.Loop() {
				f.DTS += 26 * time.Millisecond
				f.PTS = f.DTS
				if err := p.Write(&f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
