package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestConfiguration: it is shown with a tag, changed if the tag still fits, and the log tells which keys, not which values.
func TestConfiguration(t *testing.T) {
	f := &fakeConfiguration{}
	r := newRig(t, func(c *Config) { c.Configuration = f })
	a := r.ask(http.MethodGet, apiPrefix+"/config", "")
	if a.status != 200 || a.header.Get("ETag") != `"v0"` || strings.TrimSpace(a.body) !=
		`{"values":[{"key":"admin.token","value":"***","origin":"env WEIR_ADMIN_TOKEN"},{"key":"limits.streams","value":10000,"origin":"weir.yml:3"}]}` {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	const patch = `{"limits":{"streams":5},"admin":{"token":"hunter2"}}`
	for _, c := range []struct {
		match  string
		status int
		tag    string
	}{
		{`"v0"`, 200, `"v1"`},
		{`"v0"`, 412, ""},
		{`"v7", "v1"`, 200, `"v2"`},
		{"*", 200, `"v3"`},
		{"", 200, `"v4"`},
	} {
		a := r.ask(http.MethodPatch, apiPrefix+"/config", patch, "If-Match", c.match, "Content-Type", "application/merge-patch+json")
		if a.status != c.status || a.header.Get("ETag") != c.tag {
			t.Errorf("If-Match %s: %d %s %s", c.match, a.status, a.header.Get("ETag"), a.body)
		}
		if a.status == 200 && strings.TrimSpace(a.body) != `{"changed":[{"key":"limits.streams","when":"live"},{"key":"admin.token","when":"restart"}],"waiting":["admin.token"]}` {
			t.Error(a.body)
		}
	}
	if len(f.patches) != 4 || f.patches[0] != patch {
		t.Errorf("%q", f.patches)
	}
	a = r.ask(http.MethodPost, apiPrefix+"/config/reload", "")
	if a.status != 200 || strings.TrimSpace(a.body) != `{"changed":[],"waiting":[]}` || a.header.Get("ETag") != `"v4"` {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if log := r.log.String(); strings.Count(log, `what="configuration changed"`) != 4 || strings.Count(log, `what="configuration reloaded"`) != 1 ||
		!strings.Contains(log, "limits.streams") || strings.Contains(log, "hunter2") {
		t.Error(log)
	}
}

// TestConfigurationThatIsWrong: each mistake is told with its place, and a missing folder with the key to set.
func TestConfigurationThatIsWrong(t *testing.T) {
	f := &fakeConfiguration{fail: &ConfigError{[]Fault{{"weir.yml:3:5", `unknown key, did you mean "listen"?`}, {"limits.streams", "-1 is below 0"}}}}
	r := newRig(t, func(c *Config) { c.Configuration = f })
	for _, c := range []struct{ method, path, body string }{{"PATCH", "/config", "{}"}, {"POST", "/config/reload", ""}} {
		a := r.ask(c.method, apiPrefix+c.path, c.body)
		var p Problem
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 422 || a.code() != "configuration_invalid" || len(p.Errors) != 2 ||
			p.Errors[0].Where != "weir.yml:3:5" || p.Errors[1].What != "-1 is below 0" {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
	}
	f.fail = ErrNoState
	if a := r.ask("PATCH", apiPrefix+"/config", "{}"); a.status != 409 || a.code() != "no_state" || !strings.Contains(a.body, "state") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if strings.Contains(r.log.String(), "changed through the API") {
		t.Error(r.log)
	}
}

// TestHooksAPI: hooks are shown with their state and deliveries, and one is sent again.
func TestHooksAPI(t *testing.T) {
	f := &fakeHooks{}
	r := newRig(t, func(c *Config) { c.Hooks = f })
	hooks := get[struct{ Hooks []Hook }](r, "/hooks").Hooks
	if len(hooks) != 1 || hooks[0].Name != "billing" || hooks[0].Queue != 3 || hooks[0].NextTry == nil || hooks[0].LastError != "503" {
		t.Errorf("%+v", hooks)
	}
	list := get[struct{ Deliveries []Delivery }](r, "/hooks/billing/deliveries").Deliveries
	if len(list) != 1 || list[0].ID != "01A" || list[0].Status != 503 || list[0].Duration != 0.25 || list[0].Done {
		t.Errorf("%+v", list)
	}
	if a := r.ask(http.MethodPost, apiPrefix+"/hooks/billing/deliveries/01A/replay", ""); a.status != http.StatusAccepted || f.replayed != "01A" {
		t.Errorf("%d %s %q", a.status, a.body, f.replayed)
	}
	if !strings.Contains(r.log.String(), `what="delivery sent again"`) || !strings.Contains(r.log.String(), "hook=billing id=01A") {
		t.Error(r.log)
	}
}

// TestKeysAPI: the secret of a new key is told once, and nowhere else; a key is revoked with or without its sessions.
func TestKeysAPI(t *testing.T) {
	f := &fakeKeys{}
	r := newRig(t, func(c *Config) { c.Keys = f })
	a := r.ask(http.MethodPost, apiPrefix+"/keys", `{"id":"cam1","role":"publish","match":"live/*","path":"live/front","label":"Front door","expires":"2030-01-02T03:04:05Z"}`)
	var made struct {
		Key    Key
		Secret string
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != http.StatusCreated || a.header.Get("Cache-Control") != "no-store" || made.Secret != fakeSecret {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	if k := made.Key; k.ID != "cam1" || k.Role != "publish" || k.Match != "live/*" || k.Path != "live/front" || k.Label != "Front door" ||
		k.Expires == nil || !k.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", k)
	}
	if keys := get[struct{ Keys []Key }](r, "/keys").Keys; len(keys) != 1 || keys[0].ID != "cam1" || keys[0].Revoked != nil {
		t.Errorf("%+v", keys)
	}
	for query, kept := range map[string]bool{"?keep=true": true, "": false, "?keep=false": false} {
		if a := r.ask(http.MethodDelete, apiPrefix+"/keys/cam1"+query, ""); a.status != http.StatusNoContent || f.kept != kept {
			t.Errorf("%s: %d, kept %v", query, a.status, f.kept)
		}
	}
	if keys := get[struct{ Keys []Key }](r, "/keys").Keys; len(keys) != 1 || keys[0].Revoked == nil {
		t.Errorf("%+v", keys)
	}
	if log := r.log.String(); strings.Contains(log, fakeSecret) || !strings.Contains(log, `what="key made"`) || !strings.Contains(log, `what="key revoked"`) {
		t.Error(log)
	}
}
