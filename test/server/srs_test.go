package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"weir/internal/hook/deliver"
	"weir/internal/record"
	"weir/internal/server"
)

// srsCall is what one of SRS's calls says.
type srsCall struct {
	Action, IP, App, Stream, Param, TCURL, CWD, File string
	ClientID                                         string `json:"client_id"`
	uri                                              string // of on_hls_notify, which has no body
}

// srsService is a service that was written for SRS: it lets all in, says where streams are also sent, and keeps what it hears.
type srsService struct {
	*httptest.Server
	mu  sync.Mutex // guards below
	all map[string][]srsCall
}

func newSRSService(t *testing.T, forward string) *srsService {
	s := &srsService{all: map[string][]srsCall{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c := srsCall{Action: "on_hls_notify", uri: r.RequestURI}
		if r.Method == http.MethodPost {
			if err := json.Unmarshal(body, &c); err != nil {
				t.Errorf("%s: %v", body, err)
			}
		}
		s.mu.Lock()
		s.all[c.Action] = append(s.all[c.Action], c)
		s.mu.Unlock()
		if c.Action == "on_forward" {
			_, _ = fmt.Fprintf(w, `{"code":0,"data":{"urls":[%q]}}`, forward)
			return
		}
		_, _ = io.WriteString(w, "0")
	}))
	t.Cleanup(s.Close)
	return s
}

// heard returns the calls of a name.
func (s *srsService) heard(action string) []srsCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]srsCall(nil), s.all[action]...)
}

// TestServiceOfSRS: a publisher goes where on_forward says, from its begin to its end; its file and its end are told with the
// client, address and query of the question about it, and its segments by on_hls_notify.
func TestServiceOfSRS(t *testing.T) {
	there := start(t, nil)
	service := newSRSService(t, there.url("in/copied"))
	dir := t.TempDir()
	here := start(t, func(c *server.Config) {
		e := server.DefaultStream()
		e.Match, e.Publish.Auth, e.Pull.Private, e.Publish.Grace = "live/*", []string{"hook"}, true, 0
		var rec record.Config
		rec.SetDefaults()
		rec.Dir, rec.MinFree = dir, ""
		e.Record = []record.Config{rec}
		c.Streams = []server.StreamConfig{e}
		c.Auth.Hook.Format, c.Auth.Hook.PublishURL, c.Auth.Hook.ForwardURL = "srs", service.URL, service.URL
		told := deliver.DefaultConfig()
		told.Name, told.URL, told.Format, told.Query, told.Calls = "told", service.URL, "srs", true, []string{"on_unpublish", "on_dvr"}
		notified := deliver.DefaultConfig()
		notified.Name, notified.URL, notified.Format, notified.Query, notified.Calls = "notified", service.URL+"/hls/[app]/[stream]/[ts_url][param]", "srs", true, []string{"on_hls_notify"}
		c.Hooks = []deliver.Config{told, notified}
	})
	want, stop := publishFilm(t, here.url("live/cam?token="+secret))
	sameFrames(t, there.url("in/copied"), want, 25)
	if st := here.pushed("live/cam", "live"); st.Origin != "hook" {
		t.Errorf("the push is of %q", st.Origin)
	}
	here.openHLS("live/cam").play()
	eventually(t, "a segment is told", func() bool { return len(service.heard("on_hls_notify")) > 0 })
	stop()
	eventually(t, "the push ends", func() bool { return len(here.pushes("live/cam")) == 0 })
	eventually(t, "the file and the end are told", func() bool { return len(service.heard("on_dvr")) == 1 && len(service.heard("on_unpublish")) == 1 })

	asked := service.heard("on_publish")
	if len(asked) != 1 || len(service.heard("on_forward")) != 1 {
		t.Fatalf("asked %v, %v", asked, service.heard("on_forward"))
	}
	first := asked[0]
	if first.ClientID == "" || first.IP != "127.0.0.1" || first.Param != "?token="+secret || first.Stream != "cam" {
		t.Errorf("%+v", first)
	}
	for _, action := range []string{"on_forward", "on_dvr", "on_unpublish"} {
		c := service.heard(action)[0]
		if c.ClientID != first.ClientID || c.IP != first.IP || c.App != "live" || c.Stream != "cam" || c.Param != first.Param || c.TCURL != first.TCURL {
			t.Errorf("%s: %+v, but on_publish: %+v", action, c, first)
		}
	}
	dvr := service.heard("on_dvr")[0]
	files, err := filepath.Glob(filepath.Join(dir, "live/cam/*.mp4"))
	if err != nil || len(files) != 1 || filepath.Join(dvr.CWD, dvr.File) != files[0] {
		t.Errorf("told of %s in %s, there is %v, %v", dvr.File, dvr.CWD, files, err)
	}
	uri := service.heard("on_hls_notify")[0].uri
	if !strings.HasPrefix(uri, "/hls/live/cam/live/cam/") || !strings.HasSuffix(uri, "?token="+secret) {
		t.Errorf("notified of %s", uri)
	}
}
