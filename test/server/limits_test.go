package server_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
	"weir/rtmp"
)

// tryHTTP asks for a stream by HTTP, from an address behind a proxy if it is not empty. It returns the status
// and, of a player that is let in, what ends it.
func (r *running) tryHTTP(path, addr string) (status int, leave func()) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.httpURL(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if addr != "" {
		req.Header.Set("X-Forwarded-For", addr)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	leave = func() { _ = res.Body.Close() }
	if res.StatusCode != http.StatusOK {
		if res.Header.Get("Retry-After") == "" {
			r.t.Error("a refusal does not say when to try again")
		}
		leave()
	}
	return res.StatusCode, leave
}

// TestPlayersAtEachLimit: two players fit, of RTMP and of HTTP, and the third is refused in either protocol's way;
// when one leaves there is room for one.
func TestPlayersAtEachLimit(t *testing.T) {
	for limit, c := range map[string]struct {
		set   func(*server.Config)
		query string
	}{
		"players":     {func(c *server.Config) { c.Limits.Players = 2 }, ""},
		"max_players": {streams(func(s *server.StreamConfig) { s.Play.MaxPlayers = 2 }), ""},
		"connections": {func(c *server.Config) { c.Limits.Connections = 3 }, ""},
		"sessions_per_user": {func(c *server.Config) {
			streams(func(s *server.StreamConfig) { s.Play.Keys = []admit.Key{{Key: secret}, {Key: "another"}} })(c)
			c.Limits.SessionsPerUser = 2
		}, "?key=" + secret},
	} {
		t.Run(limit, func(t *testing.T) {
			r := start(t, c.set)
			publishSome(r.mustPublish("live/a"), 0, 30)
			rtmpPlayer, _, err := r.play(t.Context(), "live/a"+c.query)
			if err != nil {
				t.Fatal(err)
			}
			defer rtmpPlayer.Close()
			status, leave := r.tryHTTP("live/a.flv"+c.query, "")
			if status != http.StatusOK {
				t.Fatal("the second player:", status)
			}
			defer leave()
			var st *rtmp.StatusError
			if _, _, err := r.play(t.Context(), "live/a"+c.query); err == nil || limit != "connections" && (!errors.As(err, &st) || st.Code != rtmp.CodePlayFailed) {
				t.Error("the third player, by RTMP:", err)
			}
			if status, _ := r.tryHTTP("live/a.flv"+c.query, ""); status != http.StatusServiceUnavailable {
				t.Error("the third player, by HTTP:", status)
			}
			if limit == "sessions_per_user" {
				if status, leave := r.tryHTTP("live/a.flv?key=another", ""); status != http.StatusOK {
					t.Error("another user:", status)
				} else {
					leave()
				}
			}
			if r.metric(fmt.Sprintf(`weir_limit_reached_total{limit=%q}`, limit)) != "2" {
				t.Error("the refusals are not counted by the limit")
			}
			rtmpPlayer.Close()
			r.until("there is room again", func() bool {
				status, leave := r.tryHTTP("live/a.flv"+c.query, "")
				if status == http.StatusOK {
					defer leave()
				}
				return status == http.StatusOK
			})
		})
	}
}

// TestPlayersOfOneAddress: one address does not take the places of all; loopback may.
func TestPlayersOfOneAddress(t *testing.T) {
	r := start(t, func(c *server.Config) {
		c.Limits.PlayersPerIP = 2
		c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	publishSome(r.mustPublish("live/a"), 0, 30)
	for i, want := range []int{200, 200, 503} {
		if status, leave := r.tryHTTP("live/a.flv", "203.0.113.7"); status != want {
			t.Fatalf("player %d: %d", i, status)
		} else if status == 200 {
			defer leave()
		}
	}
	for _, addr := range []string{"203.0.113.8", "127.0.0.1", "127.0.0.1", "127.0.0.1", ""} {
		if status, leave := r.tryHTTP("live/a.flv", addr); status != http.StatusOK {
			t.Errorf("%q: %d", addr, status)
		} else {
			defer leave()
		}
	}
	if r.metric(`weir_limit_reached_total{limit="players_per_ip"}`) != "1" {
		t.Error("the refusal is not counted")
	}
}

// TestPublisherOfOneUser: a second stream of one key is refused, and taking the first one over is not.
func TestPublisherOfOneUser(t *testing.T) {
	r := start(t, func(c *server.Config) {
		streams(func(s *server.StreamConfig) { s.Publish.Keys = []admit.Key{{Key: secret}} })(c)
		c.Limits.SessionsPerUser = 1
	})
	publishSome(r.mustPublish("live/a?key="+secret), 0, 30)
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/b?key="+secret); !errors.As(err, &st) || st.Code != rtmp.CodePublishFailed {
		t.Error("a second stream:", err)
	}
	publishSome(r.mustPublish("live/a?key="+secret), 0, 30)
	if r.metric(`weir_limit_reached_total{limit="sessions_per_user"}`) != "1" {
		t.Error("the refusal is not counted")
	}
}

// TestEgressLimit: while too much is sent, no player is added, by RTMP or HTTP, and those that play go on.
func TestEgressLimit(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.EgressBitrate = 8000 })
	p := r.mustPublish("live/a")
	publishSome(p, 0, 30)
	first := r.mustPlay("live/a")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // 100 kbit/s and more
		defer close(stopped)
		for i := 30; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if p.video(uint32(i*40), videoFrame(i%10 == 0, uint32(i), 500)) != nil {
				return
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	var st *rtmp.StatusError
	r.until("a player is refused by HTTP", func() bool {
		next(t, first, rtmp.TypeVideo)
		status, leave := r.tryHTTP("live/a.flv", "")
		leave()
		return status == http.StatusServiceUnavailable
	})
	if _, _, err := r.play(t.Context(), "live/a"); !errors.As(err, &st) || st.Code != rtmp.CodePlayFailed {
		t.Error("by RTMP:", err)
	}
	for range 50 {
		next(t, first, rtmp.TypeVideo) // it goes on
	}
	if r.metric(`weir_limit_reached_total{limit="egress_bitrate"}`) != "2" {
		t.Error("the refusals are not counted")
	}
}

// TestLongestSession: players and publishers end when their time is over, and not before.
func TestLongestSession(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Match, s.Publish.MaxDuration, s.Play.MaxDuration = "live/*", 1500*time.Millisecond, 700*time.Millisecond
		c.Streams = []server.StreamConfig{s}
	})
	begin := time.Now()
	publishSome(r.mustPublish("live/a"), 0, 30)
	_, byRTMP, err := r.play(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(r.httpURL("live/a.flv"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for err == nil {
		_, err = byRTMP.ReadMessage()
	}
	if took := time.Since(begin); took < 700*time.Millisecond {
		t.Errorf("the player ended after %v: %v", took, err)
	}
	for _, line := range []string{
		`weir_session_closed_total{protocol="rtmp",reason="expired",role="play"}`,
		`weir_session_closed_total{protocol="http-flv",reason="expired",role="play"}`,
		`weir_session_closed_total{protocol="rtmp",reason="expired",role="publish"}`,
	} {
		r.wantMetric(line, "1")
	}
	if took := time.Since(begin); took < 1500*time.Millisecond {
		t.Errorf("the publisher ended after %v", took)
	}
	r.until("the stream has ended with it", func() bool { return r.hub.Get("live/a") == nil })
}

// TestPublishersAtEachLimit: as many streams as may be, and a publisher that sends too much is closed.
func TestPublishersAtEachLimit(t *testing.T) {
	r := start(t, func(c *server.Config) { c.Limits.Streams, c.Limits.StreamBitrate = 1, 8e6 })
	p := r.mustPublish("live/a")
	publishSome(p, 0, 30)
	var st *rtmp.StatusError
	if _, err := r.publish(t.Context(), "live/b"); !errors.As(err, &st) || st.Code != rtmp.CodePublishFailed {
		t.Error("a second stream:", err)
	}
	r.wantMetric(`weir_limit_reached_total{limit="streams"}`, "1")
	const most = 5 << 20 // a little more than 8 Mbit/s over five seconds
	for n := 0; n < 2*most; n += 1 << 16 {
		if p.video(2000, videoFrame(true, 1, 1<<16)) != nil {
			break
		}
	}
	r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="limit",role="publish"}`, "1")
	r.wantMetric(`weir_limit_reached_total{limit="stream_bitrate"}`, "1")
}
