package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/record"
	"weir/internal/server"
)

// fetched is an answer.
type fetched struct {
	status int
	body   []byte
}

func (r *running) fetch(method, path string) fetched {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), method, r.adminURL(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return fetched{a.StatusCode, b}
}

// TestP16_MediaMTXStartsCutOff: what MediaMTX's list tells can be got, also by clients that cut the time off at microseconds, milliseconds or seconds; what
// begins much later than asked for cannot. While it is recorded a file is cut by the API.
func TestP16_MediaMTXStartsCutOff(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	s := server.DefaultStream()
	var rec record.Config
	rec.SetDefaults()
	rec.Dir, rec.MinFree = dir, ""
	s.Match, s.Record = "live/*", []record.Config{rec}
	r := start(t, func(c *server.Config) { c.Streams = []server.StreamConfig{s} })
	encode := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000",
		"-t", "6", "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-c:a", "aac", "-f", "flv", r.url("live/cam"))
	if err := encode.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) { // another program does it
			if time.Now().After(end) {
				t.Fatal("waited in vain for ", what)
			}
		}
	}
	files := func(suffix string) (names []string) {
		names, err := filepath.Glob(filepath.Join(dir, "live/cam/*"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	wait("a file", func() bool { return len(files(".mp4.part")) == 1 })
	var cut struct{ ID, Next string }
	if a := r.fetch(http.MethodPost, "/api/v1/recorders/main/cut?stream=live/cam"); a.status != 200 || json.Unmarshal(a.body, &cut) != nil || cut.ID == "" || cut.Next == "" {
		t.Fatal(a.status, string(a.body))
	}
	if err := encode.Wait(); err != nil {
		t.Fatal(err)
	}
	wait("two whole files", func() bool {
		a := r.fetch(http.MethodGet, "/api/v1/recordings/"+cut.Next+"/content") // its row follows its name
		return len(files(".mp4")) == 2 && a.status != http.StatusConflict
	})
	if a := r.fetch(http.MethodPost, "/api/v1/recorders/main/cut?stream=live/none"); a.status != 404 {
		t.Error(a.status, string(a.body))
	}
	for _, id := range []string{cut.ID, cut.Next} {
		if a := r.fetch(http.MethodGet, "/api/v1/recordings/"+id+"/content"); a.status != 200 || len(a.body) == 0 {
			t.Error(a.status)
		}
	}
	var list []struct {
		Start    time.Time
		Duration float64
		URL      string
	}
	a := r.fetch(http.MethodGet, "/compat/mediamtx/list?path=live/cam")
	if err := json.Unmarshal(a.body, &list); err != nil || len(list) != 1 || list[0].Duration < 5.5 || list[0].Duration > 6.5 {
		t.Fatal(a.status, string(a.body))
	}
	e := &list[0]
	get := func(start time.Time, duration string) fetched {
		return r.fetch(http.MethodGet, "/compat/mediamtx/get?"+url.Values{"path": {"live/cam"}, "start": {start.Format(time.RFC3339Nano)}, "duration": {duration}}.Encode())
	}
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	if a := r.fetch(http.MethodGet, u.RequestURI()); a.status != 200 {
		t.Error(a.status, string(a.body))
	}
	name := filepath.Join(t.TempDir(), "a.mp4")
	for _, early := range []time.Duration{0, time.Microsecond, e.Start.Sub(e.Start.Truncate(time.Millisecond)), e.Start.Sub(e.Start.Truncate(time.Second)), time.Second} {
		for _, seconds := range []float64{0.5, e.Duration} {
			a := get(e.Start.Add(-early), fmt.Sprint(seconds))
			if a.status != 200 {
				t.Errorf("%v before the start: %d %s", early, a.status, a.body)
				continue
			}
			if err := os.WriteFile(name, a.body, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", name).Output()
			var got float64
			if _, scan := fmt.Sscan(strings.TrimSpace(string(out)), &got); err != nil || scan != nil || got < seconds-0.05 || got > seconds+0.05 {
				t.Errorf("%v before the start: %v s instead of %v; %v", early, got, seconds, err)
			}
		}
	}
	if a := get(e.Start.Add(-time.Second-time.Microsecond), "100"); a.status != 404 {
		t.Error(a.status)
	}
	end := e.Start.Add(time.Duration(e.Duration * float64(time.Second)))
	if a := get(end.Add(-time.Microsecond), "1"); a.status != 200 {
		t.Error(a.status, string(a.body))
	}
	if a := get(end.Add(time.Microsecond), "1"); a.status != 404 {
		t.Error(a.status)
	}
}
