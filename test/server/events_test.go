package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/internal/event"
	"weir/internal/server"
	"weir/rtmp"
)

// collector is the events of a running server.
type collector struct {
	r   *running
	sub *event.Subscription
	all []event.Event
}

func (r *running) collect(types ...string) *collector {
	c := &collector{r: r, sub: r.Events().Subscribe(10_000, types)}
	r.t.Cleanup(c.sub.Close)
	return c
}

// until waits for an event of a type, of any session if id is empty.
func (c *collector) until(typ, id string) event.Event {
	c.r.t.Helper()
	for _, e := range c.all {
		if e.Type == typ && (id == "" || e.Session != nil && e.Session.ID == id) {
			return e
		}
	}
	for {
		select {
		case e := <-c.sub.C():
			c.all = append(c.all, e)
			if e.Type == typ && (id == "" || e.Session != nil && e.Session.ID == id) {
				return e
			}
		case <-time.After(patience):
			c.r.t.Fatalf("no %s %s; there were %s", typ, id, c)
		}
	}
}

// rest takes what has come.
func (c *collector) rest() {
	for {
		select {
		case e := <-c.sub.C():
			c.all = append(c.all, e)
		default:
			return
		}
	}
}

// String lists the events with the reasons of stops.
func (c *collector) String() string {
	var lines []string
	for _, e := range c.all {
		lines = append(lines, strings.TrimSpace(fmt.Sprint(e.Type, " ", e.Data["reason"])))
	}
	return strings.ReplaceAll(strings.Join(lines, ", "), " <nil>", "")
}

// paired fails the test unless each start has one stop after it, and returns how many of a type there are.
func (c *collector) paired(typ string) (n int) {
	c.r.t.Helper()
	c.rest()
	open := map[string]bool{}
	for _, e := range c.all {
		if e.ID == "" || e.Session != nil && (e.Session.ID == "" || e.Session.Protocol == "" || e.Session.Remote == "") {
			c.r.t.Errorf("%+v %+v", e, e.Session)
		}
		if e.Type == typ {
			n++
		}
		if event.StopOf(e.Type) != "" {
			key := e.Type + e.Subject()
			if open[key] {
				c.r.t.Errorf("%s twice", key)
			}
			open[key] = true
		} else if start := event.StartOf(e.Type); start != "" {
			if !open[start+e.Subject()] {
				c.r.t.Errorf("%s of %s without a start", e.Type, e.Subject())
			}
			delete(open, start+e.Subject())
		}
	}
	if len(open) > 0 {
		c.r.t.Errorf("without a stop: %v", open)
	}
	return n
}

