package server_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"weir/internal/server"
)

// TestGraceAfterStop: players wait shorter for a publisher that stopped than for one whose
// connection broke.
func TestGraceAfterStop(t *testing.T) {
	const long, short = time.Minute, 300 * time.Millisecond
	r := start(t, func(c *server.Config) {
		s := server.DefaultStream()
		s.Publish.Grace, s.Publish.GraceAfterStop = long, short
		c.Streams = []server.StreamConfig{s}
	})
	for _, stops := range []bool{true, false} {
		path := map[bool]string{true: "live/stops", false: "live/breaks"}[stops]
		p := r.mustPublish(path)
		p.must(p.video(0, videoHeader))
		p.must(p.video(0, videoFrame(true, 1, 100)))
		r.arrived(path, 1)
		res, err := http.Get(r.httpURL(path + ".flv"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if stops {
			p.must(p.PublishStream.Close()) // FCUnpublish, deleteStream
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Errorf("the player's end is no end: %v", err)
			}
			continue
		}
		p.client.Close()
		over := r.hub.Get(path).Over()
		select {
		case <-over:
			t.Error("the stream did not wait for the publisher whose connection broke")
		case <-time.After(3 * short):
		}
	}
}
