package admin

import (
	"net/http"
	"strings"
	"testing"
)

// TestPushes: targets are listed, by stream and by state too, made, changed, tried again and removed; each change is logged, and no key is shown.
func TestPushes(t *testing.T) {
	pushes := &fakePushes{}
	r := newRig(t, func(c *Config) { c.Pushes = pushes })
	for query, want := range map[string]string{
		"": "conf yt", "?stream=live/a": "conf yt", "?stream=live/b": "", "?state=live": "conf", "?state=retrying": "yt", "?state=off": "", "?stream=live/a&state=live": "conf",
	} {
		var names []string
		for _, p := range get[struct{ Pushes []Push }](r, "/pushes"+query).Pushes {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	for _, name := range []string{"conf", "yt"} {
		if p := get[Push](r, "/pushes/"+name+"/live/a"); p.Name != name {
			t.Errorf("%+v", p)
		}
	}
	for _, c := range []struct {
		method, path, body, what string
		status                   int
	}{
		{http.MethodPost, "/pushes", `{"stream":"live/a","name":"new","url":"rtmp://h.example/live","key":"hunter2"}`, "push made", http.StatusCreated},
		{http.MethodPatch, "/pushes/yt/live/a", `{"enabled":false}`, "push changed", http.StatusOK},
		{http.MethodPost, "/pushes/yt/retry/live/a", "", "push tried again", http.StatusOK},
		{http.MethodDelete, "/pushes/yt/live/a", "", "push removed", http.StatusNoContent},
	} {
		a := r.ask(c.method, apiPrefix+c.path, c.body)
		if a.status != c.status || strings.Contains(a.body, "hunter2") {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.status, a.body)
		}
		if n := strings.Count(r.log.String(), c.what); n != 1 {
			t.Errorf("%s is told %d times: %s", c.what, n, r.log)
		}
	}
	for path, want := range map[string]string{
		"/pushes/nosuch/retry/live/a": `The stream \"live/a\" is not sent to \"nosuch\", but to conf, yt.`,
		"/pushes/yt/retry/live/b":     `The stream \"live/b\" is sent to no other server, and so not to \"yt\".`,
	} {
		if a := r.ask(http.MethodPost, apiPrefix+path, ""); a.status != http.StatusNotFound || !strings.Contains(a.body, want) {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := r.ask(http.MethodPost, apiPrefix+"/pushes/conf/retry/live/a", ""); a.status != http.StatusOK || strings.Count(r.log.String(), "push tried again") != 1 {
		t.Errorf("one that is live: %d %s\n%s", a.status, a.body, r.log)
	}
	pushes.retried -= 3
	if pushes.key != "hunter2" || pushes.retried != 1 || strings.Contains(r.log.String(), "hunter2") {
		t.Errorf("%+v\n%s", pushes, r.log)
	}
}
