package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

func TestDecide(t *testing.T) {
	var body atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body.Store(string(b))
		_, _ = io.WriteString(w, `{"user":"u42","path":"live/alice","recheck":"60s","limits":{"bitrate":"8Mbps"},"labels":{"plan":"pro"}}`)
	})
	c := newRig(t, url, nil)
	terms, err := c.Decide(t.Context(), publisher("token=x"))
	want := &session.Terms{By: "hook", KeyID: "sha256:1e1169b0b2f5a795", User: "u42", Path: "live/alice", Recheck: time.Minute, Bitrate: 8e6, Labels: map[string]string{"plan": "pro"}}
	if err != nil || !reflect.DeepEqual(terms, want) {
		t.Errorf("%+v, %v", terms, err)
	}
	var q struct {
		Version             int
		ID, Action          string
		DeadlineMS          int `json:"deadline_ms"`
		Session, Credential map[string]any
	}
	if err := json.Unmarshal([]byte(body.Load().(string)), &q); err != nil || q.Version != 1 || len(q.ID) < 20 || q.Action != "publish" || q.DeadlineMS != 10000 || q.Session["id"] != "s1" {
		t.Errorf("%s, %v", body.Load(), err)
	}
	inside := publisher("")
	inside.InProcess = true
	if terms, err := c.Decide(t.Context(), inside); terms != nil || err != nil {
		t.Error("a peer within the program was asked about")
	}
	c.check(t, map[string]int{Allowed: 1})
}

func TestRefusals(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var q struct {
			Stream struct{ Query map[string][]string }
		}
		_ = json.Unmarshal(b, &q)
		var status int
		_, _ = fmt.Sscan(q.Stream.Query["status"][0], &status)
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, q.Stream.Query["body"][0])
	})
	for _, c := range []struct {
		query  string
		reason session.Reason
		peer   string
		err    string
		retry  time.Duration
		login  bool
	}{
		{"status=200&body={\"allow\":false}", session.Denied, "Not allowed.", "the decision hook said no", 0, false},
		{"status=200&body={\"allow\":false,\"reason\":\"not paid\"}", session.Denied, "not paid", "the decision hook said no: not paid", 0, false},
		{"status=403&body={\"reason\":\"blocked\"}", session.Denied, "blocked", "the decision hook said no (status 403): blocked", 0, false},
		{"status=401&body=", session.BadKey, "The login is missing or wrong.", "the decision hook said no (status 401)", 0, true},
		{"status=404&body=", session.NotFound, "Nobody is publishing this stream.", "", 0, false},
		{"status=410&body=", session.NotFound, "", "", 0, false},
		{"status=409&body=", session.Conflict, "", "", 0, false},
		{"status=429&body=", session.Throttled, "Too many requests: wait before trying again.", "", 7 * time.Second, false},
		{"status=429&body={\"reason\":\"one a minute\"}", session.Throttled, "one a minute", "", 7 * time.Second, false},
		{"status=500&body=", session.Hook, "Access cannot be checked right now: try again later.", "the decision hook: " + url + ": status 500", 5 * time.Second, false},
		{"status=200&body={\"path\":\"other/x\"}", session.Hook, "", `renamed the stream to "other/x", which the entry`, 0, false},
		{"status=200&body={\"until\":1000}", session.Expired, "", "", 0, false},
	} {
		rig := newRig(t, url, nil)
		terms, err := rig.Decide(t.Context(), publisher(c.query))
		r, ok := errors.AsType[*session.Refusal](err)
		if terms != nil || !ok || r.Reason != c.reason || r.RetryAfter != c.retry || r.Login != c.login || !strings.Contains(r.Error(), c.err) || c.peer != "" && session.PeerText(err) != c.peer {
			t.Errorf("%s: %+v, %+v", c.query, terms, r)
		}
	}
	never := newRig(t, url, func(c *Config) { c.Rename = "never" })
	if _, err := never.Decide(t.Context(), publisher("status=200&body={\"path\":\"live/x\"}")); session.ReasonOf(err) != session.Hook || !strings.Contains(err.Error(), "rename is never") {
		t.Error(err)
	}
	anywhere := newRig(t, url, func(c *Config) { c.Rename = "any" })
	if terms, err := anywhere.Decide(t.Context(), publisher("status=200&body={\"path\":\"other/x\"}")); err != nil || terms.Path != "other/x" {
		t.Errorf("%+v, %v", terms, err)
	}
	again := publisher("status=403&body=")
	again.Recheck = true
	if _, err := newRig(t, url, nil).Decide(t.Context(), again); session.ReasonOf(err) != session.Revoked {
		t.Errorf("a session that runs: %v", err)
	}
}

