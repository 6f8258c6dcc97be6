package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSessions has an API that answers in two pages.
func TestSessions(t *testing.T) {
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		w.Header().Set("Content-Type", "application/json")
		one := func(id string) string {
			return `{"id":"` + id + `","protocol":"rtmp","role":"play","stream":"live/cam","remote":"203.0.113.7:51234","key_id":"k1","duration":61.4,"bytes_received":3000,"bytes_sent":1500000}`
		}
		switch {
		case r.URL.Path == "/api/v1/sessions/none":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"status":404,"code":"session_not_found","detail":"There is no session \"none\"."}`)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.URL.Query().Get("stream") == "live/none":
			_, _ = io.WriteString(w, `{"total":0,"sessions":[]}`)
		case r.URL.Query().Get("cursor") == "":
			_, _ = io.WriteString(w, `{"total":2,"next":"c","sessions":[`+one("a1")+`]}`)
		default:
			_, _ = io.WriteString(w, `{"total":2,"sessions":[`+one("b2")+`]}`)
		}
	}))
	defer api.Close()
	for _, c := range []struct {
		args     string
		status   int
		out, err string
		asks     string
	}{
		{"list --role play", 0, "b2  play  live/cam  rtmp      203.0.113.7:51234  -     k1   1m1s  3 kB", "", "GET /api/v1/sessions?cursor=c&limit=10000&role=play"},
		{"list --stream live/none", 0, "", "There are no such sessions.\n", "GET /api/v1/sessions?limit=10000&stream=live%2Fnone"},
		{"list --json", 0, `[{"id":"a1",`, "", "GET /api/v1/sessions?cursor=c&limit=10000"},
		{"list --role king", 2, "", "--role must be one of", ""},
		{"kick a1", 0, "", "The session a1 is ended.\n", "DELETE /api/v1/sessions/a1?"},
		{"kick none", 1, "", `There is no session "none".`, "DELETE /api/v1/sessions/none?"},
	} {
		asked = nil
		args := append([]string{"sessions"}, strings.Fields(c.args)...)
		status, out, said := command(t, append(args, "--api", api.URL, "--token", "t0ken")...)
		if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(said, c.err) || c.asks != "" && (len(asked) == 0 || asked[len(asked)-1] != c.asks) {
			t.Errorf("weir sessions %s: exit status %d\n%s%s%q", c.args, status, out, said, asked)
		}
	}
}
