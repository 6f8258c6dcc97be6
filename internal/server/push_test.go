package server

import (
	"errors"
	"strings"
	"testing"

	"weir/internal/admin"
)

// TestPushGivenBack: who gives a target's URL back as it was shown changes nothing of it, though the key in it is not shown;
// what is shown in the place of a secret is nobody's URL.
func TestPushGivenBack(t *testing.T) {
	s, err := New(configured(t, "streams.0.pull.allow_private=true"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	api := adminPushes{s.push}
	for _, url := range []string{"rtmp://bob:hunter2@127.0.0.1:1/app?token=hunter3", "rtmp://127.0.0.1:1/app/hunter2"} {
		key := new("k")
		if strings.HasSuffix(url, "/hunter2") { // the key
			key = nil
		}
		made, err := api.Add(t.Context(), admin.NewPush{Stream: "live/a", Name: "x", PushSettings: admin.PushSettings{URL: &url, Key: key}})
		if err != nil || strings.Contains(made.URL, "hunter") {
			t.Fatal(made.URL, err)
		}
		shown, on := made.URL, false
		if _, err := api.Change(t.Context(), "live/a", "x", admin.PushSettings{URL: &shown, Enabled: &on}); err != nil {
			t.Fatal(err)
		}
		if c := s.push.List("live/a")[0].Config; c.URL != url || c.Enabled {
			t.Errorf("%s has become %s", url, c.URL)
		}
		for _, wrong := range []string{"rtmp://***@127.0.0.1:1/app", "rtmp://127.0.0.1:1/app?token=***"} {
			_, changed := api.Change(t.Context(), "live/a", "x", admin.PushSettings{URL: &wrong})
			_, added := api.Add(t.Context(), admin.NewPush{Stream: "live/a", PushSettings: admin.PushSettings{URL: &wrong, Key: new("k")}})
			for _, err := range []error{changed, added} {
				if e, ok := errors.AsType[*admin.PushError](err); !ok || !strings.Contains(e.Detail, "how secrets are shown") {
					t.Errorf("%s: %v", wrong, err)
				}
			}
		}
		if err := api.Remove(t.Context(), "live/a", "x"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = api.Add(t.Context(), admin.NewPush{Stream: "alone", PushSettings: admin.PushSettings{URL: new("rtmp://127.0.0.1:1/app"), Key: new("k")}})
	if e, ok := errors.AsType[*admin.PushError](err); !ok || e.Detail != "the stream path is not valid: it is app/name, of 2 to 16 segments, such as live/cam" {
		t.Error(err)
	}
	_, err = adminPulls{s.pulls}.Add(t.Context(), admin.NewPull{Stream: "live/b", Sources: []string{"rtmp://***@127.0.0.1:1/app/a"}})
	if e, ok := errors.AsType[*admin.PullError](err); !ok || e.Code != "bad_source" || !strings.Contains(e.Detail, "how secrets are shown") {
		t.Error(err)
	}
}
