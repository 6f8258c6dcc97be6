package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeRecordings is one span, with two files, and one gap.
type fakeRecordings struct {
	fail    error
	deleted []string
	asked   []string // queries of films
}

var recorded = time.Date(2026, 11, 27, 18, 0, 0, 0, time.UTC)

func (f *fakeRecordings) List(_ context.Context, q RecordingQuery) (RecordingList, error) {
	if f.fail != nil || q.Path == "live/none" {
		return RecordingList{Spans: []RecordingSpan{}, Gaps: []RecordingGap{}}, f.fail
	}
	span := func(from, to time.Duration, codecs string) RecordingSpan {
		return RecordingSpan{
			Path: "live/a", Recording: "main", From: recorded.Add(from), To: recorded.Add(to), Duration: (to - from).Seconds(), Codecs: codecs,
			Files: []RecordingFile{{ID: "01KB0Z2V5QJX3W6T1Y8D9E4R7M", Name: "a.mp4", Format: "mp4", State: "done", Start: recorded.Add(from), Duration: (to - from).Seconds(), Bytes: 5}},
		}
	}
	l := RecordingList{
		Spans: []RecordingSpan{span(0, 10*time.Second, "avc1"), span(10500*time.Millisecond, 20*time.Second, "avc1"), span(30*time.Second, 40*time.Second, "avc1"), span(40*time.Second, 50*time.Second, "hvc1")},
		Gaps:  []RecordingGap{{"live/a", "main", recorded.Add(20 * time.Second), recorded.Add(30 * time.Second), 10, "offline"}},
	}
	if q.Path == "live/two" { // another recording has less of the day, and more of its beginning
		l.Spans = []RecordingSpan{span(0, 10*time.Second, "avc1"), span(30*time.Second, 50*time.Second, "avc1"), span(0, 20*time.Second, "avc1")}
		l.Spans[2].Recording = "side"
		for i := range l.Spans {
			l.Spans[i].Path = q.Path
		}
	}
	l.Spans = slices.DeleteFunc(l.Spans, func(s RecordingSpan) bool {
		return !q.From.IsZero() && !s.To.After(q.From) || !q.To.IsZero() && !s.From.Before(q.To)
	})
	for i := range l.Spans {
		s := &l.Spans[i]
		if !q.From.IsZero() && s.From.Before(q.From) {
			s.From = q.From
		}
		if !q.To.IsZero() && s.To.After(q.To) {
			s.To = q.To
		}
		s.Duration = s.To.Sub(s.From).Seconds()
	}
	return l, nil
}

func (f *fakeRecordings) Delete(_ context.Context, id string) error {
	f.deleted = append(f.deleted, id)
	return f.fail
}

func (f *fakeRecordings) ServeFile(w http.ResponseWriter, _ *http.Request, id string) error {
	if f.fail == nil {
		_, _ = w.Write([]byte("file " + id))
	}
	return f.fail
}

func (f *fakeRecordings) ServeFilm(w http.ResponseWriter, r *http.Request, path string) error {
	f.asked = append(f.asked, path+"?"+r.URL.RawQuery)
	if f.fail == nil {
		_, _ = w.Write([]byte("film"))
	}
	return f.fail
}

// TestRecordings: the operations answer as they are described, and errors have their codes.
func TestRecordings(t *testing.T) {
	fake := &fakeRecordings{}
	r := newRig(t, func(c *Config) { c.Recordings = fake })
	d := readDocument(r)
	a := r.ask(http.MethodGet, apiPrefix+"/recordings?path=live/a", "")
	var v any
	must(t, json.Unmarshal([]byte(a.body), &v))
	if err := d.validator(t, d.Paths["/recordings"]["get"].Responses["200"].Content["application/json"].Schema).Validate(v); err != nil || a.status != 200 {
		t.Error(a.status, err)
	}
	if a := r.ask(http.MethodGet, apiPrefix+"/recordings?path=live/a&from=2026-11-27T18:00:45Z&to=2026-11-27T18:00:46Z", ""); strings.Count(a.body, `"codecs":"hvc1"`) != 1 || strings.Contains(a.body, "avc1") {
		t.Error(a.body)
	}
	for _, path := range []string{"/recordings/{id}/content", "/recordings/clip"} {
		op := d.Paths[path]["get"]
		if _, ok := op.Responses["200"].Content["video/mp4"]; !ok {
			t.Errorf("%s: %+v", path, op)
		}
	}
	if a := r.ask(http.MethodGet, apiPrefix+"/recordings/01X/content", ""); a.status != 200 || a.body != "file 01X" {
		t.Error(a.status, a.body)
	}
	if a := r.ask(http.MethodGet, apiPrefix+"/recordings/clip?path=live/a&from=-300&gaps=hold", ""); a.status != 200 || a.body != "film" || fake.asked[0] != "live/a?path=live/a&from=-300&gaps=hold" {
		t.Error(a.status, a.body, fake.asked)
	}
	if a := r.ask(http.MethodDelete, apiPrefix+"/recordings/01X", ""); a.status != 204 || fake.deleted[0] != "01X" || !strings.Contains(r.log.String(), "recording deleted") {
		t.Error(a.status, a.body)
	}
	for _, c := range []struct {
		fail   error
		status int
		code   string
	}{
		{ErrNoRecording, 404, "recording_not_found"},
		{ErrRecording, 409, "recording"},
		{ErrIndexing, 503, "indexing"},
		{&RecordingError{409, "codec_change", "the codecs change"}, 409, "codec_change"},
	} {
		fake.fail = c.fail
		for _, ask := range []struct{ method, path string }{
			{http.MethodGet, "/recordings"}, {http.MethodDelete, "/recordings/01X"}, {http.MethodGet, "/recordings/01X/content"}, {http.MethodGet, "/recordings/clip?path=a/b&from=-1"},
		} {
			a := r.ask(ask.method, apiPrefix+ask.path, "")
			if a.status != c.status || a.code() != c.code || (c.status == 503) != (a.header.Get("Retry-After") != "") {
				t.Errorf("%s %s: %d %s %s", ask.method, ask.path, a.status, a.body, a.header)
			}
		}
	}
	fake.fail = nil
	for _, path := range []string{"/recordings/clip?path=a/b", "/recordings/clip?from=-1", "/recordings?from=x", "/recordings?limit=1001", "/recordings/clip?path=a/b&from=-1&gaps=maybe"} {
		if a := r.ask(http.MethodGet, apiPrefix+path, ""); a.status != 422 {
			t.Error(path, a.status, a.body)
		}
	}
}

