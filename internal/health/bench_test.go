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
	f := &av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: []byte{0x21, 0x10}}
	for b.Loop() {
		f.DTS += aacFrame
		_ = p.Write(f) // so that it is not stalled
		m.look()
	}
	if l := m.Statuses(); len(l) != 1 || l[0].KeyInterval != 2*second {
		b.Fatal(l)
	}
}
