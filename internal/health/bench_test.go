package health

import (
	"testing"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// BenchmarkLook is what one stream costs in a second.
func BenchmarkLook(b *testing.B) {
	hub := stream.New(stream.Options{})
	defer hub.Close(nil)
	p, err := hub.Publish("live/a", stream.Info{})
	if err != nil {
		b.Fatal(err)
	}
	s := source{length: 10 * time.Second}
	for _, f := range s.headers() {
		_ = p.Write(f)
	}
	for _, a := range s.frames() {
		f := *a.frame
		_ = p.Write(&f)
	}
	m := NewMonitor(Options{Streams: func() []*stream.Stream { return []*stream.Stream{p.Stream()} }})
	b.ReportAllocs()
	for b.Loop() {
		m.look()
	}
	if n := len(m.Findings("live/a")); n > 0 {
		b.Fatal(n, "findings")
	}
	if _, _, t := p.Stream().Figures(nil); len(t) != 2 || t[0].Kind != av.Video {
		b.Fatal(t)
	}
}
