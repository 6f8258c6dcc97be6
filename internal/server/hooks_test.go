package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/config"
)

// receiver is an HTTP service that is told of events.
func receiver(t *testing.T) (url string, types func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e struct {
			Type string         `json:"type"`
			Data map[string]any `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		reason, _ := e.Data["reason"].(string)
		all = append(all, strings.TrimSpace(e.Type+" "+reason))
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// TestHooks: a hook is told of everything from the server's start to its stop.
func TestHooks(t *testing.T) {
	url, types := receiver(t)
	s, err := New(configured(t, "hooks.0.url="+url, "hooks.0.batch=1"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- s.Run(ctx) })
	p, err := s.InProcess().PublishLocal(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	got := types()
	slices.Sort(got)
	want := []string{"publish.start", "publish.stop unpublish", "server.start", "server.stop", "stream.offline", "stream.online"}
	if !slices.Equal(got, want) {
		t.Error(got)
	}
}

// TestHooksAreReplaced: a change of the configuration puts other hooks into force.
func TestHooksAreReplaced(t *testing.T) {
	before, first := receiver(t)
	after, second := receiver(t)
	s, err := New(configured(t, "hooks.0.url="+before), Options{})
	if err != nil {
		t.Fatal(err)
	}
	change, err := s.Prepare(configured(t, "hooks.0.url="+after, "hooks.0.name=new"))
	if err != nil {
		t.Fatal(err)
	}
	if l := s.hooks.List(); len(l) != 1 || l[0].Name != "127-0-0-1" {
		t.Errorf("before Apply: %+v", l)
	}
	change.Apply()
	if l := s.hooks.List(); len(l) != 1 || l[0].Name != "new" {
		t.Errorf("after Apply: %+v", l)
	}
	s.Close()
	if got := second(); !slices.Equal(got, []string{"config.reloaded"}) || len(first()) != 0 {
		t.Error(got, first())
	}
	bad := configured(t)
	if _, err := config.Load(&bad, config.Source{Sets: []string{"hooks.0.url=https://a/", "hooks.0.name=x", "hooks.1.url=https://b/", "hooks.1.name=x"}}); err == nil || !strings.Contains(err.Error(), "hooks.1.name") {
		t.Error(err)
	}
}

// TestBadHook: a server whose hook cannot work does not start, and says which.
func TestBadHook(t *testing.T) {
	conf := configured(t, "hooks.0.url=https://127.0.0.1/x", "hooks.0.name=billing", "hooks.0.ca=/does/not/exist")
	if _, err := New(conf, Options{}); err == nil || !strings.Contains(err.Error(), "billing") || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Error(err)
	}
}

// TestHooksInAPI: the API shows the hooks and their deliveries, and sends one again.
func TestHooksInAPI(t *testing.T) {
	url, types := receiver(t)
	s, err := New(configured(t, "hooks.0.url="+url, "hooks.0.name=billing", "hooks.0.events=[stream.online]", "admin.listen=127.0.0.1:0"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { done <- s.Run(ctx) })
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		wg.Wait()
	}()
	ask := func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr("admin").String()+"/api/v1/hooks"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(b)
	}
	p, err := s.InProcess().PublishLocal(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Deliveries []struct{ ID, Stream string }
	}
	for len(list.Deliveries) == 0 {
		_, body := ask(http.MethodGet, "/billing/deliveries")
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err, body)
		}
	}
	if code, body := ask(http.MethodGet, ""); code != http.StatusOK || !strings.Contains(body, `"name":"billing"`) || !strings.Contains(body, `"state":"ok"`) {
		t.Error(code, body)
	}
	if list.Deliveries[0].Stream != "live/a" {
		t.Error(list)
	}
	if code, body := ask(http.MethodPost, "/billing/deliveries/"+list.Deliveries[0].ID+"/replay"); code != http.StatusAccepted {
		t.Error(code, body)
	}
	for len(types()) < 2 {
		<-time.After(time.Millisecond)
	}
	for path, want := range map[string]string{"/billing/deliveries/none/replay": "delivery", "/none/deliveries/x/replay": "hook"} {
		if code, body := ask(http.MethodPost, path); code != http.StatusNotFound || !strings.Contains(body, "no "+want+" ") {
			t.Error(path, code, body)
		}
	}
}
