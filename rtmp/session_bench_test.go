package rtmp

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
)

// quiet accepts everything, keeps nothing and detaches players.
type quiet struct{ messages atomic.Int64 }

func (*quiet) Connect(context.Context, *ServerSession, *ConnectRequest) error { return nil }
func (q *quiet) Publish(context.Context, *ServerSession, *PublishRequest) (Publication, error) {
	return q, nil
}

func (*quiet) Play(_ context.Context, s *ServerSession, _ *PlayRequest) (Playback, error) {
	return &quietPlayback{s}, nil
}
func (q *quiet) Message(*Message) error { q.messages.Add(1); return nil }
func (*quiet) Close(error)              {}

type quietPlayback struct{ s *ServerSession }

func (p *quietPlayback) Start(*PlayWriter) {
	nc, _ := p.s.Detach(func([]byte) error { return nil })
	p.s.Data = nc
}
func (*quietPlayback) Pause(bool)        {}
func (*quietPlayback) ReceiveAudio(bool) {}
func (*quietPlayback) ReceiveVideo(bool) {}
func (p *quietPlayback) Close(error)     { _ = p.s.Data.(net.Conn).Close() }

// benchmarkPublish publishes messages of a size to a server; the payload is the only
// allocation a message may cost.
func benchmarkPublish(b *testing.B, size, chunkSize int) {
	ln := listen(b)
	h := &quiet{}
	serveListener(b, ln, &Server{Handler: h})
	c, err := Dial(b.Context(), "rtmp://"+ln.Addr().String()+"/live/cam", DialOptions{ChunkSize: chunkSize})
	if err != nil {
		b.Fatal(err)
	}
	p, err := c.Publish(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	m := &Message{Type: TypeVideo, Payload: make([]byte, size)}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	n := int64(0)
	for b.Loop() {
		if err := p.WriteMessage(m); err != nil {
			b.Fatal(err)
		}
		n++
	}
	for h.messages.Load() < n {
	}
}

func BenchmarkPublish300(b *testing.B)       { benchmarkPublish(b, 300, 4096) }
func BenchmarkPublish9000(b *testing.B)      { benchmarkPublish(b, 9000, 4096) }
func BenchmarkPublish9000Large(b *testing.B) { benchmarkPublish(b, 9000, 65536) }

// One message through client, server and handler: the payload and nothing else.
func TestAllocationsPerMessage(t *testing.T) {
	if raceEnabled {
		return
	}
	r := testing.Benchmark(BenchmarkPublish9000)
	if got := r.AllocsPerOp(); got > 1 {
		t.Errorf("%d allocations a message", got)
	}
	if got := r.AllocedBytesPerOp(); got > 9000+1000 {
		t.Errorf("%d bytes a message of 9000", got)
	}
}
