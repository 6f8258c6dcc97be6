package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"weir/internal/event"
)

// whole gives an admin listener every part.
func whole(c *Config) {
	c.Configuration, c.Hooks, c.Keys, c.Events, c.Pulls, c.Pushes = &fakeConfiguration{}, &fakeHooks{}, &fakeKeys{}, event.NewBus(), &fakePulls{}, &fakePushes{}
	c.Recorders = &fakeRecorders{}
}

// TestErrors: each route answers a wrong request with the right status and a code that stays the same.
func TestErrors(t *testing.T) {
	r := newRig(t, whole)
	long := strings.Repeat("x", 2000)
	for _, c := range []struct {
		method, path, body string
		header             []string
		status             int
		code               string
	}{
		{"GET", "/streams/live/none", "", nil, 404, "stream_not_found"},
		{"DELETE", "/streams/live/none", "", nil, 404, "stream_not_found"},
		{"GET", "/streams/" + long, "", nil, 422, "invalid"},
		{"GET", "/streams?limit=0", "", nil, 422, "invalid"},
		{"GET", "/streams?limit=10001", "", nil, 422, "invalid"},
		{"GET", "/streams?limit=ten", "", nil, 422, "invalid"},
		{"GET", "/streams?online=maybe", "", nil, 422, "invalid"},
		{"GET", "/streams?cursor=%21", "", nil, 422, "bad_cursor"},
		{"GET", "/streams?cursor=" + long, "", nil, 422, "invalid"},
		{"GET", "/streams?app=" + long, "", nil, 422, "invalid"},
		{"POST", "/streams", "{}", nil, 405, "method_not_allowed"},
		{"PATCH", "/streams/live/a", "{}", nil, 405, "method_not_allowed"},
		{"GET", "/sessions/none", "", nil, 404, "session_not_found"},
		{"DELETE", "/sessions/none", "", nil, 404, "session_not_found"},
		{"GET", "/sessions/" + long, "", nil, 422, "invalid"},
		{"GET", "/sessions?role=king", "", nil, 422, "invalid"},
		{"GET", "/sessions?limit=-1", "", nil, 422, "invalid"},
		{"GET", "/sessions?rol=play", "", nil, 422, "invalid"},
		{"GET", "/version?x=", "", nil, 422, "invalid"},
		{"GET", "/events?type=publish.start", "", nil, 422, "invalid"},
		{"GET", "/events?types=publish.begin", "", nil, 422, "invalid"},
		{"GET", "/events?types=stream.online,publish*", "", nil, 422, "invalid"},
		{"GET", "/sessions?cursor=%21", "", nil, 422, "bad_cursor"},
		{"DELETE", "/sessions", "", nil, 405, "method_not_allowed"},
		{"POST", "/version", "{}", nil, 405, "method_not_allowed"},
		{"PATCH", "/config", "", nil, 400, "bad_request"},
		{"PATCH", "/config", "{", nil, 400, "bad_request"},
		{"PATCH", "/config", "[]", nil, 422, "invalid"},
		{"PATCH", "/config", "null", nil, 422, "invalid"},
		{"PATCH", "/config", "{}", []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"PATCH", "/config", "{}", []string{"If-Match", `"old"`}, 412, "configuration_changed"},
		{"PATCH", "/config", `{"x":"` + strings.Repeat("x", maxPatch) + `"}`, nil, 413, "too_large"},
		{"DELETE", "/config", "", nil, 405, "method_not_allowed"},
		{"GET", "/config/reload", "", nil, 405, "method_not_allowed"},
		{"GET", "/hooks/none/deliveries", "", nil, 404, "hook_not_found"},
		{"POST", "/hooks/none/deliveries/01A/replay", "", nil, 404, "hook_not_found"},
		{"POST", "/hooks/billing/deliveries/01B/replay", "", nil, 404, "delivery_not_found"},
		{"GET", "/hooks/billing", "", nil, 404, "not_found"},
		{"DELETE", "/pulls/live/none", "", nil, 404, "pull_not_found"},
		{"DELETE", "/pulls/live/configured", "", nil, 409, "pull_configured"},
		{"POST", "/pulls", `{"stream":"live/a","sources":[]}`, nil, 422, "invalid"},
		{"POST", "/pulls", `{"stream":"live/a","sources":["rtmp://a/b/c"],"prefer":"last"}`, nil, 422, "invalid"},
		{"POST", "/pulls", `{"stream":"live/a","sources":["rtmp://a/b/c"],"colour":"red"}`, nil, 422, "invalid"},
		{"POST", "/pulls", `{"stream":"live/a","sources":["gopher://a/b/c"]}`, nil, 422, "bad_source"},
		{"POST", "/pulls/retry", `{"stream":"live/none"}`, nil, 404, "pull_not_found"},
		{"PATCH", "/pulls/live/a", "{}", nil, 405, "method_not_allowed"},
		{"DELETE", "/keys/none", "", nil, 404, "key_not_found"},
		{"DELETE", "/keys/none?keep=perhaps", "", nil, 422, "invalid"},
		{"POST", "/keys", "", nil, 400, "bad_request"},
		{"POST", "/keys", `{"match":"live/*"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"publish"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"king","match":"live/*"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"play","match":"live/*","lable":"x"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"play","match":"live/*","id":"a b"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"play","match":"live/*","expires":"tomorrow"}`, nil, 422, "invalid"},
		{"POST", "/keys", `{"role":"play","match":"live/*","id":"taken"}`, nil, 422, "id_taken"},
		{"GET", "/pushes?state=happy", "", nil, 422, "invalid"},
		{"GET", "/pushes/none/live/a", "", nil, 404, "push_not_found"},
		{"PUT", "/pushes/yt/live/a", "{}", nil, 405, "method_not_allowed"},
		{"PATCH", "/pushes/none/live/a", "{}", nil, 404, "push_not_found"},
		{"PATCH", "/pushes/conf/live/a", `{"key":"hunter2"}`, nil, 409, "configured"},
		{"PATCH", "/pushes/yt/live/a", `{"service":"aol"}`, nil, 422, "invalid"},
		{"PATCH", "/pushes/yt/live/a", `{"kee":"x"}`, nil, 422, "invalid"},
		{"DELETE", "/pushes/none/live/a", "", nil, 404, "push_not_found"},
		{"DELETE", "/pushes/conf/live/a", "", nil, 409, "configured"},
		{"POST", "/pushes/none/retry/live/a", "", nil, 404, "push_not_found"},
		{"POST", "/pushes", `{"url":"rtmp://h/live/cam"}`, nil, 422, "invalid"},
		{"POST", "/pushes", `{"stream":"live/a","url":"rtmp://h/live/cam","name":"A B"}`, nil, 422, "invalid"},
		{"POST", "/pushes", `{"stream":"live/a","url":"rtmp://h/live/cam","nam":"x"}`, nil, 422, "invalid"},
		{"POST", "/pushes", `{"stream":"live/a"}`, nil, 422, "bad_push"},
		{"POST", "/pushes", `{"stream":"live/a","url":"rtmp://h/live/cam","name":"yt"}`, nil, 409, "name_taken"},
		{"POST", "/pushes", `{"stream":"live/a","url":"rtmp://h/live/cam","name":"many"}`, nil, 409, "too_many"},
		{"GET", "/events?types=" + long, "", nil, 422, "invalid"},
		{"GET", "/nothing", "", nil, 404, "not_found"},
		{"GET", "", "", nil, 404, "not_found"},
		{"GET", "/streams/", "", nil, 422, "invalid"},
	} {
		a := r.ask(c.method, apiPrefix+c.path, c.body, c.header...)
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s %.60s %.60q: %d %q, want %d %q: %.300s", c.method, c.path, c.body, a.status, a.code(), c.status, c.code, a.body)
		}
		if c.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
		if strings.Contains(a.body, "$schema") || a.header.Get("Link") != "" {
			t.Errorf("%s %s: %v %s", c.method, c.path, a.header, a.body)
		}
	}
	if strings.Contains(r.log.String(), "changed through the API") {
		t.Errorf("nothing was changed: %s", r.log)
	}
}

