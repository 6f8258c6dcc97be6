package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"weir/internal/session"
)

// TestO18_NamesWithSlashes: every verb takes a stream's path with slashes and with %2F.
func TestO18_NamesWithSlashes(t *testing.T) {
	const name = "a/b/ü %c"
	for _, written := range []string{"a/b/%C3%BC%20%25c", "a%2Fb%2F%C3%BC%20%25c", url.PathEscape(name), "a/b%2f%c3%bc%20%25c"} {
		r := newRig(t, nil)
		publisher := r.publish(name, "rtmp")
		d := get[StreamDetail](r, "/streams/"+written)
		if d.Path != name || !d.Live || d.Publisher == nil || d.Publisher.Session != publisher.ID || len(d.Sessions) != 1 || d.Sessions[0].Stream != name {
			t.Errorf("%s: %+v", written, d)
		}
		if a := r.ask(http.MethodHead, apiPrefix+"/streams/"+written, ""); a.status != http.StatusOK {
			t.Errorf("HEAD %s: %d", written, a.status)
		}
		if a := r.ask(http.MethodDelete, apiPrefix+"/streams/"+written, ""); a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("DELETE %s: %d %s", written, a.status, a.body)
		}
		if r.conf.Hub.Get(name) != nil || r.conf.Sessions.Len() != 0 {
			t.Errorf("DELETE %s left the stream, or its publisher", written)
		}
		for _, verb := range []string{http.MethodGet, http.MethodDelete} {
			if a := r.ask(verb, apiPrefix+"/streams/"+written, ""); a.status != http.StatusNotFound || a.code() != "stream_not_found" || !strings.Contains(a.body, `\"a/b/ü %c\"`) {
				t.Errorf("%s %s once it is gone: %d %s", verb, written, a.status, a.body)
			}
		}
	}
}

// TestEndStream: its publisher ends with the reason "kicked", its players see its end, and the log says who did it.
func TestEndStream(t *testing.T) {
	ended := make(chan session.End, 1)
	r := newRig(t, func(c *Config) {
		c.Sessions = session.New(session.Limits{}, session.Observer{Closed: func(_ *session.Session, e session.End) { ended <- e }})
	})
	r.publish("live/a", "rtmp")
	over := r.conf.Hub.Get("live/a").Over()
	if a := r.ask(http.MethodDelete, apiPrefix+"/streams/live/a", ""); a.status != http.StatusNoContent {
		t.Fatal(a.status, a.body)
	}
	if e := <-ended; e.Reason != session.Kicked || e.Role != session.Publish || e.Stream != "live/a" {
		t.Errorf("%+v", e)
	}
	<-over
	for _, want := range []string{"level=INFO", `what="stream ended"`, "remote=127.0.0.1:", "method=DELETE", "path=/api/v1/streams/live/a", "stream=live/a"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has no %s: %s", want, r.log)
		}
	}
}

// TestRatesOfStreams: what players are sent and how many pictures come, measured, of one stream and in the list.
func TestRatesOfStreams(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.FrameRate = func(path string) float64 { return map[string]float64{"live/a": 24.98}[path] }
	})
	r.publish("live/a", "rtmp")
	r.publish("live/b", "rtmp")
	player := r.play("live/a", "http-flv")
	now := time.Now()
	r.conf.Sessions.MeasureStreams(now)
	player.BytesOut.Add(250_000)
	r.conf.Sessions.MeasureStreams(now.Add(2 * time.Second))
	for _, s := range append(get[streamList](r, "/streams").Streams, get[StreamDetail](r, "/streams/live/a").Stream) {
		bitrate, frames := int64(0), 0.0
		if s.Path == "live/a" {
			bitrate, frames = 1_000_000, 24.98
		}
		if s.BitrateOut != bitrate || s.FrameRate != frames {
			t.Errorf("%s: %d bit/s go out, %v frames a second come; want %d, %v", s.Path, s.BitrateOut, s.FrameRate, bitrate, frames)
		}
	}
}

// streamList is the answer of /streams.
type streamList struct {
	Total   int
	Next    string
	Streams []Stream
}

