package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/av"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eventLog is what a hub told of.
type eventLog struct {
	mu    sync.Mutex
	kinds []EventKind
}

func (l *eventLog) add(e Event) {
	if e.Kind == Repaired {
		return // has a test of its own
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds = append(l.kinds, e.Kind)
}

func (l *eventLog) list() []EventKind {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kinds)
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func vcfg() *av.Frame {
	return &av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: avcConfig}
}

func acfg() *av.Frame {
	return &av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: ascConfig}
}

func keyFrame(at int) *av.Frame {
	return &av.Frame{Kind: av.Video, Codec: av.H264, Flags: av.Key, DTS: ms(at), PTS: ms(at + 40), Payload: idr}
}

func inter(at int) *av.Frame {
	return &av.Frame{Kind: av.Video, Codec: av.H264, DTS: ms(at), PTS: ms(at + 40), Payload: slice}
}

func audio(at int) *av.Frame {
	return &av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: ms(at), PTS: ms(at), Payload: []byte{0x21}}
}

// tape is a muxer that writes down what it is given: kind, type, time, and * for a sync point.
type tape struct {
	mu    sync.Mutex
	lines []string
	ended bool
}

func (t *tape) Append(e *Entry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := map[av.Kind]string{av.Video: "v", av.Audio: "a", av.Data: "d"}[e.Kind]
	switch {
	case e.Type == av.Config:
		s += "cfg"
	case e.IsKey() && e.Kind == av.Video:
		s += "K"
	}
	s += fmt.Sprint(e.DTS.Milliseconds())
	if e.Sync {
		s += "*"
	}
	if e.Flags&av.Discontinuity != 0 {
		s += "!"
	}
	t.lines = append(t.lines, s)
}

func (t *tape) Flush() { t.mu.Lock(); t.lines = append(t.lines, "flush"); t.mu.Unlock() }

func (t *tape) End() { t.mu.Lock(); t.ended = true; t.mu.Unlock() }

func (t *tape) Wake() {}

func (t *tape) want(tb testing.TB, want string) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if got := strings.Join(t.lines, " "); got != want {
		tb.Errorf("\n got %s\nwant %s", got, want)
	}
	t.lines = nil
}

func bubble(t *testing.T, o Options, f func(t *testing.T, h *Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := New(o)
		f(t, h)
		h.Close(errors.New("test over"))
	})
}

func publish(t *testing.T, h *Hub, end context.CancelCauseFunc) *Publisher {
	t.Helper()
	p, err := h.Publish("live/a", Info{End: end})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, p *Publisher, fs ...*av.Frame) {
	t.Helper()
	for _, f := range fs {
		if err := p.Write(f); err != nil {
			t.Fatal(err)
		}
	}
}

func elapse(d time.Duration) { <-time.After(d) }

func attach(t *testing.T, s *Stream) *tape {
	t.Helper()
	m := &tape{}
	if !s.Attach(m) {
		t.Fatal("stream has ended")
	}
	return m
}

// Smallest bitstreams that say what they are: an IDR and a non-IDR slice.
var (
	avcConfig = []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	idr       = []byte{0, 0, 0, 2, 0x65, 0x88}
	slice     = []byte{0, 0, 0, 2, 0x41, 0x9a}
	ascConfig = []byte{0x12, 0x10}
)
