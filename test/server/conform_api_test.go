package server_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/config"
	"weir/internal/hook/deliver"
	"weir/internal/server"
	"weir/rtmp"
)

// TestC235_KickWhileHooksRun: a thousand requests at once end publishers and players, some twice and some who never were, while
// decisions and events are on their way: each session ends once, who is not there is answered 404, and nothing hangs.
func TestC235_KickWhileHooksRun(t *testing.T) {
	var mu sync.Mutex
	starts, stops := map[string]int{}, map[string]string{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Type    string
			Session struct{ ID string }
			Data    struct{ Reason string }
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		<-time.After(10 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		if strings.HasSuffix(e.Type, ".start") {
			starts[e.Session.ID]++
		} else if _, twice := stops[e.Session.ID]; twice {
			t.Errorf("%s of %s comes twice", e.Type, e.Session.ID)
		} else {
			stops[e.Session.ID] = e.Data.Reason
		}
	}))
	defer receiver.Close()
	decides := newHook(t, func(question) (int, string) {
		<-time.After(10 * time.Millisecond)
		return http.StatusNoContent, ""
	})
	r := start(t, hooked(decides, func(c *server.Config) {
		h := deliver.DefaultConfig()
		h.URL, h.Events = receiver.URL, []string{"publish.start", "publish.stop", "play.*"}
		c.Hooks = []deliver.Config{h}
	}))
	const streams = 10
	for i := range streams {
		path := fmt.Sprint("live/", i)
		publishSome(r.mustPublish(path), 0, 15)
		next(t, r.mustPlay(path), rtmp.TypeVideo)
	}
	var ids []string
	for _, x := range r.sessions.List() {
		ids = append(ids, x.ID)
	}
	if len(ids) != 2*streams {
		t.Fatalf("%d sessions", len(ids))
	}
	var done, missing atomic.Int64
	var wg sync.WaitGroup
	go1000 := make(chan struct{})
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxConnsPerHost: 100}}
	defer client.CloseIdleConnections()
	for i := range 1000 {
		path := "/sessions/" + ids[i%len(ids)]
		switch {
		case i%10 == 3:
			path = fmt.Sprint("/sessions/none", i)
		case i%10 == 7:
			path = fmt.Sprint("/streams/live/", i/10%streams)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.adminURL("/api/v1"+path), nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			<-go1000
			res, err := client.Do(req)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				return
			}
			_ = res.Body.Close()
			switch {
			case res.StatusCode == http.StatusNoContent && !strings.Contains(path, "none"):
				done.Add(1)
			case res.StatusCode == http.StatusNotFound:
				missing.Add(1)
			default:
				t.Errorf("%s: %s", path, res.Status)
			}
		})
	}
	for i := range 20 { // and others come meanwhile
		wg.Go(func() {
			<-go1000
			if p, err := r.publish(t.Context(), fmt.Sprint("other/", i)); err == nil {
				p.client.Close()
			}
		})
	}
	close(go1000)
	wg.Wait()
	if done.Load() < streams || missing.Load() < 100 {
		t.Errorf("%d were ended, %d not found", done.Load(), missing.Load())
	}
	r.until("all sessions have ended", func() bool { return r.sessions.Len() == 0 })
	r.until("the hook is told of each end", func() bool { mu.Lock(); defer mu.Unlock(); return len(stops) >= 2*streams && len(stops) == len(starts) })
	mu.Lock()
	defer mu.Unlock()
	for _, id := range ids {
		if starts[id] != 1 || stops[id] != "kicked" && stops[id] != "stream_ended" {
			t.Errorf("%s: %d starts, stopped as %q", id, starts[id], stops[id])
		}
	}
	if status := r.del("/sessions/" + ids[0]); status != http.StatusNotFound {
		t.Error(status)
	}
}

// TestC236_AdminOnLoopback: unless it is configured otherwise only this machine reaches the admin listener, and where others do a token
// is asked for.
func TestC236_AdminOnLoopback(t *testing.T) {
	host, _, err := net.SplitHostPort(server.Default().Admin.Listen)
	if ip, e := netip.ParseAddr(host); err != nil || e != nil || !ip.IsLoopback() {
		t.Fatalf("admin.listen is %q", server.Default().Admin.Listen)
	}
	r := start(t, func(c *server.Config) { c.Admin.Listen = net.JoinHostPort(host, "0") })
	at := netip.MustParseAddrPort(r.Addr("admin").String())
	if !at.Addr().IsLoopback() {
		t.Errorf("it listens on %v", at)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || p.Addr().IsLoopback() || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(p.Addr(), at.Port()).String(), time.Second); err == nil {
			_ = conn.Close()
			t.Errorf("it can be reached at %v", p.Addr())
		}
	}
	for _, listen := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:8088", "example.org:8088"} {
		conf := server.Default()
		conf.Admin.Listen = listen
		if err := config.Validate(&conf); err == nil || !strings.Contains(err.Error(), "admin.token") {
			t.Errorf("%s without a token: %v", listen, err)
		}
	}
}
