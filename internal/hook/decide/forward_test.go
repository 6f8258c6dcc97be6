package decide

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/session"
)

// TestForwardService asks a service as users of SRS write it where a stream is also sent: some servers, none, a no, slow and dead.
// It alone is asked, and so its yes lets a publisher in.
func TestForwardService(t *testing.T) {
	client := newRig(t, "", func(conf *Config) {
		conf.Format, conf.ForwardURL = "srs", service(t, "srs_forward.py")
	})
	both := []session.Push{{Name: "hook-1", URL: "rtmp://192.0.2.9:19350/live/asked"}, {Name: "hook-2", URL: "rtmp://192.0.2.10/copy/x?ip=203.0.113.7"}}
	if terms, err := client.Decide(t.Context(), publisher("token=good")); err != nil || terms.By != By || !reflect.DeepEqual(terms.Push, both) {
		t.Errorf("two servers: %+v, %v", terms, err)
	}
	alone := publisher("token=good")
	alone.Path = "live/alone"
	if terms, err := client.Decide(t.Context(), alone); err != nil || terms.Push != nil {
		t.Errorf("no server: %+v, %v", terms, err)
	}
	if _, err := client.Decide(t.Context(), publisher("token=bad")); session.ReasonOf(err) != session.Denied {
		t.Errorf("no: %v", err)
	}
	if terms, err := client.Decide(t.Context(), player("token=good")); terms != nil || err != nil {
		t.Errorf("a player: %+v, %v", terms, err)
	}
	conf := client.Config()
	conf.Timeout = 300 * time.Millisecond
	use(t, client.Client, conf)
	for _, name := range []string{"slow", "dead", "dead"} {
		r := publisher("token=good")
		r.Path = "live/" + name
		if _, err := client.Decide(t.Context(), r); session.ReasonOf(err) != session.Hook {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForwardAfterPublish: as in SRS, on_forward comes after the yes to on_publish, and not after a no; a session is let in once
// both have said yes. Players and updates have none.
func TestForwardAfterPublish(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	var publish, forward string // the answers
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Action   string `json:"action"`
			ClientID string `json:"client_id"`
		}
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &q); err != nil || q.ClientID != "s1" {
			t.Errorf("%s, %v", body, err)
		}
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Path+" "+q.Action)
		answer := publish
		if q.Action == "on_forward" {
			answer = forward
		}
		_, _ = io.WriteString(w, answer)
	})
	client := newRig(t, to+"/first", func(conf *Config) { conf.Format, conf.ForwardURL = "srs", to+"/forward" })
	const urls = `{"code":0,"data":{"urls":["rtmp://h.example/a/b"]}}`
	pushes := []session.Push{{Name: "hook-1", URL: "rtmp://h.example/a/b"}}
	for _, c := range []struct {
		publish, forward string
		reason           session.Reason
		ok               bool
		want             []string
	}{
		{"0", urls, 0, true, []string{"/first on_publish", "/forward on_forward"}},
		{"1", urls, session.Denied, false, []string{"/first on_publish"}},
		{"0", "0", session.Denied, false, []string{"/first on_publish", "/forward on_forward"}},
		{"0", `{"code":0,"data":{"urls":["ftp://h.example/a"]}}`, session.Hook, false, []string{"/first on_publish", "/forward on_forward"}},
	} {
		mu.Lock()
		publish, forward, asked = c.publish, c.forward, nil
		mu.Unlock()
		terms, err := client.Decide(t.Context(), publisher("x"))
		if c.ok && (err != nil || !reflect.DeepEqual(terms.Push, pushes)) || !c.ok && session.ReasonOf(err) != c.reason {
			t.Errorf("%s, %s: %+v, %v", c.publish, c.forward, terms, err)
		}
		mu.Lock()
		if !slices.Equal(asked, c.want) {
			t.Errorf("%s, %s: asked %v, want %v", c.publish, c.forward, asked, c.want)
		}
		mu.Unlock()
	}
	publish, asked = "0", nil
	if _, err := client.Decide(t.Context(), player("x")); err != nil || !slices.Equal(asked, []string{"/first on_play"}) {
		t.Errorf("a player: %v, asked %v", err, asked)
	}
}
