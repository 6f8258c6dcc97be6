package decide

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// TestPolicies: what holds while the service fails.
func TestPolicies(t *testing.T) {
	var fail atomic.Bool
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch {
		case fail.Load():
			w.WriteHeader(http.StatusInternalServerError)
		case strings.Contains(string(b), "deny"):
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = io.WriteString(w, `{"user":"bob"}`)
		}
	})
	moved := publisher("token=a")
	moved.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	nobody := player("")
	nobody.Remote = netip.MustParseAddrPort("198.51.100.1:1")
	for _, c := range []struct {
		policy string
		r      *admit.Request
		user   string
		reason session.Reason
	}{
		{"deny", publisher("token=a"), "", session.Hook},
		{"allow", publisher("token=a"), "", session.Internal},
		{"allow", publisher("token=deny"), "", session.Internal},
		{"last", publisher("token=a"), "bob", session.Internal},
		{"last", moved, "bob", session.Internal}, // the same encoder in another network
		{"last", publisher("token=deny"), "", session.Denied},
		{"last", publisher("token=new"), "", session.Hook},
		{"last", player(""), "bob", session.Internal},
		{"last", nobody, "", session.Hook}, // an address may be what the service went by
	} {
		fail.Store(false)
		rig := newRig(t, url, func(conf *Config) { conf.OnError = c.policy })
		for _, r := range []*admit.Request{publisher("token=a"), publisher("token=deny"), player("")} {
			_, _ = rig.Decide(t.Context(), r)
		}
		fail.Store(true)
		terms, err := rig.Decide(t.Context(), c.r)
		if c.reason != session.Internal {
			if session.ReasonOf(err) != c.reason {
				t.Errorf("%s, %s %s: %+v, %v", c.policy, c.r.Role, c.r.RawQuery, terms, err)
			}
			continue
		}
		if err != nil || terms == nil || terms.By != "hook" || terms.User != c.user {
			t.Errorf("%s, %s %s: %+v, %v", c.policy, c.r.Role, c.r.RawQuery, terms, err)
		}
		if s := rig.log.String(); strings.Contains(s, "token=") || c.policy == "allow" && !strings.Contains(s, "without an answer") {
			t.Errorf("logged %s", s)
		}
	}
}

// TestRecheckSurvivesFailure: a service that fails says nothing of a session that runs, whatever the policy; the door lets
// the session go on.
func TestRecheckSurvivesFailure(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	for _, policy := range []string{"deny", "allow", "last"} {
		c := newRig(t, url, func(conf *Config) { conf.OnError = policy })
		r := publisher("token=a")
		r.Recheck = true
		for range 10 { // five calls, then the breaker
			if terms, err := c.Decide(t.Context(), r); terms != nil || session.ReasonOf(err) != session.Hook {
				t.Errorf("%s: %+v, %v", policy, terms, err)
			}
		}
		c.check(t, map[string]int{Failed: 5, Skipped: 5})
	}
}

// TestBreaker: after five failures nobody waits for the service.
func TestBreaker(t *testing.T) {
	var calls atomic.Int32
	hang := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		<-hang
	})
	defer close(hang)
	c := newRig(t, url, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	for i := range 5 {
		began := time.Now()
		if _, err := c.Decide(t.Context(), publisher(fmt.Sprint("token=", i))); session.ReasonOf(err) != session.Hook || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < 100*time.Millisecond {
			t.Error(err)
		}
	}
	c.Client.mu.Lock()
	if !c.breaker.open() {
		t.Error("it is not seen to fail")
	}
	c.Client.mu.Unlock()
	for i := range 100 {
		if _, err := c.Decide(t.Context(), publisher(fmt.Sprint("token=", i))); session.ReasonOf(err) != session.Hook || !errors.Is(err, errKeepsFailing) && calls.Load() == 5 {
			t.Error(err)
		}
	}
	if n := calls.Load(); n > 5+2 { // one probe, two on a slow machine
		t.Errorf("%d calls", n)
	}
	if !strings.Contains(c.log.String(), "keeps failing") || strings.Contains(c.log.String(), "token=") {
		t.Error(c.log.String())
	}
}

func TestBreakerClock(t *testing.T) {
	var b breaker
	now := time.Unix(1e9, 0)
	fail := func(n int) (changed int) {
		for range n {
			if b.report(false, now) {
				changed++
			}
		}
		return changed
	}
	if fail(4) != 0 || b.open() || !b.allow(now) || b.report(true, now) {
		t.Error("four failures open it")
	}
	if fail(4) != 0 || fail(1) != 1 || !b.open() || fail(3) != 0 {
		t.Error("five in a row do not open it, once")
	}
	if b.allow(now) || b.allow(now.Add(time.Second-1)) {
		t.Error("asked within a second")
	}
	now = now.Add(time.Second)
	if !b.allow(now) || b.allow(now) || b.allow(now.Add(time.Second-1)) || !b.allow(now.Add(time.Second)) {
		t.Error("not one question a second")
	}
	if !b.report(true, now) || b.open() || !b.allow(now) || !b.allow(now) {
		t.Error("it stays open")
	}
}

// TestNotTheServicesFault: a session is not ended where its service ends those that it does not answer about, if it was not asked.
func TestNotTheServicesFault(t *testing.T) {
	c := newRig(t, "http://127.0.0.1:9/", func(c *Config) { c.Format, c.Recheck = "nginx-rtmp", time.Minute })
	r := publisher("")
	r.Recheck = true
	for err, want := range map[error]session.Reason{errBusy: session.Hook, context.DeadlineExceeded: session.Revoked} {
		if _, got := c.instead(c.plan.Load(), r, keysOf(r, true), err); session.ReasonOf(got) != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
