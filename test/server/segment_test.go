package server_test

import (
	"net/http"
	"os"
	"testing"

	"weir/internal/event"
	"weir/internal/server"
)

// TestSegmentDone: whoever wants to know is told of each segment of HLS once it can be fetched, in memory and on disk, and nothing is
// described for nobody: the API's own events leave them out.
func TestSegmentDone(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, hlsStream(func(s *server.StreamConfig) { s.HLS.Directory = dir }))
			if r.Events().Wanted(event.SegmentDone) {
				t.Error("somebody wants segments")
			}
			c := r.collect("segment.done", "publish.start")
			r.liveHLS("live/a")
			r.openHLS("live/a").play()
			publisher := c.until(event.PublishStart, "")
			var last uint64
			for n := range 3 {
				c.all = nil
				e := c.until(event.SegmentDone, publisher.Session.ID)
				d := e.Data
				number, _ := d["number"].(uint64)
				if e.Stream.Path != "live/a" || e.Stream.Epoch != publisher.Stream.Epoch || d["rendition"] != "main" || d["protocol"] != "hls" ||
					d["playlist"] != "live/a/index.m3u8" || d["duration"].(float64) <= 0 || n > 0 && number != last+1 {
					t.Fatalf("%+v", e)
				}
				last = number
				res, body := r.get(d["url"].(string))
				if res.StatusCode != http.StatusOK || len(body) != d["size"] {
					t.Errorf("%v: %s, %d bytes, told were %v", d["url"], res.Status, len(body), d["size"])
				}
				file, _ := d["file"].(string)
				if (file != "") != (dir != "") {
					t.Fatalf("file %q in directory %q", file, dir)
				}
				if file != "" {
					if info, err := os.Stat(file); err != nil || info.Size() != int64(len(body)) {
						t.Errorf("%s: %v %v", file, info, err)
					}
				}
			}
		})
	}
}
