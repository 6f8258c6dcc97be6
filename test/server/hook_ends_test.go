package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/hook/deliver"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// books is a service that was written for another server, and counts who is there: each yes of its own adds one,
// and each end takes one away.
type books struct {
	*httptest.Server
	asking  chan struct{} // of one: it is asked about a peer under the name "slow"
	slow    chan struct{} // of one: what it is asked is to be answered now
	mu      sync.Mutex    // guards below
	begun   map[string]int
	ended   map[string]int
	history []string
}

// call is what is asked or told in one of the formats.
type call struct{ client, role, name string }

// readCall reads one; ends says that it tells of an end.
func readCall(format string, r *http.Request) (c call, ends bool, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return c, false, err
	}
	switch format {
	case "nginx-rtmp":
		f, err := url.ParseQuery(string(body))
		role, done := strings.CutSuffix(f.Get("call"), "_done")
		return call{f.Get("clientid"), role, f.Get("name")}, done, err
	case "srs":
		var b struct {
			Action, Stream string
			ClientID       string `json:"client_id"`
		}
		err := json.Unmarshal(body, &b)
		role := map[string]string{"on_publish": "publish", "on_unpublish": "publish", "on_play": "play", "on_stop": "play"}[b.Action]
		return call{b.ClientID, role, b.Stream}, b.Action == "on_unpublish" || b.Action == "on_stop", err
	}
	var b struct {
		Client struct {
			Address string
			Port    int
		}
		Request struct{ Direction, Status, URL string }
	}
	err = json.Unmarshal(body, &b)
	role := map[string]string{"incoming": "publish", "outgoing": "play"}[b.Request.Direction]
	u, e := url.Parse(b.Request.URL)
	if err = errors.Join(err, e); err != nil {
		return c, false, err
	}
	return call{fmt.Sprintf("%s:%d", b.Client.Address, b.Client.Port), role, strings.TrimPrefix(u.Path, "/live/")}, b.Request.Status == "closing", nil
}

func newBooks(t *testing.T, format string) *books {
	b := &books{asking: make(chan struct{}, 1), slow: make(chan struct{}, 1), begun: map[string]int{}, ended: map[string]int{}}
	yes := map[string]string{"srs": `{"code":0}`, "ome": `{"allowed":true}`}[format]
	no := map[string]string{"srs": `{"code":1}`, "ome": `{"allowed":false}`}[format]
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ends, err := readCall(format, r)
		if err != nil || c.role == "" {
			t.Errorf("%+v %v", c, err)
		}
		if c.name == "slow" && !ends {
			b.asking <- struct{}{}
			<-b.slow
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.history = append(b.history, fmt.Sprint(c, ends))
		key := c.client + " " + c.role
		switch {
		case ends:
			if b.ended[key]++; b.ended[key] > b.begun[key] {
				t.Errorf("%s: %s has more ends than begins: %v", format, key, b.history)
			}
		case c.name == "denied":
			if format == "nginx-rtmp" {
				w.WriteHeader(http.StatusForbidden)
			}
			_, _ = io.WriteString(w, no)
		default:
			b.begun[key]++
			_, _ = io.WriteString(w, yes)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

// present returns those who are there, and how many were let in so far.
func (b *books) present() (there []string, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, n := range b.begun {
		all += n
		for range n - b.ended[key] {
			there = append(there, key)
		}
	}
	return there, all
}

// TestEachYesHasItsEnd: services that count who is there, in each of the formats in which other servers tell of ends, hear
// of exactly one end for each peer that they let in, however it left and whether it ever began.
func TestEachYesHasItsEnd(t *testing.T) {
	for _, format := range []string{"nginx-rtmp", "srs", "ome"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b := newBooks(t, format)
			r := start(t, countedBy(b, format), func(o *server.Options) {
				o.Admit = func(_ context.Context, r *admit.Request) (*session.Terms, error) {
					if strings.HasSuffix(r.Path, "/later") {
						return nil, errors.New("refused by what is asked after the hook")
					}
					return nil, nil //nolint:nilnil // it says nothing
				}
			})
			// gone waits until nobody is there but those who are to stay, and n were let in since the last time.
			seen := 0
			gone := func(what string, n, stay int) {
				t.Helper()
				r.until(what, func() bool {
					there, all := b.present()
					return len(there) == stay && all == seen+n
				})
				seen += n
			}
			leavers(r, gone)
			impatient(r, b)
			gone("one that left while it was asked about", 1, 0)
			hlsViewers(r, gone)
			publishSome(r.mustPublish("live/a"), 0, 15)
			r.arrived("live/a", 1)
			next(t, r.mustPlay("live/a"), rtmp.TypeVideo)
			r.mustPublish("live/silent")
			r.mustPlay("live/none")
			gone("some are there", 4, 5)
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			if there, _ := b.present(); len(there) > 0 {
				t.Errorf("%v are there after the server has stopped: %v", there, b.history)
			}
		})
	}
}

// countedBy has a service asked and told of everybody.
func countedBy(b *books, format string) func(*server.Config) {
	return func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.Auth, s.Play.Auth, s.Play.Wait = []string{"hook"}, []string{"hook"}, 200*time.Millisecond
		stays := s
		stays.Match, stays.Publish.OnConflict, stays.Play.Wait = "live/stays", "reject", time.Minute
		waits := s
		waits.Match, waits.Play.Wait = "live/none", time.Minute
		c.Streams = []server.StreamConfig{stays, waits, s}
		c.Auth.Hook.URL, c.Auth.Hook.Format, c.Auth.Hook.Timeout = b.URL, format, 10*time.Second
		h := deliver.DefaultConfig()
		h.URL, h.Format, h.Events = b.URL, format, []string{"publish.stop", "play.*"}
		c.Hooks = []deliver.Config{h}
	}
}

