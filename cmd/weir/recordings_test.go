package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRecordings: the commands ask the API for what is wanted, page by page, and say plainly what goes wrong; nothing is overwritten.
func TestRecordings(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization"))
		switch {
		case r.URL.Path == "/api/v1/recordings" && r.URL.Query().Get("cursor") == "":
			fmt.Fprint(w, `{"spans":[{"path":"live/a","recording":"main","from":"2026-11-27T18:00:00Z","to":"2026-11-27T18:10:00Z","duration":600,"codecs":"avc1",
				"files":[{"id":"01A","name":"a.mp4","format":"mp4","state":"done","start":"2026-11-27T18:00:00Z","duration":600,"bytes":5},
				{"id":"01C","name":"c.mp4","format":"mp4","state":"done","uploaded":true}]},
				{"path":"live/a","recording":"main","from":"2026-11-27T18:20:00Z","to":"2026-11-27T18:30:00Z","duration":600,"codecs":"avc1","files":[]}],
				"gaps":[{"path":"live/a","recording":"main","from":"2026-11-27T18:10:00Z","to":"2026-11-27T18:20:00Z","duration":600,"reason":"offline"}],"next":"page2"}`)
		case r.URL.Path == "/api/v1/recordings":
			fmt.Fprint(w, `{"spans":[{"path":"live/b","recording":"main","from":"2026-11-27T18:00:00Z","to":"2026-11-27T18:00:01.5Z","duration":1.5,"codecs":"hvc1","files":[]}],"gaps":[]}`)
		case strings.HasSuffix(r.URL.Path, "/01REMOTE/content"):
			http.Redirect(w, r, "http://127.0.0.1:1/films/a.mp4?X-Amz-Signature=54f7", http.StatusTemporaryRedirect)
		case strings.HasSuffix(r.URL.Path, "/clip"), strings.HasSuffix(r.URL.Path, "/content"):
			w.Header().Set("Weir-Skipped", "bad%20one.mp4")
			fmt.Fprint(w, "film")
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "01A"):
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"detail":"There is no recording \"01B\"."}`)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	try := func(args ...string) (string, string, int) {
		asked = nil
		var out, err bytes.Buffer
		status := run(append(append([]string{"recordings"}, args...), "--api", server.URL, "--set", "admin.token=secret"), &out, &err)
		return out.String(), err.String(), status
	}
	out, stderr, status := try("list", "--from", "2026-11-27T18:00:00+01:00")
	if status != 0 || len(asked) != 2 || asked[0] != "GET /api/v1/recordings?from=2026-11-27T17%3A00%3A00Z Bearer secret" || !strings.Contains(asked[1], "cursor=page2") {
		t.Error(status, asked, stderr)
	}
	for _, want := range []string{"live/a", "10m0s", "gap: offline", "live/b", "1.5s", "2026-11-27T18:10:00.000Z"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if first, gap, second := strings.Index(out, "600s"), strings.Index(out, "gap: offline"), strings.Index(out, "2026-11-27T18:30:00"); first > gap || gap > second {
		t.Errorf("the gap is not between its spans:\n%s", out)
	}
	if _, stderr, status := try("get", "01REMOTE", "-o", filepath.Join(dir, "remote.mp4")); status != exitFailure || strings.Contains(stderr, "Signature") ||
		!strings.HasPrefix(stderr, "weir: the file is only in the storage, which does not answer at 127.0.0.1:1: dial tcp ") {
		t.Error(status, stderr)
	}
	if out, _, _ := try("list", "live/a", "--files"); strings.Count(out, " done ") != 1 || strings.Count(out, " uploaded ") != 1 {
		t.Error(out)
	}
	if out, _, _ := try("list", "live/a", "--files"); !strings.Contains(out, "01A") || !strings.Contains(asked[0], "path=live%2Fa") {
		t.Error(out, asked)
	}
	if out, _, _ := try("list", "--json"); strings.Count(out, "\n") != 2 {
		t.Error(out)
	}
	name := filepath.Join(dir, "film.mp4")
	get := []string{"get", "live/a", "--from", "2026-11-27T18:00:00Z", "--duration", "90s", "-o", name}
	_, stderr, status = try(get...)
	if b, err := os.ReadFile(name); status != 0 || err != nil || string(b) != "film" || !strings.Contains(stderr, "bad one.mp4 is damaged") ||
		asked[0] != "GET /api/v1/recordings/clip?duration=90&from=2026-11-27T18%3A00%3A00Z&gaps=skip&path=live%2Fa Bearer secret" {
		t.Error(status, stderr, asked, string(b), err)
	}
	if _, stderr, status = try(get...); status != exitUsage || !strings.Contains(stderr, "--force") {
		t.Error(status, stderr)
	}
	if _, stderr, status = try(append(get, "--force")...); status != 0 {
		t.Error(status, stderr)
	}
	if out, _, status := try("get", "01A", "-o", "-"); status != 0 || out != "film" || !strings.Contains(asked[0], "/recordings/01A/content") {
		t.Error(status, out, asked)
	}
	if _, stderr, status := try("get", "live/a"); status != exitUsage || !strings.Contains(stderr, "--from") || len(asked) != 0 {
		t.Error(status, stderr)
	}
	if _, stderr, status := try("delete", "01A", "01B"); status != exitFailure || !strings.Contains(stderr, "01A is deleted") || !strings.Contains(stderr, `There is no recording "01B".`) {
		t.Error(status, stderr)
	}
	if _, stderr, status := try("list", "--from", "tomorrow"); status != exitUsage || !strings.Contains(stderr, "no time") {
		t.Error(status, stderr)
	}
	server.Close()
	if _, stderr, status := try("list"); status != exitFailure || !strings.Contains(stderr, "no server answers") || strings.Contains(stderr, "secret") {
		t.Error(status, stderr)
	}
}
