package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A reader asks the server for everything that it shows, and keeps it.
type reader struct {
	t     *testing.T
	s     *server
	token string // of the API; "" for none

	got map[string]string // by URL: header and body
}

// listed finds the names in a playlist: those of lines, and those of attributes.
var listed = regexp.MustCompile(`(?m)^([^#\s].*)$|URI="([^"]+)"`)

// names are what a playlist names, in its order.
func names(playlist string) (all []string) {
	for _, m := range listed.FindAllStringSubmatch(playlist, -1) {
		all = append(all, m[1]+m[2])
	}
	return all
}

// variant is the first playlist that a multivariant playlist names; "" if there is none.
func variant(playlist string) string {
	for _, m := range listed.FindAllStringSubmatch(playlist, -1) {
		if m[1] != "" {
			return m[1]
		}
	}
	return ""
}

// found returns what a pattern's group matches in a text.
func found(text, pattern string) (all []string) {
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// get asks for a URL and keeps what comes within a while, of answers without end their beginning. It returns the body.
func (r *reader) get(at string) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.token != "" && q.URL.Host == r.s.admin {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	a, err := (&http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	// Who went meanwhile, and what was never there.
	gone := a.StatusCode == http.StatusNotFound && regexp.MustCompile("/(sessions|clients|recordings|pushes)/").MatchString(at)
	unfinished := a.StatusCode == http.StatusConflict && strings.HasSuffix(at, "/content") // a file that is being recorded
	if a.StatusCode >= 400 && !gone && !unfinished {
		b, _ := io.ReadAll(a.Body)
		r.t.Errorf("%s: %s: %s", at, a.Status, b)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if a.ContentLength < 0 {
			cancel()
		}
	})
	b, _ := io.ReadAll(io.LimitReader(a.Body, 1<<20)) // an answer without end breaks off
	r.got[at] += fmt.Sprint(a.Header) + "\n" + string(b) + "\n"
	return string(b)
}

// readEverything asks for all that the API's description says can be asked for, with each stream, session, hook and key
// that there is, for the forms of other servers, metrics, health and profiles; and of the streams, by their paths with
// the query that viewers need, for pages, descriptions, pictures, playlists and the names in them.
func readEverything(t *testing.T, s *server, token string, streams map[string]string) map[string]string {
	t.Helper()
	r := &reader{t: t, s: s, token: token, got: map[string]string{}}
	api, compat := "http://"+s.admin+"/api/v1", "http://"+s.admin+"/compat"
	ids := func(from, list, field string) (all []string) {
		t.Helper()
		var a map[string]json.RawMessage
		var entries []map[string]any
		if err := json.Unmarshal([]byte(r.get(from)), &a); err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		if err := json.Unmarshal(a[list], &entries); err != nil {
			t.Fatalf("%s: %v", from, err)
		}
		for _, e := range entries {
			all = append(all, fmt.Sprint(e[field]))
		}
		return all
	}
	for path, query := range streams {
		base := "http://" + s.http + "/" + path + "/"
		for _, page := range []string{"", "stream.json"} {
			r.get(base + page + query)
		}
		r.get(s.url(path, "flv") + query)
		for _, name := range names(r.get(base + "index.m3u8" + query)) {
			for _, media := range names(r.get(base + name)) {
				r.get(base + media)
			}
		}
	}
	parameters := map[string][]string{
		"{path}":         ids(api+"/streams?limit=1000", "streams", "path"),
		"/sessions/{id}": ids(api+"/sessions?limit=1000", "sessions", "id"),
		"/hooks/{name}":  ids(api+"/hooks", "hooks", "name"),
		// And the answers about what is not there.
		"/recordings/{id}": append(found(r.get(api+"/recordings"), `"id":"([0-9A-Z]{26})"`), "none"), "/pushes/{name}": append(ids(api+"/pushes", "pushes", "name"), "none"),
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(r.get(api+"/openapi.json")), &document); err != nil {
		t.Fatal(err)
	}
	gets := 0
	for path, operations := range document.Paths {
		if operations["get"] == nil {
			continue
		}
		gets++
		all := []string{path}
		for what, values := range parameters {
			if !strings.Contains(path, what) || values == nil {
				continue
			}
			var filled []string
			for _, p := range all {
				for _, v := range values[:min(len(values), 8)] {
					filled = append(filled, strings.Replace(p, what, what[:strings.IndexByte(what, '{')]+url.PathEscape(v), 1))
				}
			}
			all = filled
		}
		for _, p := range all {
			if strings.Contains(p, "{") {
				t.Fatalf("%s: the test does not know what to ask for", p)
			}
			if p == "/recordings/clip" {
				p += "?path=live/alice&from=-60"
			}
			r.get(api + p)
		}
	}
	if gets < 8 {
		t.Errorf("the API's description has %d operations that only read", gets)
	}
	for _, id := range ids(compat+"/srs/api/v1/streams", "streams", "id") {
		r.get(compat + "/srs/api/v1/streams/" + id)
	}
	for _, id := range ids(compat+"/srs/api/v1/clients", "clients", "id") {
		r.get(compat + "/srs/api/v1/clients/" + id)
	}
	for _, at := range []string{"/compat/srs/api/v1/summaries", "/compat/nginx/stat", "/metrics", "/health/live", "/health/ready", "/api/docs", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline"} {
		r.get("http://" + s.admin + at)
	}
	return r.got
}