// leavers lets peers in that leave in every way, at once or later. gone waits until so many have come and so many are there.
func leavers(r *running, gone func(what string, come, stay int)) {
	t := r.t
	ctx := t.Context()
	refused := func(err error) {
		t.Helper()
		if _, ok := errors.AsType[*rtmp.StatusError](err); !ok {
			t.Error("not refused:", err)
		}
	}
	_, err := r.publish(ctx, "live/denied")
	refused(err)
	gone("refused by the hook", 0, 0)
	_, err = r.publish(ctx, "live/later")
	refused(err)
	_, _, err = r.play(ctx, "live/later")
	refused(err)
	gone("refused by what is asked later", 2, 0)
	if res, _ := r.get("live/later.flv"); res.StatusCode != http.StatusForbidden {
		t.Error(res.Status)
	}
	gone("refused by what is asked later, over HTTP", 1, 0)

	stays := r.mustPublish("live/stays")
	publishSome(stays, 0, 15)
	r.arrived("live/stays", 1)
	_, err = r.publish(ctx, "live/stays")
	refused(err)
	gone("refused by the stream", 2, 1)
	_ = stays.client.Close()
	gone("normal", 0, 0)

	_ = r.mustPublish("live/a").client.Close()
	gone("silent", 1, 0)
	p := r.mustPublish("live/a")
	p.must(p.PublishStream.Close())
	gone("silent, and stays connected", 1, 0)
	r.mustPublish("live/a")
	r.until("there", func() bool { return r.sessionOf("live/a") != "" })
	r.kick("live/a")
	gone("silent and ended by the API", 1, 0)

	if res, _ := r.get("live/b.flv"); res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
	gone("a viewer that waited in vain", 1, 0)
	player, _, err := r.play(ctx, "live/none")
	if err != nil {
		t.Fatal(err)
	}
	gone("one that waits", 1, 1)
	_ = player.Close()
	gone("it does not wait any more", 0, 0)
	r.mustPlay("live/none")
	r.until("there", func() bool { return r.sessionOf("live/none") != "" })
	r.kick("live/none")
	gone("one that waited was ended by the API", 1, 0)

	first := r.mustPublish("live/a")
	publishSome(first, 0, 15)
	r.arrived("live/a", 1)
	next(t, r.mustPlay("live/a"), rtmp.TypeVideo)
	gone("a publisher and a player", 2, 2)
	second := r.mustPublish("live/a")
	publishSome(second, 0, 15)
	gone("taken over", 1, 2)
	r.kick("live/a")
	gone("ended by the API", 0, 0)

	r.get("live/a/stream.json")
	gone("the page's description, which begins no session", 1, 0)
}

// impatient has a viewer leave before the service has answered yes.
func impatient(r *running, b *books) {
	ctx, leave := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		req := r.newGet("live/slow.flv").WithContext(ctx)
		if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
			_ = res.Body.Close()
			r.t.Error("it plays")
		}
	})
	<-b.asking
	leave()
	wg.Wait()
	r.until("the session has ended", func() bool { return r.sessions.Len() == 0 })
	b.slow <- struct{}{}
}

// hlsViewers does with viewers of HLS what leavers does. Their publisher stays until all have been counted.
func hlsViewers(r *running, gone func(what string, come, stay int)) {
	r.liveHLS("live/stays")
	gone("the publisher", 1, 1)
	c := r.openHLS("live/stays")
	gone("it has the first playlist", 1, 2)
	c.play()
	r.until("it plays", func() bool { return len(r.hlsSessions()) == 1 })
	r.del("/sessions/" + r.hlsSessions()[0])
	gone("it was ended", 0, 1)
}

// sessionOf returns the id of a session that has to do with a stream; empty for none.
func (r *running) sessionOf(path string) string {
	for _, s := range r.sessions.List() {
		if s.Stream() == path && s.Role() != session.Pending {
			return s.ID
		}
	}
	return ""
}

// kick ends all sessions of a stream by the API.
func (r *running) kick(path string) {
	r.t.Helper()
	for _, s := range r.sessions.List() {
		if s.Stream() == path {
			if status := r.del("/sessions/" + s.ID); status != http.StatusNoContent {
				r.t.Error("DELETE:", status)
			}
		}
	}
}
