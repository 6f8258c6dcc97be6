package decide

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestWaveOfPlayers: 1,000 players at once and a service that takes 50 ms. At most 64 questions are under way, and
// one for each credential.
func TestWaveOfPlayers(t *testing.T) {
	var now, most atomic.Int32
	var mu sync.Mutex
	asked := map[string]int{}
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		var q struct {
			Stream struct{ Query map[string][]string }
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		mu.Lock()
		asked[q.Stream.Query["token"][0]]++
		mu.Unlock()
		<-time.After(50 * time.Millisecond)
	})
	for _, credentials := range []int{1000, 100} {
		c := newRig(t, url, nil)
		clear(asked)
		most.Store(0)
		var wg sync.WaitGroup
		began := time.Now()
		for i := range 1000 {
			wg.Go(func() {
				if terms, err := c.Decide(t.Context(), player(fmt.Sprint("token=", i%credentials))); err != nil || terms == nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		t.Logf("1,000 players with %d credentials: all let in after %v, %d questions at once", credentials, took.Round(time.Millisecond), most.Load())
		if most.Load() > 64 || len(asked) != credentials || took > 10*time.Second {
			t.Errorf("%d at once, %d credentials, %v", most.Load(), len(asked), took)
		}
		for token, n := range asked {
			if n != 1 {
				t.Errorf("%s was asked about %d times", token, n)
			}
		}
	}
}

// TestO14_HangingHook: a service that never answers delays no other one.
func TestO14_HangingHook(t *testing.T) {
	hang := make(chan struct{})
	slow := newRig(t, serve(t, func(http.ResponseWriter, *http.Request) { <-hang }), nil)
	defer close(hang)
	quick := newRig(t, serve(t, func(http.ResponseWriter, *http.Request) {}), nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range 500 {
		wg.Go(func() { _, _ = slow.Decide(ctx, player(fmt.Sprint("token=", i))) })
	}
	times := make([]time.Duration, 0, 500)
	for i := range cap(times) {
		began := time.Now()
		if _, err := quick.Decide(t.Context(), player(fmt.Sprint("token=", i))); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	p99 := percentile(times, 99)
	t.Logf("beside a hook that hangs: p50 %v, p99 %v", percentile(times, 50), p99)
	if p99 > 50*time.Millisecond {
		t.Errorf("p99 is %v", p99)
	}
}

// hanging is a service that never answers questions which hold a text, and answers the others at once. full is closed once most
// of the former are under way, which busy counts.
func hanging(t *testing.T, text string, most int32) (url string, busy *atomic.Int32, full chan struct{}) {
	t.Helper()
	hang := make(chan struct{})
	busy, full = new(atomic.Int32), make(chan struct{})
	url = serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(b), text) {
			return
		}
		if busy.Add(1) == most {
			close(full)
		}
		<-hang
	})
	t.Cleanup(func() { close(hang) })
	return url, busy, full
}

// crowded has n players at addresses wait for answers until the test ends.
func crowded(t *testing.T, c *rig, n int, from func(i int) netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range n {
		r := player(fmt.Sprint("token=", i))
		r.Remote = from(i)
		wg.Go(func() { _, _ = c.Decide(ctx, r) })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// TestPublishersGoFirst: players that fill all turns of a slow service keep no publisher waiting.
func TestPublishersGoFirst(t *testing.T) {
	url, busy, full := hanging(t, `"action":"play"`, 63)
	c := newRig(t, url, nil)
	crowded(t, c, 200, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 1)
	})
	<-full
	if _, err := c.Decide(t.Context(), publisher("token=a")); err != nil {
		t.Error(err)
	}
	if n := busy.Load(); n != 63 {
		t.Errorf("%d questions about players are under way", n)
	}
}

// TestOneAddressLeavesPlaces: the players of one address are asked about with half of the questions that may be under way.
func TestOneAddressLeavesPlaces(t *testing.T) {
	url, busy, full := hanging(t, "203.0.113.7", 32)
	c := newRig(t, url, nil)
	crowded(t, c, 100, func(int) netip.AddrPort { return netip.MustParseAddrPort("203.0.113.7:1") })
	<-full
	other := player("token=other")
	other.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	if _, err := c.Decide(t.Context(), other); err != nil {
		t.Error("a player at another address:", err)
	}
	if n := busy.Load(); n != 32 {
		t.Errorf("%d questions about one address are under way", n)
	}
}

// TestWaitIsNotTheServicesFault: a question that waited for its turn has the whole time for its answer, and so does not open
// the breaker.
func TestWaitIsNotTheServicesFault(t *testing.T) {
	const timeout = 2 * time.Second
	release := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), "early") {
			<-release
			return
		}
		time.Sleep(timeout * 6 / 10) // less than the service has, more than is left of it for who waited
	})
	c := newRig(t, url, func(c *Config) { c.Timeout = timeout })
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() { _, _ = c.Decide(t.Context(), player(fmt.Sprint("token=early", i))) })
	}
	for range 10 {
		wg.Go(func() {
			if _, err := c.Decide(t.Context(), player(fmt.Sprint("token=late", rand.Int()))); err != nil {
				t.Error(err)
			}
		})
	}
	time.AfterFunc(timeout*6/10, func() { close(release) })
	wg.Wait()
}
