package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPushes has an API that notes what it is asked, and answers.
func TestPushes(t *testing.T) {
	var asked []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		asked = append(asked, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.EscapedPath(), r.Header.Get("Authorization"), b))
		w.Header().Set("Content-Type", "application/json")
		const one = `{"stream":"live/cam","name":"twitch","service":"twitch","url":"rtmp://live.twitch.tv/app","origin":"api","state":"retrying","error":"closed","next_try":"2026-11-27T06:00:00Z","bytes_sent":1500000,"notes":["key frames every 8s; Twitch wants 2s"]}`
		const slow = `{"stream":"live/slow","name":"slow","url":"rtmp://h/live","origin":"config","state":"slate","bytes_sent":1000,"lag":4.26,"stalled":7.4}`
		switch {
		case r.URL.Path == "/api/v1/pushes/none/live/cam":
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"status":404,"code":"push_not_found","detail":"There is no push \"none\"."}`)
		case r.Method == http.MethodGet && r.URL.Query().Get("stream") == "live/none":
			_, _ = io.WriteString(w, `{"total":0,"pushes":[]}`)
		case r.Method == http.MethodGet && r.URL.Query().Get("stream") == "live/slow":
			_, _ = io.WriteString(w, `{"total":1,"pushes":[`+slow+`]}`)
		case r.URL.Path == "/api/v1/pushes/slow/retry/live/slow":
			_, _ = io.WriteString(w, slow)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, `{"total":1,"pushes":[`+one+`]}`)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			_, _ = io.WriteString(w, one)
		}
	}))
	defer api.Close()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("live_s3cr3t?x=1\nrest"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args       string
		status     int
		out, err   string
		asks, body string
	}{
		{"list", 0, "live/cam  twitch  retrying  -    1.5 MB  api   rtmp://live.twitch.tv/app\nlive/cam twitch: closed; tried again at ", "", "GET /api/v1/pushes", ""},
		{"list live/slow", 0, "live/slow  slow  slate  4.3s  1 kB  config  rtmp://h/live\nlive/slow slow: the server there has taken nothing for 7 s\n", "", "GET /api/v1/pushes", ""},
		{"retry live/slow slow", 0, "", "live/slow slow is slate: there is nothing to try again.\n", "POST /api/v1/pushes/slow/retry/live%2Fslow", ""},
		{"list live/none", 0, "", "No stream is sent on.\n", "GET /api/v1/pushes", ""},
		{"list --json", 0, `[{"stream":"live/cam"`, "", "GET /api/v1/pushes", ""},
		{"add live/cam --service twitch --key " + key, 0, "", "live/cam is sent to rtmp://live.twitch.tv/app as twitch; it is retrying.\n", "POST /api/v1/pushes Bearer t0ken", `"key":"live_s3cr3t?x=1"`},
		{"off live/cam twitch", 0, "", "live/cam twitch is retrying.\n", "PATCH /api/v1/pushes/twitch/live%2Fcam", `{"enabled":false}`},
		{"on live/cam twitch", 0, "", "live/cam twitch is retrying.\n", "PATCH /api/v1/pushes/twitch/live%2Fcam", `{"enabled":true}`},
		{"retry live/cam twitch", 0, "", "live/cam twitch is retrying.\n", "POST /api/v1/pushes/twitch/retry/live%2Fcam", ""},
		{"remove live/cam twitch", 0, "", "live/cam is no longer sent to twitch.\n", "DELETE /api/v1/pushes/twitch/live%2Fcam", ""},
		{"off live/cam none", 1, "", "weir: There is no push \"none\".\n", "PATCH /api/v1/pushes/none/live%2Fcam", ""},
		{"add live/cam --key /nowhere/key", 2, "", "the key: open /nowhere/key: no such file or directory\n", "", ""},
	} {
		asked = nil
		args := append([]string{"pushes"}, strings.Fields(c.args)...)
		status, out, errOut := command(t, append(args, "--api", api.URL, "--token", "t0ken")...)
		if status != c.status || !strings.Contains(out, c.out) || errOut != c.err {
			t.Errorf("%s: exit status %d\n%s%s", c.args, status, out, errOut)
		}
		if all := strings.Join(asked, "\n"); !strings.HasPrefix(all, c.asks) || !strings.Contains(all, c.body) || c.asks == "" && all != "" {
			t.Errorf("%s asks %q", c.args, all)
		}
		if strings.Contains(out+errOut, "s3cr3t") {
			t.Errorf("%s shows the key", c.args)
		}
	}
	api.Close()
	if status, _, errOut := command(t, "pushes", "list", "--api", api.URL, "--token", "x"); status != 1 || !strings.HasPrefix(errOut, "weir: no server answers at "+api.URL+": ") {
		t.Errorf("%d: %s", status, errOut)
	}
	if status, _, errOut := command(t, "pushes", "list", "--set", "admin.listen="); status != 2 || !strings.Contains(errOut, "say where the server's is with --api") {
		t.Errorf("%d: %s", status, errOut)
	}
}