// TestPagesOfStreams: pages follow one another without gap or repetition, also when entries come and go.
func TestPagesOfStreams(t *testing.T) {
	r := newRig(t, nil)
	for i := range 25 {
		r.publish(fmt.Sprintf("live/%02d", i), "rtmp")
	}
	var got []string
	sizes, at := []int{}, ""
	for {
		l := get[streamList](r, "/streams?limit=10&cursor="+at)
		sizes = append(sizes, len(l.Streams))
		if l.Total != 25 {
			t.Errorf("%d in all, want 25", l.Total)
		}
		for _, s := range l.Streams {
			got = append(got, s.Path)
		}
		if at = l.Next; at == "" {
			break
		}
	}
	if fmt.Sprint(sizes) != "[10 10 5]" || len(got) != 25 || got[0] != "live/00" || got[24] != "live/24" {
		t.Errorf("%v %v", sizes, got)
	}
	second := get[streamList](r, "/streams?limit=10").Next
	r.conf.Hub.End("live/09", errEnded) // the last one of the page before
	if l := get[streamList](r, "/streams?limit=10&cursor="+second); len(l.Streams) != 10 || l.Streams[0].Path != "live/10" || l.Total != 24 {
		t.Errorf("after the last one of the page before has ended: %+v", l)
	}
	if l := get[streamList](r, "/streams?limit=24"); len(l.Streams) != 24 || l.Next != "" {
		t.Errorf("a page that holds exactly all: %d, %q", len(l.Streams), l.Next)
	}
	if l := get[streamList](r, "/streams?limit=10000"); len(l.Streams) != 24 {
		t.Error(len(l.Streams))
	}
}

// TestFiltersOfStreams holds each filter to streams that it takes and leaves.
func TestFiltersOfStreams(t *testing.T) {
	r := newRig(t, nil)
	r.publish("live/a", "rtmp")
	r.publish("live/b", "hls")
	r.publish("lively/c", "rtmp")
	r.play("live/waiting", "rtmp")
	for query, want := range map[string]string{
		"":                                  "live/a live/b live/waiting lively/c",
		"app=live":                          "live/a live/b live/waiting",
		"app=live/":                         "live/a live/b live/waiting",
		"app=liv":                           "",
		"online=true":                       "live/a live/b lively/c",
		"online=false":                      "live/waiting",
		"protocol=rtmp":                     "live/a lively/c",
		"protocol=rtmp&app=live":            "live/a",
		"protocol=srt":                      "",
		"online=false&app=lively":           "",
		"online=true&protocol=hls&app=live": "live/b",
	} {
		var got []string
		l := get[streamList](r, "/streams?"+query)
		for _, s := range l.Streams {
			got = append(got, s.Path)
		}
		if strings.Join(got, " ") != want || l.Total != len(got) {
			t.Errorf("%s: %v of %d, want %s", query, got, l.Total, want)
		}
	}
}

// TestDetailOfStream: it has tracks, health, the newest frame's age and the sessions, and no health where nobody judges it.
func TestDetailOfStream(t *testing.T) {
	since := time.Date(2026, 11, 27, 6, 0, 0, 0, time.UTC)
	r := newRig(t, func(c *Config) {
		c.Health = func(path string) []Finding {
			if path == "live/a" {
				return []Finding{{Kind: "long_gop", Track: "video 0", Since: since, Sentence: "Key frames are 12 s apart.", Setting: "OBS: Keyframe Interval 2 s"}}
			}
			return nil
		}
	})
	publisher, player := r.publish("live/a", "rtmp"), r.play("live/a", "hls")
	r.publish("live/b", "rtmp")
	a := get[StreamDetail](r, "/streams/live/a")
	if len(a.Tracks) != 1 || a.Tracks[0].Codec != "MP3" || a.LastFrameAge == nil || *a.LastFrameAge < 0 || *a.LastFrameAge > 60 || a.Players != 1 {
		t.Errorf("%+v", a)
	}
	if len(a.Health) != 1 || a.Health[0].Kind != "long_gop" || a.Health[0].Track != "video 0" || !a.Health[0].Since.Equal(since) {
		t.Errorf("%+v", a.Health)
	}
	if len(a.Sessions) != 2 || a.Sessions[0].ID != publisher.ID || a.Sessions[1].ID != player.ID || a.Sessions[1].Role != "play" {
		t.Errorf("%+v", a.Sessions)
	}
	if b := r.ask(http.MethodGet, apiPrefix+"/streams/live/b", ""); !strings.Contains(b.body, `"health":[]`) {
		t.Errorf("a healthy stream: %s", b.body)
	}
	r = newRig(t, nil)
	r.play("live/waiting", "rtmp")
	if b := r.ask(http.MethodGet, apiPrefix+"/streams/live/waiting", ""); strings.Contains(b.body, "health") || strings.Contains(b.body, "last_frame_age") {
		t.Errorf("nobody judges it and no frame came: %s", b.body)
	}
}