// TestO03_BlackHole: a publisher that is only silent, as if its network were gone, has its stop within twice
// the idle timeout, once.
func TestO03_BlackHole(t *testing.T) {
	const idle = 300 * time.Millisecond
	r := start(t, func(c *server.Config) { c.RTMP.IdleTimeout = idle })
	c := r.collect("publish.*", "stream.*")
	p := r.raw().connect("live")
	p.command(0, "createStream", 2.0, nil)
	p.result(2)
	p.command(1, "publish", 3.0, nil, "a", "live")
	p.status("NetStream.Publish.Start")
	p.message(rtmp.TypeVideo, 1, 0, videoHeader)
	p.message(rtmp.TypeVideo, 1, 0, videoFrame(true, 0, 20))
	first := c.until(event.PublishStart, "")
	began := time.Now()
	stop := c.until(event.PublishStop, first.Session.ID)
	if took := time.Since(began); took > 2*idle+500*time.Millisecond || took < idle {
		t.Errorf("after %v", took)
	}
	if stop.Data["reason"] != "idle" || stop.Data["frames"] != uint64(2) {
		t.Error(stop.Data)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c.paired("")
	if got := c.String(); got != "stream.online, publish.start, publish.stop idle, stream.offline" {
		t.Error(got)
	}
}

// TestO06_Takeover: the old session's stop comes before the new one's start.
func TestO06_Takeover(t *testing.T) {
	r := start(t, nil)
	c := r.collect("publish.*", "stream.*")
	one := r.mustPublish("live/a")
	one.must(one.video(0, videoHeader))
	one.must(one.video(0, videoFrame(true, 0, 20)))
	first := c.until(event.PublishStart, "").Session.ID
	two := r.mustPublish("live/a")
	two.must(two.video(0, videoHeader))
	two.must(two.video(0, videoFrame(true, 0, 20)))
	if e := c.until(event.PublishTakeover, ""); e.Data["previous"] != first || e.Session.ID == first {
		t.Error(e)
	}
	two.must(two.video(40, videoFrame(false, 1, 20)))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c.paired("")
	if got := c.String(); got != "stream.online, publish.start, publish.stop takeover, publish.takeover, publish.start, publish.stop shutdown, stream.offline" {
		t.Error(got)
	}
}

// TestO05_Refused: publishers that are refused have no start.
func TestO05_Refused(t *testing.T) {
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.OnConflict = "reject"
		c.Streams = []server.StreamConfig{s}
	})
	c := r.collect("publish.*")
	one := r.mustPublish("live/a")
	one.must(one.video(0, videoHeader))
	one.must(one.video(0, videoFrame(true, 0, 20)))
	c.until(event.PublishStart, "")
	for range 3 {
		if _, err := r.publish(t.Context(), "live/a?key=hunter2"); err == nil {
			t.Fatal("a second publisher")
		}
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c.paired("")
	if got := c.String(); got != "publish.start, publish.rejected conflict, publish.rejected conflict, publish.rejected conflict, publish.stop shutdown" {
		t.Error(got)
	}
	for _, e := range c.all {
		if strings.Contains(fmt.Sprintf("%+v %+v %+v", e, e.Stream, e.Session), "hunter2") {
			t.Errorf("%+v", e)
		}
	}
}

// TestO07_AllProtocols: players of each protocol have one start and one stop, viewers of HLS too.
func TestO07_AllProtocols(t *testing.T) {
	r := start(t, hlsStream(nil))
	c := r.collect("play.*", "publish.*", "stream.*")
	r.liveHLS("live/a")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for _, ext := range []string{".flv", ".ts"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.httpURL("live/a"+ext), nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	client, p, err := r.play(ctx, "live/a")
	if err != nil {
		t.Fatal(err)
	}
	next(t, p, rtmp.TypeVideo)
	client.Close()
	h := r.openHLS("live/a")
	for range 5 {
		h.play()
	}
	r.until("all players began", func() bool {
		c.rest()
		n := 0
		for _, e := range c.all {
			if e.Type == event.PlayStart {
				n++
			}
		}
		return n >= 4
	})
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if n := c.paired(event.PlayStart); n != 4 {
		t.Errorf("%d players began: %s", n, c)
	}
	var protocols []string
	for _, e := range c.all {
		if e.Type == event.PlayStop {
			protocols = append(protocols, e.Session.Protocol)
			if e.Data["bytes_sent"] == uint64(0) {
				t.Errorf("%s: %v", e.Session.Protocol, e.Data)
			}
		}
	}
	slices.Sort(protocols)
	if want := []string{"hls", "http-flv", "http-ts", "rtmp"}; !slices.Equal(protocols, want) {
		t.Error(protocols)
	}
}

// TestO04_QuickCycles: publishers that come and go quickly have all their events, complete and in pairs.
func TestO04_QuickCycles(t *testing.T) {
	r := start(t, nil)
	c := r.collect()
	const n = 200
	for i := range n {
		p, err := r.InProcess().PublishLocal(t.Context(), fmt.Sprint("live/", i%3))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
			t.Fatal(err)
		}
		p.Close()
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if got := c.paired(event.PublishStart); got != n {
		t.Errorf("%d starts", got)
	}
	for _, e := range c.all {
		if e.Type == event.PublishStop && (e.Data["reason"] != "unpublish" || e.Data["frames"] != uint64(1) || e.Stream.Path == "" || e.Session.Protocol != "in-process") {
			t.Errorf("%+v", e)
		}
	}
	if first, last := c.all[0], c.all[len(c.all)-1]; last.Type != event.ServerStop || first.Type != event.ServerStart && first.Type != event.StreamOnline {
		t.Errorf("from %s to %s", first.Type, last.Type)
	}
}
