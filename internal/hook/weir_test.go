package hook

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

func TestAnswerWeir(t *testing.T) {
	q := ask(publisher())
	until := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	reason200 := strings.Repeat("ü", 200)
	for _, a := range []answer{
		{status: 200, want: yes},
		{status: 204, want: yes},
		{status: 200, body: " \n", want: yes},
		{status: 200, body: `{}`, want: yes},
		{status: 200, body: `{"allow":true,"something":{"new":[1]}}`, want: yes},
		{status: 200, body: `{"allow":false}`, want: Answer{}},
		{status: 200, body: `{"allow":false,"reason":"not paid","cache":"30s"}`, want: Answer{Reason: "not paid", Cache: 30 * time.Second}},
		{
			status: 200, body: `{"allow":true,"reason":"","path":"live/alice","user":"u42","labels":{"plan":"pro","n":3,"paid":true},
			"cache":"30s","until":"2026-11-27T08:00:00Z","recheck":"60s","limits":{"bitrate":"8Mbps","players":500,"duration":"2h"},
			"push":[{"name":"yt","url":"rtmps://a.rtmps.youtube.com:443/live2","key":"k"},{"url":"rtmp://b/c"}],"record":["main"],
			"pull":"rtmp://origin/live/alice","redirect":"https://b.example/live/alice"}`,
			want: Answer{Allow: true, Cache: 30 * time.Second, Terms: session.Terms{
				Path: "live/alice", User: "u42", Labels: map[string]string{"plan": "pro", "n": "3", "paid": "true"},
				Until: until, Recheck: time.Minute, Bitrate: 8e6, Players: 500, Duration: 2 * time.Hour,
				Push:   []session.Push{{Name: "yt", URL: "rtmps://a.rtmps.youtube.com:443/live2", Key: "k"}, {Name: "hook-2", URL: "rtmp://b/c"}},
				Record: []string{"main"}, Pull: "rtmp://origin/live/alice", Redirect: "https://b.example/live/alice",
			}},
		},
		{
			status: 200, body: `{"cache":2.5,"until":1795680000,"recheck":0.01,"limits":{"bitrate":2500000,"duration":60}}`,
			want: Answer{Allow: true, Cache: 2500 * time.Millisecond, Terms: session.Terms{
				Until: time.Unix(1795680000, 0), Recheck: time.Second, Bitrate: 2.5e6, Duration: time.Minute,
			}},
		},
		{status: 200, body: `{"path":null,"labels":null,"until":"","cache":"","limits":null,"push":null,"record":null}`, want: yes},
		{status: 200, body: `{"cache":"1h"}`, want: Answer{Allow: true, Cache: time.Hour}},
		{status: 200, body: `{"cache":"1h1s"}`, want: Answer{Allow: true, Cache: time.Hour}},
		{status: 200, body: `{"record":false}`, want: terms(session.Terms{Record: []string{}})},
		{status: 200, body: `{"record":[]}`, want: terms(session.Terms{Record: []string{}})},
		{status: 200, body: `{"record":true}`, want: yes},
		{status: 200, body: `{"limits":{"bitrate":"1.5Gbps"}}`, want: terms(session.Terms{Bitrate: 1.5e9})},
		{status: 200, body: `{"limits":{"bitrate":"800KBPS"}}`, want: terms(session.Terms{Bitrate: 800e3})},

		// Denials.
		{status: 401, want: no(401, "")},
		{status: 403, body: `{"reason":"  blocked\u0007\n for\t good\u202e "}`, want: no(403, "blocked  for  good")},
		{status: 403, body: `<html>no`, want: no(403, "")},
		{status: 403, body: `{"allow":true}`, want: no(403, "")},
		{status: 403, body: `{"cache":"1h"}`, want: Answer{Status: 403, Cache: time.Hour}},
		{status: 403, body: `{"cache":"1h1s"}`, want: Answer{Status: 403, Cache: time.Hour}},
		{status: 404, body: `{"reason":"` + reason200 + `"}`, want: no(404, reason200)},
		{status: 409, body: `{"reason":"` + reason200 + `x"}`, want: no(409, reason200)},
		{status: 410, want: no(410, "")},
		{status: 429, want: no(429, "")},
		{status: 429, header: http.Header{"Retry-After": {"7"}}, want: Answer{Status: 429, RetryAfter: 7 * time.Second}},
		{status: 429, header: http.Header{"Retry-After": {"99999"}}, want: Answer{Status: 429, RetryAfter: time.Hour}},
		{status: 429, header: http.Header{"Retry-After": {"-1"}}, want: no(429, "")},

		// Failures.
		{status: 200, body: `SECRET`, err: "not JSON (at byte 1)"},
		{status: 200, body: `{"allow":"SECRET"}`, err: `"allow" holds a string where a bool belongs`},
		{status: 200, body: `{"limits":{"players":"SECRET"}}`, err: `"limits.players" holds a string`},
		{status: 200, body: `{"limits":{"players":-1}}`, err: "limits.players"},
		{status: 200, body: `{"limits":{"bitrate":"SECRET"}}`, err: "is a bit rate"},
		{status: 200, body: `{"limits":{"bitrate":-1}}`, err: "is a bit rate"},
		{status: 200, body: `{"limits":{"bitrate":"1001Gbps"}}`, err: "is a bit rate"},
		{status: 200, body: `{"limits":{"bitrate":"NaN"}}`, err: "is a bit rate"},
		{status: 200, body: `{"cache":"SECRET"}`, err: "is a duration"},
		{status: 200, body: `{"cache":"-1s"}`, err: "from 0 to a year"},
		{status: 200, body: `{"recheck":1e99}`, err: "is a duration"},
		{status: 200, body: `{"until":"tomorrow"}`, err: "is a time"},
		{status: 200, body: `{"until":-5}`, err: "is a time"},
		{status: 200, body: `{"path":"` + strings.Repeat("x", 256) + `"}`, err: `"path" is longer than 255 bytes`},
		{status: 200, body: `{"path":"live/a\u0000"}`, err: `"path" has control characters`},
		{status: 200, body: `{"user":"` + strings.Repeat("x", 129) + `"}`, err: "the user of the grant is longer than 128 bytes"},
		{status: 200, body: `{"labels":{"` + strings.Repeat("k", 12) + `":"` + strings.Repeat("x", 501) + `"}}`, err: "512 may be"},
		{status: 200, body: `{"labels":{"a":{"b":1}}}`, err: `"labels" must be strings, numbers or booleans`},
		{status: 200, body: `{"labels":{"a":"x\n"}}`, err: "control characters"},
		{status: 200, body: `{"push":[{"url":"https://x/SECRET"}]}`, err: `"push.url" is no address that begins with rtmp://, rtmps://`},
		{status: 200, body: `{"push":[{}]}`, err: "push.url"},
		{status: 200, body: `{"push":[{"url":"rtmp://:1935/SECRET"}]}`, err: "push.url"},
		{status: 200, body: `{"pull":"rtmp:///SECRET"}`, err: "pull"},
		{status: 200, body: `{"redirect":"javascript:SECRET"}`, err: "redirect"},
		{status: 200, body: `{"push":[` + strings.Repeat(`{"url":"rtmp://h/a"},`, 16) + `{"url":"rtmp://h/a"}]}`, err: "more than 16 entries"},
		{status: 200, body: `{"record":"main"}`, err: "a list of names, true or false"},
		{status: 200, body: `{"record":[` + strings.Repeat(`"a",`, 16) + `"a"]}`, err: "more than 16 names"},
		{status: 200, body: `{"pull":"file:///etc/SECRET"}`, err: "pull"},
		{status: 200, body: `{"redirect":"javascript:SECRET"}`, err: "redirect"},
		{status: 200, body: `{"redirect":"https://h/\r\nX: SECRET"}`, err: "control characters"},
		{status: 302, header: location("/SECRET"), err: "redirects are not followed"},
		{status: 400, body: `{"allow":true}`, err: "status 400"},
		{status: 500, err: "status 500"},
		{status: 503, header: http.Header{"Retry-After": {"7"}}, err: "status 503"},
	} {
		a.check(t, &weirFormat, q)
	}
	// At the bounds.
	for _, body := range []string{
		`{"path":"` + strings.Repeat("x", 255) + `"}`, `{"user":"` + strings.Repeat("x", 128) + `"}`,
		`{"labels":{"` + strings.Repeat("k", 12) + `":"` + strings.Repeat("x", 500) + `"}}`,
		`{"push":[` + strings.Repeat(`{"url":"rtmp://h/a"},`, 15) + `{"url":"rtmp://h/a"}]}`,
		`{"record":[` + strings.Repeat(`"a",`, 15) + `"a"]}`, fmt.Sprintf(`{"limits":{"players":%d,"bitrate":"1000Gbps"}}`, 1<<30),
	} {
		if a, err := weirFormat.DecodeDecision(q, &Reply{Status: 200, Body: []byte(body)}); err != nil || !a.Allow {
			t.Errorf("%.40s: %v", body, err)
		}
	}
}