// TestAbsentParts: what is not given has no route and is not described.
func TestAbsentParts(t *testing.T) {
	r := newRig(t, nil)
	document := r.ask(http.MethodGet, documentPath, "").body
	for _, path := range []string{"/config", "/config/reload", "/hooks", "/keys", "/pushes", "/events"} {
		for _, method := range methods {
			if a := r.ask(method, apiPrefix+path, ""); a.status != 404 || a.code() != "not_found" {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
		if strings.Contains(document, `"`+path+`"`) {
			t.Errorf("%s is described", path)
		}
	}
}

// TestFailuresShowNothing: what is behind a failure of the server is in its log, not in the answer.
func TestFailuresShowNothing(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Pushes = &fakePushes{fail: errDisk}
		c.Keys, c.Hooks, c.Configuration = &fakeKeys{fail: errDisk}, &fakeHooks{fail: errDisk}, &fakeConfiguration{fail: errDisk}
	})
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/keys", ""},
		{"POST", "/keys", `{"role":"play","match":"live/*"}`},
		{"POST", "/hooks/billing/deliveries/01A/replay", ""},
		{"PATCH", "/config", "{}"},
		{"POST", "/config/reload", ""},
		{"POST", "/pushes", `{"stream":"live/a","url":"rtmp://h/live/cam"}`},
	} {
		a := r.ask(c.method, apiPrefix+c.path, c.body)
		if a.status != 500 || a.code() != "internal" || strings.Contains(a.body, "secret-place") {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if n := strings.Count(r.log.String(), "no space left"); n != 6 || strings.Contains(r.log.String(), "changed through the API") {
		t.Errorf("%d lines tell why: %s", n, r.log)
	}
}

// TestMistakesAreNotRepeated: values of a request with mistakes are not in the answer: there may be secrets among them.
func TestMistakesAreNotRepeated(t *testing.T) {
	r := newRig(t, whole)
	for _, body := range []string{`{"role":"hunter2","match":"live/*"}`, `{"role":"play","match":"live/*","secret":"hunter2"}`, `{"role":"play" hunter2`} {
		a := r.ask(http.MethodPost, apiPrefix+"/keys", body)
		if a.status < 400 || strings.Contains(a.body, "hunter2") || strings.Contains(r.log.String(), "hunter2") {
			t.Errorf("%s: %d %s; the log: %s", body, a.status, a.body, r.log)
		}
	}
}

// TestErrorTexts: the errors that other packages see say what they are about.
func TestErrorTexts(t *testing.T) {
	e := &ConfigError{[]Fault{{"weir.yml:3:5", "unknown key"}, {"", "no such file"}}}
	if e.Error() != "weir.yml:3:5: unknown key\nno such file" {
		t.Error(e)
	}
	if (&KeyError{"a", "b"}).Error() != "b" || errors.Is(ErrNoHook, ErrNoDelivery) {
		t.Error("texts")
	}
}

// TestKeysThatCannotBeUsed: that the file of keys cannot be read or written is a problem of its own; the reason is in the log.
func TestKeysThatCannotBeUsed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Keys = &fakeKeys{keys: []Key{{ID: "a"}}, fail: &KeysError{errDisk}} })
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/keys", ""}, {"POST", "/keys", `{"role":"play","match":"live/*"}`}, {"DELETE", "/keys/a", ""},
	} {
		a := r.ask(c.method, apiPrefix+c.path, c.body)
		if a.status != 503 || a.code() != "keys_unusable" || !strings.Contains(a.body, "must belong to the user") || strings.Contains(a.body, "secret-place") {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	if n := strings.Count(r.log.String(), "no space left"); n != 3 || strings.Contains(r.log.String(), "changed through the API") {
		t.Errorf("%d lines tell why: %s", n, r.log)
	}
}

// TestKeysWithoutState: a server without a folder of state has the routes of keys, and says what is missing.
func TestKeysWithoutState(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Keys = &fakeKeys{fail: ErrNoState} })
	if a := r.ask("POST", apiPrefix+"/keys", `{"role":"publish","match":"live/a"}`); a.status != 409 || a.code() != "no_state" || !strings.Contains(a.body, "set the key state") {
		t.Error(a.status, a.body)
	}
}
