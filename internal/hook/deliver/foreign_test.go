package deliver

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // OvenMediaEngine's choice
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"weir/internal/event"
	"weir/internal/hook"
)

// TestForeignSigned: what is told in other servers' formats is signed as questions are: by X-OME-Signature with any secret
// for OvenMediaEngine's services, as Standard Webhooks says for the others, each call as a message of its own.
func TestForeignSigned(t *testing.T) {
	for format, calls := range map[string]int{"nginx-rtmp": 2, "srs": 1, "ome": 1} {
		url, got := receiver(t, nil)
		conf := post(url)
		conf.Format, conf.Secret, conf.OldSecret = format, testSecret, oldSecret
		switch format {
		case "nginx-rtmp":
			conf.Calls = []string{"publish_done", "done"}
		case "ome":
			conf.Secret = "1234"
		}
		if err := conf.Validate(); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		f := newFixture(t, []Config{conf}, nil)
		f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1"))
		f.Close()
		all, ids := got(), map[string]bool{}
		for _, r := range all {
			ids[r.header.Get("webhook-id")] = true
			verify(t, r, oldSecret)
			if format != "ome" {
				verify(t, r, testSecret)
				continue
			}
			m := hmac.New(sha1.New, []byte("1234"))
			m.Write(r.body)
			if s := r.header.Get("X-OME-Signature"); s != base64.RawURLEncoding.EncodeToString(m.Sum(nil)) {
				t.Errorf("signature %q", s)
			}
		}
		if len(all) != calls || len(ids) != calls || ids[""] {
			t.Errorf("%s: %d calls with the ids %v, want %d", format, len(all), ids, calls)
		}
	}
}

// TestForeignSecret: only OvenMediaEngine's secret is any text.
func TestForeignSecret(t *testing.T) {
	for format, want := range map[string]bool{"weir": false, "nginx-rtmp": false, "srs": false, "ome": true} {
		conf := post("http://127.0.0.1:1/")
		conf.Format, conf.Secret = format, "1234"
		if err := conf.Validate(); (err == nil) != want {
			t.Errorf("%s: %v", format, err)
		}
		conf.Secret, conf.OldSecret = "", "1234"
		if conf.Validate() == nil {
			t.Errorf("%s takes any text as the old secret", format)
		}
	}
}

// TestForeignRefused: an answer 401 or 403 is no delivery. It is shown and told once, not tried again, and holds up no
// later event.
func TestForeignRefused(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		url, got := receiver(t, func(w http.ResponseWriter, n int) {
			if n == 1 || n == 4 { // publish_done of the first, done of the second
				w.WriteHeader(status)
			}
		})
		conf := post(url)
		conf.Format, conf.Calls = "nginx-rtmp", []string{"publish_done", "done"}
		f := newFixture(t, []Config{conf}, nil)
		var log lockedLog
		r := f.all()[0]
		r.log = slog.New(slog.NewTextHandler(&log, nil))
		f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1"))
		f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s2"))
		f.Close()
		want := "the receiver answered " + map[int]string{401: "401 Unauthorized", 403: "403 Forbidden"}[status]
		s, shown := r.state(), r.history.list()
		if len(got()) != 4 || s.Status != "failing" || s.LastError != want || s.Failed != 2 || s.Delivered != 0 || s.Queue != 0 {
			t.Errorf("%d: %d calls, %+v", status, len(got()), s)
		}
		for _, d := range shown {
			if d.Done || d.Status != status || d.Error != want {
				t.Errorf("%d: %+v", status, d)
			}
		}
		if n := strings.Count(log.String(), "hook failed"); n != 1 {
			t.Errorf("%d: told %d times:\n%s", status, n, log.String())
		}
	}
}

// TestForeignRefusedThenDown: a call that is refused is not made again when the next one fails, and the event is not taken for
// received once that one succeeds.
func TestForeignRefusedThenDown(t *testing.T) {
	url, got := receiver(t, func(w http.ResponseWriter, n int) {
		w.WriteHeader([]int{http.StatusUnauthorized, http.StatusInternalServerError, http.StatusOK}[n-1])
	})
	conf := post(url)
	conf.Format, conf.Calls = "nginx-rtmp", []string{"publish_done", "done"}
	p, err := newPoster(&conf, hook.Server{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	e := publishEvent(event.PublishStop, "live/a", "s1")
	it, err := seal(&e, 1, testServer)
	if err != nil {
		t.Fatal(err)
	}
	first := p.send(t.Context(), []*item{it}, 0)
	second := p.send(t.Context(), []*item{it}, 1)
	if first.status != 500 || first.final || first.err == nil || second.err == nil || !second.final || second.status != http.StatusUnauthorized || len(got()) != 3 || len(p.sent) != 0 {
		t.Errorf("%+v, %+v, %d calls", first, second, len(got()))
	}
}

// TestForeignDebts: a hook in another server's format is told of the ends that are owed, as stops, and not of the stops of those
// sessions themselves; of other sessions it is told of the stops. Of what was owed when it crashed it is told then.
func TestForeignDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Format, conf.Directory = "srs", t.TempDir()
		var mu sync.Mutex
		var got []string
		sender := &fake{func(_ context.Context, v []envelope, _ int) result {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range v {
				got = append(got, e.Type+" "+e.Session.ID)
			}
			return result{status: 200}
		}}
		f := newFixture(t, []Config{conf}, sender)
		r := f.all()[0]
		r.knows = func(e *event.Event) bool { return e.Type == event.PublishStop || e.Type == event.PlayStop }
		paired := publishEvent(event.PublishStop, "live/a", "s1")
		paired.Paired = true
		for _, e := range []event.Event{
			publishEvent(event.PublishAllowed, "live/a", "s1"), paired, publishEvent(event.PublishReleased, "live/a", "s1"),
			publishEvent(event.PlayAllowed, "live/a", "p1"), publishEvent(event.PublishStop, "live/a", "s2"),
		} {
			f.bus.Publish(e)
		}
		synctest.Wait()
		conf.Directory = copyDir(t, conf.Directory)
		f.Close()
		newFixture(t, []Config{conf}, sender).Close()
		if s := strings.Join(got, ", "); s != "publish.stop s1, publish.stop s2, play.stop p1" {
			t.Error(s)
		}
	})
}

// TestForeignTypes: such a hook gets what is owed only where its events name what it is told as.
func TestForeignTypes(t *testing.T) {
	for events, want := range map[string]string{
		"":                "publish.stop play.stop connection.stop segment.done recording.done play.released publish.released",
		"play.stop":       "play.stop play.released",
		"publish.*":       "publish.* publish.released",
		"connection.stop": "connection.stop",
	} {
		conf := post("http://192.0.2.1/")
		conf.Format, conf.Events = "srs", strings.Fields(events)
		if got := strings.Join(conf.types(), " "); got != want {
			t.Errorf("%q: %s", events, got)
		}
	}
}

// lockedLog is what a logger writes to.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
