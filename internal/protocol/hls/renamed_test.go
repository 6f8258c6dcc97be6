package hls

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// TestRenamed: who asks for a stream under a name that is a key is led to the public one, where it needs no key;
// what it was let in with goes with it. The key is in nothing that it gets.
func TestRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		until := time.Now().Add(time.Hour).UTC().Round(time.Second)
		r.grant = session.Grant{Entry: 2, Terms: &session.Terms{
			By: "keys", KeyID: "k1", User: "ann", Labels: map[string]string{"plan": "pro"}, Path: "live/a", Until: until,
		}}
		w := httptest.NewRecorder()
		r.index(w, httptest.NewRequest(http.MethodGet, "/live/hunter2/x/index.m3u8?key=hunter2", nil), "live/hunter2/x")
		to := w.Header().Get("Location")
		id, ok := strings.CutPrefix(to, "./../../../live/a/index.m3u8?v=")
		if w.Code != http.StatusFound || !ok {
			t.Fatalf("%d to %q", w.Code, to)
		}
		r.asked = 0
		grant, _, err := r.let(httptest.NewRequest(http.MethodGet, "/live/a/index.m3u8?v="+id, nil), "live/a")
		if err != nil || r.asked != 0 {
			t.Fatalf("%v, asked %d times", err, r.asked)
		}
		got := grant.Terms
		if grant.Entry != 2 || got == nil || got.KeyID != "k1" || got.User != "ann" || got.Labels["plan"] != "pro" || !got.Until.Equal(until) {
			t.Errorf("%+v", got)
		}
		if _, _, err := r.let(httptest.NewRequest(http.MethodGet, "/live/b/index.m3u8?v="+id, nil), "live/b"); err != nil || r.asked != 1 {
			t.Errorf("%v, asked %d times with the id of another stream", err, r.asked)
		}
	})
}

// TestHiddenName: who asks for a name that is a key waits for a stream of no name, and is led nowhere; so is a CDN, which nobody is asked about.
func TestHiddenName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		r.cdn = func(string) string { return "0123456789abcdef" }
		r.env.Hides = func(q *admit.Request) bool { return !q.Online }
		r.grant = session.Grant{Entry: 2, Hidden: true}
		ask := func(path, secret string) *httptest.ResponseRecorder {
			q := httptest.NewRequest(http.MethodGet, "/"+path+"/index.m3u8", nil)
			q.Header.Set(cdnHeader, secret)
			w := httptest.NewRecorder()
			done := make(chan struct{})
			go func() { // waited for below
				defer close(done)
				r.index(w, q, path)
			}()
			synctest.Wait()
			for _, s := range r.env.Sessions.List() {
				if s.Stream() != "live/***" {
					t.Errorf("%s: a session %v for %s", path, s.Role(), s.Stream())
				}
			}
			for _, s := range r.env.Hub.List() {
				if s.Path() != "live/***" && s.Path() != "live/a" {
					t.Errorf("%s: a stream %s", path, s.Path())
				}
			}
			<-done
			return w
		}
		for _, secret := range []string{"", "0123456789abcdef"} {
			if w := ask("live/hunter2", secret); w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
				t.Errorf("%d to %q", w.Code, w.Header().Get("Location"))
			}
		}
		if g, _, err := r.let(httptest.NewRequest(http.MethodGet, "/live/a/index.m3u8", nil), "live/a"); err != nil || g != r.grant || r.asked != 2 {
			t.Errorf("%+v, %v, asked %d times", g, err, r.asked)
		}
		if g := r.env.Unasked(httptest.NewRequest(http.MethodGet, "/live/a/index.m3u8", nil), "live/a", cdnGrant); g != cdnGrant {
			t.Errorf("a CDN of a stream that is live: %+v", g)
		}
	})
}

// TestIDOfTheLargestGrant: terms at their bounds fit into an id, and come out of it.
func TestIDOfTheLargestGrant(t *testing.T) {
	labels := map[string]string{}
	for i := range 16 {
		labels[string(rune('a'+i))] = strings.Repeat(`"`, 31)
	}
	text := strings.Repeat(`\`, 128)
	g := session.Grant{Entry: -1, Key: 7, Terms: &session.Terms{By: "hook", KeyID: text, Label: text, User: text, Labels: labels, Recheck: time.Hour}}
	if err := g.Terms.Check(); err != nil {
		t.Fatal(err)
	}
	tokens, now := newTokens(), time.Now()
	id := tokens.issue("live/a", g, 5, now)
	got, _, _, ok := tokens.open("live/a", id, now)
	if !ok || !reflect.DeepEqual(got, g) {
		t.Errorf("%d characters, good: %v, %+v", len(id), ok, got.Terms)
	}
}

// TestIDOfSeveral: those who had a say and are asked again are told apart from those who are not, so that what the
// others said stays.
func TestIDOfSeveral(t *testing.T) {
	now := time.Now().Round(0)
	until := now.Add(time.Hour).UTC().Round(time.Second)
	g := session.Grant{Entry: 2, Key: 7, Terms: &session.Terms{By: "jwt", KeyID: "t", Until: until}}.And(&session.Terms{
		By: "hook", User: "ann", Until: until.Add(-time.Minute), Recheck: time.Minute, Duration: 50 * time.Minute,
	})
	tokens := newTokens()
	got, _, _, ok := tokens.open("live/a", tokens.issue("live/a", g, 0, now), now)
	if !ok || got.Key != 7 || got.Terms.KeyID != "t" || got.Terms.User != "ann" || !got.Terms.Until.Equal(now.Add(50*time.Minute)) {
		t.Fatalf("%v, %+v", ok, got.Terms)
	}
	got, err := got.Again(func(last *session.Terms) (*session.Terms, error) {
		if last.By != "hook" {
			t.Errorf("%s is asked again", last.By)
		}
		return &session.Terms{By: "hook", Until: until.Add(time.Hour)}, nil
	})
	if err != nil || got.Terms.KeyID != "t" || !got.Terms.Until.Equal(now.Add(50*time.Minute)) {
		t.Errorf("%v, %+v", err, got.Terms)
	}
}

// TestTimeOfAViewer: who comes and goes does not get its time anew.
func TestTimeOfAViewer(t *testing.T) {
	tokens, now := newTokens(), time.Now().Round(0)
	got, _, _, ok := tokens.open("live/a", tokens.issue("live/a", session.Grant{Terms: &session.Terms{Duration: time.Minute}}, 0, now), now)
	if !ok || !got.Terms.Until.Equal(now.Add(time.Minute)) || got.Terms.Duration != 0 {
		t.Errorf("%v, %+v", ok, got.Terms)
	}
}

// TestViewerEndsWithItsGrant: the session ends, and the viewer does not come back.
func TestViewerEndsWithItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		id := "v=" + r.tokens.issue("live/a", session.Grant{Terms: &session.Terms{Until: time.Now().Add(20 * time.Second)}}, 0, time.Now())
		if _, err := r.playlist(addrA, id, 0); err != nil {
			t.Fatal(err)
		}
		r.media(addrA)
		r.wantSessions(1, "after media")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		r.wantSessions(0, "after its time")
		if _, err := r.playlist(addrA, id, 0); session.ReasonOf(err) != session.Expired {
			t.Errorf("it came back: %v", err)
		}
	})
}
