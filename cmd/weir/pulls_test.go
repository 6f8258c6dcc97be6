package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPulls has an API whose list has two pages, and which notes what it is asked.
func TestPulls(t *testing.T) {
	var asked []string
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.URL.Query().Encode(), b))
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPost && !strings.Contains(string(b), "live/a"):
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"status":404,"code":"pull_not_found","detail":"There is no pull \"live/none\"."}`)
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Query().Get("stream") == "live/none":
			_, _ = io.WriteString(w, `{"total":0,"pulls":[]}`)
		case r.URL.Query().Get("cursor") == "":
			_, _ = io.WriteString(w, `{"total":2,"next":"c1","pulls":[{"stream":"live/a","by":"edge","status":"live","since":"`+since+`","source":"rtmp://o/live/a"}]}`)
		default:
			_, _ = io.WriteString(w, `{"total":2,"pulls":[{"stream":"live/b","by":"config","status":"retrying","since":"`+since+`","source":"rtmp://b","next_try":"2026-11-27T06:00:00Z","last_error":"b refuses","failures":[{"text":"a is gone"},{"text":"b refuses"}]},`+
				`{"stream":"live/c","by":"api","status":"failed","since":"`+since+`","last_error":"nobody publishes it"}]}`)
		}
	}))
	defer api.Close()
	next, _ := time.Parse(time.RFC3339, "2026-11-27T06:00:00Z")
	again := "; tried again at " + next.Local().Format(time.TimeOnly)
	list := "STREAM  STATUS    FOR     BY      SOURCE\nlive/a  live      1h0m0s  edge    rtmp://o/live/a\nlive/b  retrying  1h0m0s  config  rtmp://b\nlive/c  failed    1h0m0s  api     -\n" +
		"live/b: a is gone" + again + "\nlive/b: b refuses" + again + "\nlive/c: nobody publishes it\n"
	for _, c := range []struct {
		args     string
		status   int
		out, err string
		asks     string
	}{
		{"list", 0, list, "", "GET /api/v1/pulls limit=10000 \nGET /api/v1/pulls cursor=c1&limit=10000 "},
		{"list live/none --status live", 0, "", "No such stream is fetched.\n", "GET /api/v1/pulls limit=10000&status=live&stream=live%2Fnone "},
		{"list live/none --json", 0, "[]\n", "", "GET /api/v1/pulls limit=10000&stream=live%2Fnone "},
		{"retry live/a", 0, "", "The sources of live/a are tried now.\n", `POST /api/v1/pulls/retry  {"stream":"live/a"}`},
		{"retry live/none", 1, "", "weir: There is no pull \"live/none\".\n", `POST /api/v1/pulls/retry  {"stream":"live/none"}`},
	} {
		asked = nil
		status, out, errOut := command(t, append(append([]string{"pulls"}, strings.Fields(c.args)...), "--api", api.URL, "--token", "t0ken")...)
		out = regexp.MustCompile(`1h0m\ds`).ReplaceAllString(out, "1h0m0s")
		if status != c.status || out != c.out || errOut != c.err {
			t.Errorf("%s: exit status %d\n%s%s\nwant\n%s", c.args, status, out, errOut, c.out)
		}
		if got := strings.Join(asked, "\n"); got != c.asks {
			t.Errorf("%s asks %q, not %q", c.args, got, c.asks)
		}
	}
}
