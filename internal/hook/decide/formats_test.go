package decide

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/hook"
	"weir/internal/session"
)

// TestUpdates: what ends a session of nginx-rtmp's format that is asked about again: what ends it there, unless the
// configuration says otherwise.
func TestUpdates(t *testing.T) {
	for _, c := range []struct {
		update string
		status int // 0: no answer
		want   session.Reason
		ends   bool
	}{
		{"normal", 200, 0, false},
		{"normal", 302, 0, false},
		{"normal", 403, session.Revoked, true},
		{"normal", 500, session.Revoked, true},
		{"normal", 503, session.Revoked, true},
		{"normal", 0, session.Revoked, true},
		{"strict", 204, 0, false},
		{"strict", 302, session.Revoked, true},
		{"strict", 503, session.Revoked, true},
		{"lenient", 302, 0, false},
		{"lenient", 403, session.Revoked, true},
		{"lenient", 503, session.Hook, true}, // and then peer.hold lets the session go on
		{"lenient", 0, session.Hook, true},
	} {
		t.Run(fmt.Sprint(c.update, c.status), func(t *testing.T) {
			t.Parallel()
			var asked atomic.Value
			to := serve(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				asked.Store(r.URL.Path + "?" + string(b))
				if c.status == 0 {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Location", "elsewhere")
				w.WriteHeader(c.status)
			})
			client := newRig(t, to+"/first", func(conf *Config) {
				conf.Format, conf.Update, conf.Recheck, conf.UpdateURL = "nginx-rtmp", c.update, time.Minute, to+"/update"
			})
			r := publisher("token=x")
			r.Recheck, r.Running = true, 90*time.Second
			terms, err := client.Decide(t.Context(), r)
			if c.ends != (err != nil) || err != nil && session.ReasonOf(err) != c.want || err == nil && terms.Path != "" {
				t.Errorf("%+v, %v", terms, err)
			}
			if got, _ := asked.Load().(string); !strings.HasPrefix(got, "/update?app=live&") || !strings.Contains(got, "&call=update_publish&time=90&") {
				t.Errorf("asked %q", got)
			}
		})
	}
}

// TestSeveralServices: in SRS's format each of several is asked, and all must agree.
func TestSeveralServices(t *testing.T) {
	var asked [3]atomic.Int32
	var urls []string
	for i := range asked {
		urls = append(urls, serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked[i].Add(1)
			b, _ := io.ReadAll(r.Body)
			if !strings.HasPrefix(r.UserAgent(), "SRS/") {
				t.Errorf("agent %q", r.UserAgent())
			}
			if i == 1 && strings.Contains(string(b), "bad") {
				_, _ = io.WriteString(w, `{"code":5,"msg":"not here"}`)
				return
			}
			_, _ = io.WriteString(w, "0")
		}))
	}
	client := newRig(t, strings.Join(urls, " "), func(c *Config) { c.Format = "srs" })
	if _, err := client.Decide(t.Context(), publisher("token=good")); err != nil {
		t.Error(err)
	}
	if _, err := client.Decide(t.Context(), publisher("token=bad")); session.PeerText(err) != "not here" || session.ReasonOf(err) != session.Denied {
		t.Error(err)
	}
	if a, b, c := asked[0].Load(), asked[1].Load(), asked[2].Load(); a != 2 || b != 2 || c != 1 {
		t.Errorf("asked %d, %d and %d times", a, b, c)
	}
}