func TestRetryAfterDate(t *testing.T) {
	now := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"Fri, 27 Nov 2026 06:01:00 GMT": time.Minute, "Fri, 27 Nov 2026 05:00:00 GMT": 0,
		"Fri, 27 Nov 2037 05:00:00 GMT": time.Hour, "soon": 0, "": 0, " 3 ": 3 * time.Second, "3600": time.Hour, "3601": time.Hour,
	} {
		if got := RetryAfter(s, now); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{`{}`, `{"allow":false,"reason":"x"}`, `{"limits":{"bitrate":"8Mbps"}}`, `0`, `{"code":0}`, `{"allowed":true,"new_url":"rtmp://a/b/c"}`, `{"record":false,"push":[{"url":"rtmp://a/b"}]}`} {
		f.Add(200, s, "name")
	}
	f.Fuzz(func(t *testing.T, status int, body, loc string) {
		for _, format := range formats {
			a, err := format.DecodeDecision(ask(publisher()), &Reply{Status: status, Header: location(loc), Body: []byte(body)})
			if err != nil {
				continue
			}
			if len([]rune(a.Reason)) > 200 || len(a.Terms.Path) > 255 || len(a.Terms.User) > 128 || a.Cache > time.Hour || a.Cache < 0 || a.Terms.Recheck < 0 {
				t.Fatalf("%s: %+v", format.Name, a)
			}
		}
	})
}

// TestEncoder: what a publisher by RTMP says in the place of a user agent is its encoder; nobody else has one.
func TestEncoder(t *testing.T) {
	for _, c := range []struct {
		role     session.Role
		protocol string
		want     string
	}{
		{session.Publish, "rtmp", "FMLE/3.0"},
		{session.Publish, "rtmps", "FMLE/3.0"},
		{session.Publish, "in-process", ""},
		{session.Publish, "http", ""},
		{session.Play, "rtmp", ""},
		{session.Play, "hls", ""},
	} {
		q := &Question{Request: &admit.Request{Role: c.role, Protocol: c.protocol, Path: "live/a", UserAgent: "FMLE/3.0"}}
		var asked struct {
			Session struct {
				UserAgent string `json:"user_agent"`
				Encoder   *string
			}
		}
		if err := json.Unmarshal(weirFormat.EncodeDecision(q).Body, &asked); err != nil {
			t.Fatal(err)
		}
		if s := asked.Session; s.Encoder == nil || *s.Encoder != c.want || s.UserAgent != "FMLE/3.0" {
			t.Errorf("%s by %s: %+v", c.role, c.protocol, s)
		}
	}
}
