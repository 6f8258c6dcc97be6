package decide

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/internal/admit"
	"weir/internal/session"
)

// counting is a client of a service that was written for SRS, whose answers wait for each other peer's release.
func counting(t *testing.T) (r *rig, arrived chan struct{}, release chan struct{}, gone chan admit.Request) {
	t.Helper()
	arrived, release, gone = make(chan struct{}, 10), make(chan struct{}), make(chan admit.Request, 10)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		arrived <- struct{}{}
		<-release
		if strings.Contains(string(b), "deny") {
			_, _ = io.WriteString(w, "1")
			return
		}
		_, _ = io.WriteString(w, "0")
	})
	r = newRig(t, url, func(c *Config) { c.Format = "srs" })
	r.gone = func(q *admit.Request) { gone <- *q }
	return r, arrived, release, gone
}

// TestOwed: a peer that a service has let in which waits for the end is marked, and no other one.
func TestOwed(t *testing.T) {
	yes := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"code":0,"allowed":true}`) })
	no := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	for _, c := range []struct {
		format, url  string
		change       func(*Config, *admit.Request)
		owed, paired bool
	}{
		{"weir", yes, nil, false, false},
		{"mediamtx", yes, nil, false, false},
		{"nginx-rtmp", yes, nil, true, true},
		{"srs", yes, nil, true, true},
		{"ome", yes, nil, true, true},
		{"srs", no, nil, false, false},
		{"srs", "http://127.0.0.1:1/", func(c *Config, _ *admit.Request) { c.OnError = "allow" }, false, true},
		{"nginx-rtmp", yes, func(_ *Config, r *admit.Request) { r.Recheck = true }, false, true},
		{"nginx-rtmp", yes, func(c *Config, r *admit.Request) { r.Role, c.ConnectURL = session.Pending, yes }, true, true},
	} {
		r := publisher("")
		rig := newRig(t, c.url, func(conf *Config) {
			if conf.Format = c.format; c.change != nil {
				c.change(conf, r)
			}
		})
		terms, _ := rig.Decide(t.Context(), r)
		if r.Owed != c.owed || (terms != nil && terms.Paired) != c.paired {
			t.Errorf("%s %s: owed %v, %+v", c.format, c.url, r.Owed, terms)
		}
	}
}

// TestOwedThoughRefused: a yes that is refused all the same is one whose end is waited for.
func TestOwedThoughRefused(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "elsewhere")
		w.WriteHeader(http.StatusFound)
	})
	c := newRig(t, url, func(c *Config) { c.Format, c.Rename = "nginx-rtmp", "never" })
	r := publisher("")
	if _, err := c.Decide(t.Context(), r); session.ReasonOf(err) != session.Hook || !r.Owed {
		t.Errorf("owed %v, %v", r.Owed, err)
	}
}

// TestOwedOnce: of several who share an answer one has the end that it waits for, under the id that it was asked under.
func TestOwedOnce(t *testing.T) {
	c, arrived, release, gone := counting(t)
	var mu sync.Mutex
	offers := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			r := player("")
			r.Session, r.Offer = "", string(rune('a'+i))
			terms, err := c.Decide(t.Context(), r)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if r.Owed {
				offers[r.Offer] = r.Offer == terms.Session
			}
		})
	}
	<-arrived
	release <- struct{}{}
	wg.Wait()
	again := player("")
	again.Session, again.Offer = "", "d"
	if _, err := c.Decide(t.Context(), again); err != nil || again.Owed {
		t.Error("an answer that is used again:", again.Owed, err)
	}
	same := false
	for _, same = range offers {
	}
	if len(offers) != 1 || !same || len(gone) != 0 {
		t.Errorf("%v, gone %d", offers, len(gone))
	}
}

// TestLeftWhileAsked: a service that is asked is let answer when the peer has gone, and what it says then is passed on; one
// that says no, or was not asked yet, or waits for no end, is not heard of again.
func TestLeftWhileAsked(t *testing.T) {
	c, arrived, release, gone := counting(t)
	leave := func(query string, before func()) error {
		ctx, cancel := context.WithCancelCause(t.Context())
		left := make(chan error)
		go func() {
			r := player(query)
			_, err := c.Decide(ctx, r)
			if r.Owed {
				t.Error("one that has gone is owed")
			}
			left <- err
		}()
		before()
		cancel(errLeft)
		return <-left
	}
	asked := func() { <-arrived }
	for _, query := range []string{"token=a", "token=deny"} {
		if err := leave(query, asked); !errors.Is(err, errLeft) {
			t.Error(err)
		}
		release <- struct{}{}
	}
	for range 64 { // the next one has no turn
		c.calls <- struct{}{}
	}
	if err := leave("token=waits", func() {}); !errors.Is(err, errLeft) {
		t.Error(err)
	}
	for range 64 {
		<-c.calls
	}
	if err := leave("token=b", asked); !errors.Is(err, errLeft) {
		t.Error(err)
	}
	release <- struct{}{}
	for _, want := range []string{"token=a", "token=b"} {
		if q := <-gone; q.RawQuery != want || q.Session != "s1" {
			t.Errorf("%s, want %s", q.RawQuery, want)
		}
	}
	if n := len(arrived); n != 0 {
		t.Errorf("asked %d times for nobody", n)
	}
	c.Close()
	if len(gone) != 0 || len(c.flights) != 0 {
		t.Error("something is left")
	}
}

var errLeft = errors.New("it has left")
