package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"weir/internal/server"
	"weir/internal/session"
)

// atInfo returns what the log of a server on its defaults would say.
func (r *running) atInfo() (lines []string) {
	for line := range strings.Lines(r.log.String()) {
		if !strings.Contains(line, "level=DEBUG") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestViewersHaveASummary: viewers come and go without a line each; one line says how many, how and why.
func TestViewersHaveASummary(t *testing.T) {
	r := start(t, nil)
	p := r.mustPublish("live/a")
	publishSome(p, 0, 10)
	r.arrived("live/a", 10)
	before := len(r.atInfo())
	const viewers = 30
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for range viewers {
		res, err := (&http.Client{Transport: tr}).Get(r.httpURL("live/a.flv"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := res.Body.Read(make([]byte, 9)); err != nil {
			t.Error(err)
		}
		_ = res.Body.Close()
	}
	for i := uint32(10); r.sessions.Len() > 1; i++ { // a viewer's end is seen when something is sent
		p.must(p.video(i*40, videoFrame(i%10 == 0, i, 2000)))
	}
	if lines := r.atInfo(); len(lines) != before {
		t.Errorf("viewers have lines: %q", lines[before:])
	}
	stay := r.mustPlay("live/a")
	_ = stay
	r.until("it plays", func() bool { return strings.Count(r.log.String(), `msg="viewer came"`) == viewers+1 })
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	want := fmt.Sprintf(`level=INFO msg=viewers now=0 came=%d left=%d by_reason.eof=%d by_reason.shutdown=1`, viewers+1, viewers+1, viewers)
	var found []string
	for _, line := range r.atInfo() {
		if strings.Contains(line, "msg=viewers") {
			found = append(found, line)
		}
	}
	if len(found) != 1 || !strings.Contains(found[0], want) {
		t.Errorf("%q, want %s", found, want)
	}
}

// TestPublishersEndIsOneLine: however a publisher ends, one line says so, with what it sent and why it ended.
func TestPublishersEndIsOneLine(t *testing.T) {
	for reason, end := range map[string]func(*running, *publisher){
		"eof":    func(_ *running, p *publisher) { p.client.Close() },
		"kicked": func(r *running, _ *publisher) { r.sessions.List()[0].Kick(session.ErrKicked) },
	} {
		t.Run(reason, func(t *testing.T) {
			r := start(t, nil)
			p := r.mustPublish("live/a")
			publishSome(p, 0, 10)
			r.arrived("live/a", 10)
			end(r, p)
			r.until("it has ended", func() bool { return r.sessions.Len() == 0 })
			line := regexp.MustCompile(`level=INFO msg="publisher ended" protocol=rtmp session=\S+ remote=\S+ stream=live/a reason=(\w+) dur=\S+ received=[1-9]\d* sent=\d+ frames=[1-9]\d*`)
			var found []string
			for _, l := range r.atInfo() {
				if strings.Contains(l, "publisher ended") {
					found = append(found, l)
				}
			}
			if len(found) != 1 || !line.MatchString(found[0]) {
				t.Fatalf("%q", found)
			}
			if got := line.FindStringSubmatch(found[0])[1]; got != reason && !(reason == "eof" && got == "unpublish") {
				t.Errorf("reason %s, want %s", got, reason)
			}
		})
	}
}

// TestPeersDoNotWriteTheLog: thousands of requests that are refused leave few lines, which say how many there were.
func TestPeersDoNotWriteTheLog(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Play.MaxPlayers = 1
		c.Streams = []server.StreamConfig{s}
	})
	publishSome(r.mustPublish("live/a"), 0, 10)
	r.arrived("live/a", 10)
	_ = r.mustPlay("live/a")
	r.until("it plays", func() bool { return strings.Contains(r.log.String(), `msg="viewer came"`) })
	before := len(r.atInfo())
	for range 1000 {
		if res, _ := r.get("live/a.flv"); res.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(res.Status)
		}
	}
	if n := len(r.atInfo()) - before; n < 1 || n > 300 {
		t.Errorf("%d lines", n)
	}
}
