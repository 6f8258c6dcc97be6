package protocoltest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
)

// What is published: H.264 of 320x240 and AAC of 16 kHz, whose frames last 64 ms both, so that
// their times are whole in every protocol's clock. Each frame carries its number.
const (
	// Interval is how long a frame of video lasts, and one of sound.
	Interval = 64 * time.Millisecond
	// GOP is how many frames a group of pictures has.
	GOP = 10
)

var (
	videoConfig = unhex("0142c00affe100086742c00ada0507e401000468ce3c80")
	audioConfig = unhex("1410")
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// Configs returns the configurations of both tracks at a time.
func Configs(at time.Duration) []av.Frame {
	return []av.Frame{
		{Kind: av.Video, Codec: av.H264, Type: av.Config, DTS: at, PTS: at, Payload: videoConfig},
		{Kind: av.Audio, Codec: av.AAC, Type: av.Config, DTS: at, PTS: at, Payload: audioConfig},
	}
}

// number is a number in bytes none of which looks like a start code in Annex B.
func number(n uint32) []byte {
	return []byte{0x80 | byte(n>>21)&0x7f, 0x80 | byte(n>>14)&0x7f, 0x80 | byte(n>>7)&0x7f, 0x80 | byte(n)&0x7f}
}

func fromNumber(b []byte) (n uint32) {
	for _, c := range b[:4] {
		n = n<<7 | uint32(c&0x7f)
	}
	return n
}

// slice is the NAL unit of frame n, of size bytes at least.
func slice(n uint32, size int) []byte {
	nal := make([]byte, max(size, 16))
	nal[0], nal[1] = 0x41, 0x9a
	if n%GOP == 0 {
		nal[0], nal[1] = 0x65, 0x88
	}
	copy(nal[2:], number(n))
	for i := 6; i < len(nal); i++ {
		nal[i] = 0x80 | byte(i*7+int(n))
	}
	return nal
}

// Video is frame n of the video, of size bytes at least, at its time.
func Video(n uint32, size int) av.Frame {
	nal := slice(n, size)
	f := av.Frame{Kind: av.Video, Codec: av.H264, DTS: time.Duration(n) * Interval, PTS: time.Duration(n) * Interval}
	f.Payload = append(binary.BigEndian.AppendUint32(nil, uint32(len(nal))), nal...)
	if n%GOP == 0 {
		f.Flags = av.Key
	}
	return f
}

// Audio is frame n of the sound.
func Audio(n uint32) av.Frame {
	at := time.Duration(n) * Interval
	payload := append([]byte{0x21}, number(n)...)
	return av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: at, PTS: at, Payload: append(payload, bytes.Repeat([]byte{0x5a}, 20)...)}
}

// heard is a frame that came, reduced to what protocols must keep.
type heard struct {
	kind   av.Kind
	number uint32
	key    bool
	dts    time.Duration
	size   int
	exact  bool // its bytes are those that were sent
}

// hear reduces a frame; it reports false for what is no media.
func hear(f *av.Frame) (heard, bool) {
	h := heard{kind: f.Kind, dts: f.DTS}
	if f.Type != av.Media {
		return h, false
	}
	switch f.Kind {
	case av.Video:
		for b := f.Payload; len(b) > 4; {
			n := int(binary.BigEndian.Uint32(b))
			if n > len(b)-4 || n < 6 {
				break
			}
			nal := b[4 : 4+n]
			b = b[4+n:]
			if t := nal[0] & 0x1f; t == 1 || t == 5 {
				h.number, h.key, h.size = fromNumber(nal[2:]), t == 5, n
				h.exact = bytes.Equal(nal, slice(h.number, n))
				return h, true
			}
		}
	case av.Audio:
		if len(f.Payload) >= 5 {
			h.number = fromNumber(f.Payload[1:])
			want := Audio(h.number)
			h.exact = bytes.Equal(f.Payload, want.Payload)
			return h, true
		}
	}
	return h, f.Kind != av.Data
}

// Writer takes a publisher's frames.
type Writer interface {
	Write(f *av.Frame) error
}

// Source publishes numbered frames, faster than they are, until it is stopped.
type Source struct {
	stop func() error
}

// Stop ends the source, and returns the error that ended it before, if one did.
func (s *Source) Stop() error { return s.stop() }

// pace is how often a source writes a frame of Interval.
const pace = 4 * time.Millisecond

// Pump writes frames of size bytes to w, beginning with number from, every few milliseconds
// until the test ends or Stop.
func Pump(t testing.TB, w Writer, from uint32, size int) *Source {
	ctx, cancel := context.WithCancel(context.Background())
	var failed error
	var wg sync.WaitGroup
	wg.Go(func() { failed = pump(ctx, w, from, size) })
	s := &Source{sync.OnceValue(func() error { cancel(); wg.Wait(); return failed })}
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func pump(ctx context.Context, w Writer, from uint32, size int) error {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := from; ; n++ {
		frames := []av.Frame{Video(n, size), Audio(n)}
		if n == from {
			frames = append(Configs(frames[0].DTS), frames...)
		}
		for i := range frames {
			if err := w.Write(&frames[i]); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// local is a publisher in the process.
type local struct {
	*stream.Publisher
	hub *stream.Hub
}

// Write implements Writer.
func (l local) Write(f *av.Frame) error {
	f.Arrived = l.hub.Now()
	return l.Publisher.Write(f)
}

// localName is the protocol of publishers in the process.
const localName = "in-process"

// Local publishes a stream from within the process; end is called when the server ends it.
func (s *Server) Local(path string, end func(cause error)) Writer {
	s.t.Helper()
	x, err := s.Sessions.Open(session.Info{Protocol: localName, InProcess: true})
	if err != nil {
		s.t.Fatal(err)
	}
	pub, err := s.Door(localName).Publish(s.t.Context(), x, peer.Ask{Path: path}, func(cause error) {
		if end != nil {
			end(cause)
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { pub.Close(nil); x.CloseWith(nil) })
	return local{pub, s.Hub}
}
