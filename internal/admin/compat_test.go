package admin

import (
	"encoding/json"
	"encoding/xml"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/session"
)

// TestCompatSRS: the fields that dashboards of SRS read have the right values.
func TestCompatSRS(t *testing.T) {
	r := newRig(t, nil)
	p, v := r.publish("live/a/b", "rtmp"), r.play("live/a/b", "hls")
	r.play("live/waiting", "rtmp")
	decode := func(path string, status int) map[string]any {
		t.Helper()
		a := r.ask(http.MethodGet, compatSRS+path, "")
		var m map[string]any
		if err := json.Unmarshal([]byte(a.body), &m); err != nil || a.status != status || m["server"] == "" || m["pid"] == "" || m["service"] == "" {
			t.Fatalf("%s: %d %s %v", path, a.status, a.body, err)
		}
		return m
	}
	streams := decode("/streams", 200)
	if streams["server"] != session.VID("a1b2") || streams["service"] != session.Service("a1b2") {
		t.Errorf("not the identifiers that hooks are told: %v", streams)
	}
	list := streams["streams"].([]any)
	s := list[0].(map[string]any)
	if streams["code"] != 0.0 || len(list) != 2 || s["name"] != "a/b" || s["app"] != "live" || s["clients"] != 2.0 || s["recv_bytes"] != 4.0 || s["send_bytes"] != 500.0 || s["frames"] != 1.0 ||
		s["video"] != nil || s["audio"].(map[string]any)["codec"] != "MP3" {
		t.Errorf("%+v", s)
	}
	if s["id"] != session.VID("live/a/b") {
		t.Errorf("not the identifier that hooks are told: %v", s["id"])
	}
	if live := time.UnixMilli(int64(s["live_ms"].(float64))); time.Since(live) < 0 || time.Since(live) > time.Hour { // the clock
		t.Errorf("live_ms is %v", live)
	}
	if pub := s["publish"].(map[string]any); pub["active"] != true || pub["cid"] != p.ID {
		t.Errorf("%+v", pub)
	}
	if _, ok := s["kbps"].(map[string]any)["recv_30s"].(float64); !ok {
		t.Errorf("%+v", s["kbps"])
	}
	if w := list[1].(map[string]any); w["publish"].(map[string]any)["active"] != false || w["clients"] != 1.0 {
		t.Errorf("%+v", w)
	}
	if one := decode("/streams/"+s["id"].(string), 200)["stream"].(map[string]any); one["name"] != "a/b" {
		t.Errorf("%+v", one)
	}
	for query, want := range map[string]int{"?start=1": 1, "?count=1": 1, "?start=1&count=5": 1, "?start=2": 0, "?start=99": 0, "?count=x": 2} {
		if got := decode("/streams"+query, 200)["streams"].([]any); len(got) != want {
			t.Errorf("%s: %d, want %d", query, len(got), want)
		}
	}
	clients := decode("/clients", 200)["clients"].([]any)
	byID := map[string]map[string]any{}
	for _, c := range clients {
		byID[c.(map[string]any)["id"].(string)] = c.(map[string]any)
	}
	if c := byID[p.ID]; len(clients) != 3 || c["publish"] != true || c["type"] != "fmle-publish" || c["ip"] != "203.0.113.7" || c["recv_bytes"] != 1000.0 || c["stream"] != s["id"] || c["name"] != "a/b" {
		t.Errorf("%+v", c)
	}
	if c := byID[v.ID]; c["publish"] != false || c["type"] != "hls-play" || c["send_bytes"] != 500.0 {
		t.Errorf("%+v", c)
	}
	if c := decode("/clients/"+p.ID, 200)["client"].(map[string]any); c["id"] != p.ID {
		t.Errorf("%+v", c)
	}
	for _, path := range []string{"/clients/none", "/streams/none"} {
		if m := decode(path, 404); m["code"] != 2048.0 {
			t.Errorf("%s: %v", path, m)
		}
	}
	data := decode("/summaries", 200)["data"].(map[string]any)
	if sys := data["system"].(map[string]any); data["ok"] != true || sys["conn_srs"] != 3.0 || sys["srs_recv_bytes"] != 1000.0 || sys["srs_send_bytes"] != 1000.0 {
		t.Errorf("%+v", data)
	}
	if self := data["self"].(map[string]any); self["mem_kbyte"].(float64) < 100 || self["pid"].(float64) < 1 || self["srs_uptime"].(float64) != math.Trunc(self["srs_uptime"].(float64)) {
		t.Errorf("%+v", self)
	}
	if a := r.ask(http.MethodDelete, compatSRS+"/clients/"+p.ID, ""); a.status != 405 || r.conf.Sessions.Get(p.ID) == nil {
		t.Errorf("a client was kicked by a form that is read-only: %d", a.status)
	}
}

