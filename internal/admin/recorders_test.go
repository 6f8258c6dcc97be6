package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// fakeRecorders has the recording "main" of live/a.
type fakeRecorders struct {
	state string
	fail  error
}

func (f *fakeRecorders) find(stream, name string) (Recorder, error) {
	switch {
	case f.fail != nil:
		return Recorder{}, f.fail
	case stream != "live/a":
		return Recorder{}, ErrNoStream
	case name != "main":
		return Recorder{}, ErrNoRecorder
	}
	if f.state == "" {
		f.state = "off"
	}
	return Recorder{Stream: stream, Name: name, State: f.state, Format: "mp4", ID: "01A", Dir: "/srv/rec"}, nil
}

func (f *fakeRecorders) List(stream string) ([]Recorder, error) {
	if stream == "" {
		stream = "live/a"
	}
	r, err := f.find(stream, "main")
	return []Recorder{r}, err
}

func (f *fakeRecorders) Start(_ context.Context, stream, name string) (Recorder, error) {
	f.state = "recording"
	return f.find(stream, name)
}

func (f *fakeRecorders) Stop(_ context.Context, stream, name string) (Recorder, error) {
	f.state = "off"
	return f.find(stream, name)
}

func (f *fakeRecorders) Cut(_ context.Context, stream, name string) (Recorder, error) {
	r, err := f.find(stream, name)
	if err == nil && r.State != "recording" {
		err = ErrRecorderOff
	}
	r.Next = "01B"
	return r, err
}

// TestRecordersAPI: recordings are shown, started, cut and stopped, and that is logged.
func TestRecordersAPI(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Recorders = &fakeRecorders{} })
	for _, query := range []string{"", "?stream=live/a", "?stream=live%2Fa"} {
		list := get[struct{ Recorders []Recorder }](r, "/recorders"+query).Recorders
		if len(list) != 1 || list[0].State != "off" || list[0].ID != "01A" || list[0].Start != nil {
			t.Errorf("%q: %+v", query, list)
		}
	}
	for _, c := range []struct{ verb, state string }{{"start", "recording"}, {"start", "recording"}, {"cut", "recording"}, {"stop", "off"}, {"stop", "off"}} {
		a := r.ask(http.MethodPost, apiPrefix+"/recorders/main/"+c.verb+"?stream=live/a", "")
		if a.status != http.StatusOK || !strings.Contains(a.body, `"state":"`+c.state+`"`) || !strings.Contains(a.body, `"id":"01A"`) {
			t.Errorf("%s: %d %s", c.verb, a.status, a.body)
		}
	}
	if n := strings.Count(r.log.String(), `what="recording started"`); n != 2 {
		t.Errorf("%d lines: %s", n, r.log)
	}
	if n := strings.Count(r.log.String(), `what="recording cut"`); n != 1 {
		t.Errorf("%d lines: %s", n, r.log)
	}
	for path, code := range map[string]string{
		"/recorders/main/cut?stream=live/a":      "409 not_recording",
		"/recorders/main/cut?stream=live/none":   "404 stream_not_found",
		"/recorders/main/start?stream=live/none": "404 stream_not_found",
		"/recorders/none/stop?stream=live/a":     "404 recording_not_found",
		"/recorders/main/start":                  "422 invalid",
	} {
		if a := r.ask(http.MethodPost, apiPrefix+path, ""); fmt.Sprint(a.status, " ", a.code()) != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := r.ask(http.MethodGet, apiPrefix+"/recorders?stream=live/none", ""); a.code() != "stream_not_found" {
		t.Errorf("%d %s", a.status, a.body)
	}
}