// TestNamesThatMayBeKeys: those of publishers, where the service is asked about them and may rename them.
func TestNamesThatMayBeKeys(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   bool
	}{
		"as it is":        {func(*Config) {}, true},
		"any":             {func(c *Config) { c.Rename = "any" }, true},
		"never":           {func(c *Config) { c.Rename = "never" }, false},
		"srs":             {func(c *Config) { c.Format = "srs" }, false},
		"about players":   {func(c *Config) { c.URL, c.PlayURL = "", c.URL }, false},
		"nobody is asked": {func(c *Config) { c.URL = "" }, false},
	} {
		r := newRig(t, "http://127.0.0.1:9/", c.change)
		if got := r.NamesAreSecret(session.Publish); got != c.want || r.NamesAreSecret(session.Play) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestTooMuchShown(t *testing.T) {
	calls := 0
	url := serve(t, func(http.ResponseWriter, *http.Request) { calls++ })
	c := newRig(t, url, nil)
	if _, err := c.Decide(t.Context(), publisher(strings.Repeat("x", 8<<10))); err != nil {
		t.Error(err)
	}
	long := publisher(strings.Repeat("x", 8<<10+1))
	token := publisher("")
	token.Credential = admit.Credential{Kind: "bearer", Token: strings.Repeat("x", 4<<10+1)}
	for _, r := range []*admit.Request{long, token} {
		if _, err := c.Decide(t.Context(), r); session.ReasonOf(err) != session.TooLarge {
			t.Error(err)
		}
	}
	token.Credential.Token = token.Credential.Token[1:]
	if _, err := c.Decide(t.Context(), token); err != nil || calls != 2 {
		t.Error(calls, err)
	}
}

// TestRoles: each role has its own address, and a role without one passes.
func TestRoles(t *testing.T) {
	var seen []string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.URL.Path) })
	c := newRig(t, url+"/both", func(c *Config) { c.PublishURL = url + "/publish" })
	_, err1 := c.Decide(t.Context(), publisher(""))
	_, err2 := c.Decide(t.Context(), player(""))
	if err1 != nil || err2 != nil || !reflect.DeepEqual(seen, []string{"/publish", "/both"}) {
		t.Error(seen, err1, err2)
	}
	only := newRig(t, "", func(c *Config) { c.PublishURL = url + "/publish" })
	if terms, err := only.Decide(t.Context(), player("")); terms != nil || err != nil || len(seen) != 2 {
		t.Error(terms, err, seen)
	}
	if terms, err := only.Decide(t.Context(), publisher("")); terms == nil || err != nil || len(seen) != 3 {
		t.Error(terms, err, seen)
	}
	// A role that nobody is asked about is not asked about again either.
	update := newRig(t, "", func(c *Config) { c.PublishURL, c.UpdateURL = url+"/publish", url+"/update" })
	for _, r := range []*admit.Request{player(""), publisher("")} {
		r.Recheck = true
		if _, err := update.Decide(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 4 || seen[3] != "/update" {
		t.Error(seen)
	}
}

// TestSigned: questions are signed with both secrets, and OvenMediaEngine's as it does.
func TestSigned(t *testing.T) {
	var header atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header.Store(r.Header.Clone())
		_, _ = io.WriteString(w, `{"allowed":true}`)
	})
	const secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	c := newRig(t, url, func(c *Config) { c.Secret, c.OldSecret = secret, "whsec_"+strings.Repeat("B", 32) })
	if _, err := c.Decide(t.Context(), publisher("")); err != nil {
		t.Fatal(err)
	}
	h := header.Load().(http.Header)
	if parts := strings.Fields(h.Get("webhook-signature")); len(parts) != 2 || parts[0] == parts[1] || h.Get("webhook-id") == "" || h.Get("webhook-timestamp") == "" {
		t.Error(h)
	}
	c = newRig(t, url, func(c *Config) { c.Format, c.Secret = "ome", "any text" })
	if _, err := c.Decide(t.Context(), publisher("")); err != nil {
		t.Fatal(err)
	}
	if h := header.Load().(http.Header); len(h.Get("X-OME-Signature")) != 27 || h.Get("webhook-signature") != "" {
		t.Error(h)
	}
}