// TestCompatNginx: the page has the elements that exporters of nginx-rtmp read, in the form that they parse.
func TestCompatNginx(t *testing.T) {
	r := newRig(t, nil)
	p := r.publish("live/a", "rtmp")
	v := r.play("live/a", "rtmp")
	v.Skips.Store(3)
	r.publish("other/<b>&", "rtmp")
	r.open(session.Info{Protocol: "rtmp"})
	a := r.ask(http.MethodGet, compatNginx, "")
	if a.status != 200 || a.header.Get("Content-Type") != "text/xml; charset=utf-8" || !strings.HasPrefix(a.body, xml.Header) {
		t.Fatal(a.status, a.header, a.body)
	}
	type client struct {
		ID         string    `xml:"id"`
		AVSync     *int      `xml:"avsync"`
		Timestamp  *int      `xml:"timestamp"`
		Address    string    `xml:"address"`
		FlashVer   string    `xml:"flashver"`
		Dropped    int       `xml:"dropped"`
		Publishing *struct{} `xml:"publishing"`
	}
	var root struct {
		XMLName      xml.Name `xml:"rtmp"`
		BytesIn      int      `xml:"bytes_in"`
		BytesOut     int      `xml:"bytes_out"`
		Applications []struct {
			Name    string `xml:"name"`
			Clients int    `xml:"live>nclients"`
			Streams []struct {
				Name       string    `xml:"name"`
				BytesIn    int       `xml:"bytes_in"`
				BytesOut   int       `xml:"bytes_out"`
				NClients   int       `xml:"nclients"`
				Clients    []client  `xml:"client"`
				Codec      string    `xml:"meta>audio>codec"`
				BWIn       int       `xml:"bw_in"`
				BWAudio    *int      `xml:"bw_audio"`
				BWVideo    *int      `xml:"bw_video"`
				Publishing *struct{} `xml:"publishing"`
				Active     *struct{} `xml:"active"`
			} `xml:"live>stream"`
		} `xml:"server>application"`
	}
	if err := xml.Unmarshal([]byte(a.body), &root); err != nil {
		t.Fatal(err)
	}
	if root.BytesIn != 2000 || root.BytesOut != 500 || len(root.Applications) != 2 {
		t.Fatalf("%+v", root)
	}
	live, other := root.Applications[0], root.Applications[1]
	if live.Name != "live" || live.Clients != 2 || len(live.Streams) != 1 || other.Streams[0].Name != "<b>&" {
		t.Errorf("%+v", root)
	}
	s := live.Streams[0]
	if s.Name != "a" || s.BytesIn != 4 || s.BytesOut != 500 || s.NClients != 2 || s.Codec != "MP3" || s.Publishing == nil || s.Active == nil || len(s.Clients) != 2 {
		t.Errorf("%+v", s)
	}
	if s.BWAudio == nil || s.BWVideo == nil || *s.BWAudio != s.BWIn || *s.BWVideo != 0 {
		t.Errorf("%+v", s)
	}
	if c := s.Clients[0]; c.ID != session.Number(p.ID) || c.AVSync == nil || c.Timestamp == nil || c.Address != "203.0.113.7" || c.FlashVer != "FMLE/3.0" || c.Publishing == nil {
		t.Errorf("%+v", c)
	}
	if c := s.Clients[1]; c.ID != session.Number(v.ID) || c.Dropped != 3 || c.Publishing != nil {
		t.Errorf("%+v", c)
	}
}