// TestConnections: a service that has an address for it is asked about connections, and may give them another app; the
// others are not asked.
func TestConnections(t *testing.T) {
	to := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(b))
		switch {
		case err != nil || r.URL.Path != "/connect" || form.Get("call") != "connect" || form.Has("clientid") || form.Get("epoch") == "":
			t.Errorf("%s %s", r.URL.Path, b)
		case form.Get("ticket") == "7":
			w.Header().Set("Location", "studio/7")
			w.WriteHeader(http.StatusFound)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	connection := func(query string) *admit.Request {
		r := publisher(query)
		r.Role, r.Path = session.Pending, "live"
		return r
	}
	client := newRig(t, "", func(c *Config) { c.Format, c.ConnectURL = "nginx-rtmp", to+"/connect" })
	if terms, err := client.Decide(t.Context(), connection("ticket=7")); err != nil || terms.Path != "studio/7" {
		t.Errorf("%+v, %v", terms, err)
	}
	never := newRig(t, "", func(c *Config) { c.Format, c.ConnectURL, c.Rename = "nginx-rtmp", to+"/connect", "never" })
	if _, err := never.Decide(t.Context(), connection("ticket=7")); session.ReasonOf(err) != session.Hook || !strings.Contains(err.Error(), "rename is never") {
		t.Error(err)
	}
	if _, err := client.Decide(t.Context(), connection("ticket=8")); session.ReasonOf(err) != session.Denied {
		t.Error(err)
	}
	if terms, err := client.Decide(t.Context(), publisher("")); terms != nil || err != nil {
		t.Errorf("a publisher: %+v, %v", terms, err)
	}
	other := newRig(t, to, nil)
	if terms, err := other.Decide(t.Context(), connection("")); terms != nil || err != nil {
		t.Errorf("without an address: %+v, %v", terms, err)
	}
}

// TestFailuresAreCounted: each question that failed once, however many waited for it.
func TestFailuresAreCounted(t *testing.T) {
	client := newRig(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), nil)
	for range 3 {
		if _, err := client.Decide(t.Context(), publisher("")); session.ReasonOf(err) != session.Hook {
			t.Error(err)
		}
	}
	client.counter.mu.Lock()
	defer client.counter.mu.Unlock()
	if client.failed != 3 {
		t.Errorf("%d failures", client.failed)
	}
}

// TestInProcess: who publishes within the program is asked about only if the configuration says so.
func TestInProcess(t *testing.T) {
	to := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
	for _, asks := range []bool{false, true} {
		client := newRig(t, to, func(c *Config) { c.InProcess = asks })
		r := publisher("")
		r.InProcess = true
		if _, err := client.Decide(t.Context(), r); (err != nil) != asks {
			t.Errorf("in_process %v: %v", asks, err)
		}
	}
}

// TestPairs: a service that waits for the end of each that it allowed is asked about each, also about those who show the
// same at the same time from the same address; the others are asked once.
func TestPairs(t *testing.T) {
	for format, body := range map[string]string{"nginx-rtmp": "", "srs": "0", "ome": `{"allowed":true}`, "mediamtx": "", "weir": ""} {
		const n = 6
		arrived, answer := make(chan struct{}, n), make(chan struct{})
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			arrived <- struct{}{}
			select {
			case <-answer:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, body)
		})
		c := newRig(t, url, func(conf *Config) { conf.Format = format })
		var wg sync.WaitGroup
		for i := range n {
			r := player("token=a")
			r.Session = fmt.Sprint("s", i)
			if i%2 == 0 {
				r.Role = session.Publish
			}
			wg.Go(func() {
				if _, err := c.Decide(t.Context(), r); err != nil {
					t.Error(format, err)
				}
			})
		}
		want := n
		if !c.plan.Load().format.Pairs {
			want = 2 // one of publishers, one of players
		}
		for range want {
			<-arrived
		}
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
			waiting := 0
			c.Client.mu.Lock()
			for _, f := range c.flights {
				waiting += f.waiting
			}
			c.Client.mu.Unlock()
			if waiting == n {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d wait, want %d", format, waiting, n)
			}
		}
		close(answer)
		wg.Wait()
		if len(arrived) != 0 {
			t.Errorf("%s: asked more than %d times", format, want)
		}
	}
	if nginx := hook.FormatNamed("nginx-rtmp"); !nginx.Pairs || !hook.FormatNamed("srs").Pairs || !hook.FormatNamed("ome").Pairs ||
		hook.FormatNamed("weir").Pairs || hook.FormatNamed("mediamtx").Pairs {
		t.Error("the wrong formats pair questions with ends")
	}
}