// TestMediaMTXPlayback: the list joins spans of equal codecs that are a second apart at most; get gives what there is up to the first gap.
func TestMediaMTXPlayback(t *testing.T) {
	fake := &fakeRecordings{}
	r := newRig(t, func(c *Config) { c.Recordings = fake })
	a := r.ask(http.MethodGet, "/compat/mediamtx/list?path=live/a&start=2026-11-27T18:00:05Z", "")
	var list []mtxSpan
	must(t, json.Unmarshal([]byte(a.body), &list))
	if len(list) != 3 || !list[0].Start.Equal(recorded.Add(5*time.Second)) || list[0].Duration != 15 || list[1].Duration != 10 || list[2].Duration != 10 {
		t.Fatal(a.status, a.body)
	}
	if !strings.Contains(list[0].URL, "/compat/mediamtx/get?duration=15&path=live%2Fa&recording=main&start=2026-11-27T18%3A00%3A05Z") {
		t.Error(list[0].URL)
	}
	for _, e := range list {
		if _, path, _ := strings.Cut(e.URL, "/compat"); r.ask(http.MethodGet, "/compat"+path, "").body != "film" {
			t.Error(e.URL)
		}
	}
	if want := "live/a?from=2026-11-27T18%3A00%3A05Z&recording=main&to=2026-11-27T18%3A00%3A20Z"; fake.asked[0] != want {
		t.Error(fake.asked[0])
	}
	if a := r.ask(http.MethodGet, "/compat/mediamtx/get?path=live/a&start=2026-11-27T18:00:05Z&duration=1000&format=mp4", ""); a.status != 200 || fake.asked[3] != fake.asked[0] {
		t.Error(a.status, fake.asked)
	}
	a = r.ask(http.MethodGet, "/compat/mediamtx/list?path=live/two", "")
	must(t, json.Unmarshal([]byte(a.body), &list))
	if len(list) != 2 || list[0].Duration != 10 || list[1].Duration != 20 {
		t.Fatal(a.status, a.body)
	}
	_, path, _ := strings.Cut(list[0].URL, "/compat")
	for path, want := range map[string]string{ // what was listed is got; who names no recording gets the one with the most of that time
		path: "live/two?from=2026-11-27T18%3A00%3A00Z&recording=main&to=2026-11-27T18%3A00%3A10Z",
		"/mediamtx/get?path=live/two&start=2026-11-27T18:00:00Z&duration=20":                "live/two?from=2026-11-27T18%3A00%3A00Z&recording=side&to=2026-11-27T18%3A00%3A20Z",
		"/mediamtx/get?path=live/two&start=2026-11-27T18:00:00Z&duration=20&recording=main": "live/two?from=2026-11-27T18%3A00%3A00Z&recording=main&to=2026-11-27T18%3A00%3A10Z",
	} {
		if a := r.ask(http.MethodGet, "/compat"+path, ""); a.status != 200 || fake.asked[len(fake.asked)-1] != want {
			t.Errorf("%s: %d, %s", path, a.status, fake.asked[len(fake.asked)-1])
		}
	}
	for path, status := range map[string]int{
		"get?path=live/two&start=2026-11-27T18:00:00Z&duration=1&recording=x": 404,
		"list?path=live/none": 404, "list": 400, "list?path=live/a&start=x": 400, "get?path=live/a&start=2026-11-27T18:00:25Z&duration=1": 404,
		"get?path=live/a": 400, "get?path=live/a&start=2026-11-27T18:00:05Z&duration=-1": 400, "get?path=live/a&start=2026-11-27T18:00:05Z&duration=1&format=ts": 400,
	} {
		if a := r.ask(http.MethodGet, "/compat/mediamtx/"+path, ""); a.status != status || !strings.Contains(a.body, `"error":`) {
			t.Error(path, a.status, a.body)
		}
	}
	fake.fail = ErrIndexing
	if a := r.ask(http.MethodGet, "/compat/mediamtx/list?path=live/a", ""); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Error(a.status)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
