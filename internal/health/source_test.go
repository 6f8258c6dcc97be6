package health

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/amf"
	"weir/av"
	"weir/internal/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ms     = time.Millisecond
	second = time.Second
	// aacFrame is how long a frame of sound lasts.
	aacFrame = time.Second * 1024 / 48000
)

// The configurations of the tracks: H.264 Baseline and AAC with 48 kHz.
var (
	avcConfig = []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	ascConfig = []byte{0x11, 0x90}
)

// picture is a slice of so many bytes, of a key frame or not.
func picture(key bool, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0x80
	}
	b[0], b[1], b[2], b[3], b[4] = 0, 0, 0, 0, 0x41
	b[2], b[3] = byte((size-4)>>8), byte(size-4)
	if key {
		b[4] = 0x65
	}
	return b
}

// source is what a publisher sends. The zero value is a stream with nothing wrong with it for 40 s.
type source struct {
	length   time.Duration
	step     time.Duration // between pictures; 40 ms
	key      time.Duration // between key frames; 2 s
	size     int           // of a picture; 100 bytes
	metadata amf.Object
	// noVideo and noSound leave out a track, and videoConfig and audioConfig are other configurations.
	noVideo, noSound         bool
	videoConfig, audioConfig []byte
	// change may change a frame that belongs at a time. It returns when it arrives, and whether it does.
	change func(f *av.Frame, at time.Duration) (arrives time.Duration, sent bool)
}

// arrival is a frame that arrives.
type arrival struct {
	at    time.Duration
	frame *av.Frame
}

// frames returns what is sent, in the order of arrival.
func (s *source) frames() (list []arrival) {
	length, step, key, size := cmp.Or(s.length, 40*second), cmp.Or(s.step, 40*ms), cmp.Or(s.key, 2*second), cmp.Or(s.size, 100)
	add := func(f *av.Frame, at time.Duration) {
		f.DTS, f.PTS = at, at
		arrives, sent := at, true
		if s.change != nil {
			arrives, sent = s.change(f, at)
		}
		if sent && arrives <= length {
			list = append(list, arrival{arrives, f})
		}
	}
	if !s.noVideo {
		next := time.Duration(0)
		for at := time.Duration(0); at <= length; at += step {
			isKey := at >= next
			f := &av.Frame{Kind: av.Video, Codec: av.H264, Payload: picture(isKey, size)}
			if isKey {
				f.Flags, next = av.Key, next+key
			}
			add(f, at)
		}
	}
	for i := 0; !s.noSound && time.Duration(i)*aacFrame <= length; i++ {
		add(&av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, Payload: []byte{0x21, 0x10}}, time.Duration(i)*aacFrame)
	}
	slices.SortStableFunc(list, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	return list
}

// headers are what goes before.
func (s *source) headers() (list []*av.Frame) {
	if s.metadata != nil {
		payload, err := amf.Append(nil, "onMetaData", s.metadata)
		if err != nil {
			panic(err)
		}
		list = append(list, &av.Frame{Kind: av.Data, Type: av.Meta, Payload: payload})
	}
	config := func(kind av.Kind, c av.Codec, b, other []byte) {
		if other != nil {
			b = other
		}
		if len(b) > 0 {
			list = append(list, &av.Frame{Kind: kind, Type: av.Config, Codec: c, Payload: b})
		}
	}
	if !s.noVideo {
		config(av.Video, av.H264, avcConfig, s.videoConfig)
	}
	if !s.noSound {
		config(av.Audio, av.AAC, ascConfig, s.audioConfig)
	}
	return list
}

// send sends it all, as it arrives.
func (s *source) send(t *testing.T, p *stream.Publisher) {
	begin := time.Now()
	write := func(f *av.Frame) {
		if err := p.Write(f); err != nil {
			t.Error(err)
		}
	}
	for _, f := range s.headers() {
		write(f)
	}
	for _, a := range s.frames() {
		if wait := a.at - time.Since(begin); wait > 0 {
			<-time.After(wait)
		}
		write(a.frame)
	}
	length := cmp.Or(s.length, 40*second)
	<-time.After(length - time.Since(begin))
}

// watching runs f in a bubble with a hub and a monitor that looks at it; told are its changes so far.
func watching(t *testing.T, f func(t *testing.T, hub *stream.Hub, m *Monitor, told func() []Change)) {
	synctest.Test(t, func(t *testing.T) {
		hub := stream.New(stream.Options{})
		changes := make(chan Change, 100)
		m := NewMonitor(Options{Streams: hub.List, Changed: func(c Change) { changes <- c }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			hub.Close(nil)
		}()
		<-time.After(7 * ms) // so that nothing arrives at the moment at which the monitor looks
		var all []Change
		f(t, hub, m, func() []Change {
			synctest.Wait()
			for len(changes) > 0 {
				all = append(all, <-changes)
			}
			return all
		})
	})
}
