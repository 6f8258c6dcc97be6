package admin

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// document is what the tests read of the OpenAPI document.
type document struct {
	OpenAPI    string
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]any }
}

type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In, Description string }
	Responses   map[string]struct {
		Content map[string]struct{ Schema any }
	}
}

func readDocument(r *rig) *document {
	r.t.Helper()
	var d document
	a := r.ask(http.MethodGet, documentPath, "")
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		r.t.Fatal(a.status, a.header, err)
	}
	return &d
}

// validator checks JSON against a schema of the document.
func (d *document) validator(t *testing.T, schema any) *jsonschema.Resolved {
	t.Helper()
	b, err := json.Marshal(map[string]any{"allOf": []any{schema}, "$defs": d.Components.Schemas})
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), "#/components/schemas/", "#/$defs/")), &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

// TestDocument: it describes exactly the operations that there are, each with what a reader needs, and
// what the operations answer is what it says, for answers and for errors.
func TestDocument(t *testing.T) {
	r := newRig(t, whole)
	s := r.publish("live/a", "rtmp")
	r.play("live/a", "hls")
	d := readDocument(r)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("version %s", d.OpenAPI)
	}
	var names []string
	for path, item := range d.Paths {
		for method, op := range item {
			names = append(names, strings.ToUpper(method)+" "+path)
			if op.Summary == "" || op.OperationID == "" {
				t.Errorf("%s %s has no summary or id", method, path)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s %s: %s is not described", method, path, p.Name)
				}
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s %s: %s is no part of the path", method, path, p.Name)
				}
			}
		}
	}
	slices.Sort(names)
	want := []string{
		"DELETE /keys/{id}", "DELETE /pulls/{path}", "DELETE /pushes/{name}/{path}", "DELETE /sessions/{id}", "DELETE /streams/{path}", "GET /config", "GET /events", "GET /hooks", "GET /hooks/{name}/deliveries",
		"GET /keys", "GET /pulls", "GET /pushes", "GET /pushes/{name}/{path}", "GET /recorders", "GET /sessions", "GET /sessions/{id}", "GET /streams", "GET /streams/{path}", "GET /version", "PATCH /config", "PATCH /pushes/{name}/{path}",
		"POST /config/reload", "POST /hooks/{name}/deliveries/{id}/replay", "POST /keys", "POST /pulls", "POST /pulls/retry", "POST /pushes", "POST /pushes/{name}/retry/{path}",
		"POST /recorders/{name}/cut", "POST /recorders/{name}/start", "POST /recorders/{name}/stop",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
	for _, c := range []struct {
		method, path, asked, body, status string
	}{
		{"get", "/streams", "/streams", "", "200"},
		{"get", "/streams/{path}", "/streams/live/a", "", "200"},
		{"get", "/streams/{path}", "/streams/live/b", "", "default"},
		{"get", "/sessions", "/sessions", "", "200"},
		{"get", "/sessions/{id}", "/sessions/" + s.ID, "", "200"},
		{"get", "/version", "/version", "", "200"},
		{"get", "/config", "/config", "", "200"},
		{"patch", "/config", "/config", "{}", "200"},
		{"post", "/config/reload", "/config/reload", "", "200"},
		{"get", "/hooks", "/hooks", "", "200"},
		{"get", "/hooks/{name}/deliveries", "/hooks/billing/deliveries", "", "200"},
		{"post", "/keys", "/keys", `{"role":"play","match":"live/*"}`, "201"},
		{"post", "/keys", "/keys", `{}`, "default"},
		{"get", "/keys", "/keys", "", "200"},
		{"get", "/pulls", "/pulls", "", "200"},
		{"post", "/pulls", "/pulls", `{"stream":"live/b","sources":["rtmp://a/b/c"]}`, "201"},
		{"post", "/pulls", "/pulls", `{"stream":"live/b"}`, "default"},
		{"get", "/pushes", "/pushes", "", "200"},
		{"get", "/pushes/{name}/{path}", "/pushes/yt/live/a", "", "200"},
		{"get", "/pushes/{name}/{path}", "/pushes/yt/live/b", "", "default"},
		{"post", "/pushes", "/pushes", `{"stream":"live/a","name":"x","url":"rtmp://h/live/cam"}`, "201"},
		{"patch", "/pushes/{name}/{path}", "/pushes/conf/live%2Fa", `{"enabled":false}`, "200"},
		{"post", "/pushes/{name}/retry/{path}", "/pushes/yt/retry/live/a", "", "200"},
	} {
		a := r.ask(strings.ToUpper(c.method), apiPrefix+c.asked, c.body)
		media, ok := d.Paths[c.path][c.method].Responses[c.status].Content[a.header.Get("Content-Type")]
		if !ok {
			t.Errorf("%s %s: an answer of %s with the status %s is not described", c.method, c.path, a.header.Get("Content-Type"), c.status)
			continue
		}
		var v any
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatal(err)
		}
		if err := d.validator(t, media.Schema).Validate(v); err != nil {
			t.Errorf("%s %s: %v in %s", c.method, c.path, err, a.body)
		}
	}
	if _, left := d.Components.Schemas["ErrorModel"]; left {
		t.Error("the description has errors that are never answered")
	}
	for _, name := range []string{"Stream", "Session", "Event", "EventStream", "EventSession", "Snapshot", "Problem"} {
		if d.Components.Schemas[name] == nil {
			t.Errorf("%s is not described", name)
		}
	}
}

// TestDocumentCatchesALiar: the validator of TestDocument notices a missing field and a wrong type.
func TestDocumentCatchesALiar(t *testing.T) {
	d := readDocument(newRig(t, nil))
	check := d.validator(t, map[string]any{"$ref": "#/components/schemas/Publisher"})
	for text, good := range map[string]bool{
		`{"session":"a","protocol":"rtmp","remote":"x"}`:         true,
		`{"session":"a","protocol":"rtmp","remote":"x","new":1}`: true,
		`{"session":"a","protocol":"rtmp"}`:                      false,
		`{"session":1,"protocol":"rtmp","remote":"x"}`:           false,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := check.Validate(v); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDocsPage: the page that shows the description loads nothing from elsewhere, and needs no token, as the
// description itself does not; everything else does.
func TestDocsPage(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Token = "t0ken" })
	foreign := regexp.MustCompile(`(?i)(src|href|url|import|fetch)\W{1,3}(https?:)?//`)
	for path, kind := range map[string]string{
		"/api/docs": "text/html; charset=utf-8", "/api/docs/docs.js": "text/javascript; charset=utf-8", "/api/docs/docs.css": "text/css; charset=utf-8",
	} {
		a := r.ask(http.MethodGet, path, "")
		if a.status != 200 || a.header.Get("Content-Type") != kind || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		if found := foreign.FindString(a.body); found != "" {
			t.Errorf("%s loads from elsewhere: %q", path, found)
		}
	}
	if a := r.ask(http.MethodGet, documentPath, ""); a.status != 200 || strings.Contains(a.body, "t0ken") {
		t.Error(a.status)
	}
	for _, path := range []string{"/api/docs/none.js", "/api/docs/..%2Fadmin.go"} {
		if a := r.ask(http.MethodGet, path, ""); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	for _, path := range []string{"/api/v1/streams", "/api/", "/metrics", "/compat/nginx/stat", "/api/docsx"} {
		if a := r.ask(http.MethodGet, path, ""); a.status != 401 || a.code() != "unauthorized" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
