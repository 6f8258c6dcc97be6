package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Smallest bitstreams that say what they are: an IDR and a non-IDR slice.
var (
	avcConfig = []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	idr       = []byte{0, 0, 0, 2, 0x65, 0x88}
	slice     = []byte{0, 0, 0, 2, 0x41, 0x9a}
	ascConfig = []byte{0x12, 0x10}
)

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
func (t *tape) End()   { t.mu.Lock(); t.ended = true; t.mu.Unlock() }
func (t *tape) Wake()  {}

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

func TestBeginsAtZeroWithHeadersAtTheFirstFramesTime(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), acfg(), keyFrame(5000), audio(5010), inter(5040))
		m.want(t, "flush vcfg0 acfg0 vK0* a10 v40")
		late := attach(t, p.Stream())
		late.want(t, "vK0* a10 v40")
		if got := len(p.Stream().Headers().Tracks); got != 2 {
			t.Fatal(got, "tracks")
		}
	})
}

func TestC192_FirstTimestampIsHuge(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(3_000_000_000), inter(3_000_000_040))
		m.want(t, "flush vcfg0 vK0* v40")
	})
}

func TestC160_IdenticalHeaderAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0), inter(40), vcfg(), keyFrame(80))
		m.want(t, "flush vcfg0 vK0* v40 vK80*")
	})
}

func TestC161_ChangedHeaderFlushesAndRaisesTheVersion(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), acfg(), keyFrame(0), audio(10))
		before := p.Stream().Headers()
		c := vcfg()
		c.Payload = append([]byte{}, avcConfig...)
		c.Payload[len(c.Payload)-1]++ // another picture parameter set
		c.DTS = ms(40)
		write(t, p, c, keyFrame(40))
		after := p.Stream().Headers()
		m.want(t, "flush vcfg0 acfg0 vK0* a10 flush vcfg40 vK40*")
		if after.Tracks[0].Version <= before.Tracks[0].Version || after.Tracks[1].Version != before.Tracks[1].Version {
			t.Fatal("versions", before.Tracks, after.Tracks)
		}
	})
}

func TestC158_AudioOnlyMayBeJoinedOnceASecond(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, acfg(), audio(0), audio(500), audio(999), audio(1000), audio(1500))
		m.want(t, "flush acfg0 a0* a500 a999 a1000* a1500")
	})
}

func TestC159_LateTracks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		elapse(20 * time.Second)
		a := acfg()
		a.DTS = ms(20000)
		write(t, p, inter(20000), a, audio(20010), keyFrame(20040))
		m.want(t, "flush vcfg0 vK0* v20000 acfg20000 a20010 vK20040*")
	})
}

func TestAudioThenVideoFlipsToKeyFrames(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, acfg(), audio(0), audio(1000))
		v := vcfg()
		v.DTS = ms(2000)
		write(t, p, v, keyFrame(2000), audio(2010), audio(3500))
		m.want(t, "flush acfg0 a0* a1000* vcfg2000 vK2000* a2010 a3500")
	})
}

func TestTimelineRepairs(t *testing.T) {
	for _, c := range []struct {
		name, want string
		frames     []*av.Frame
	}{
		{"C-189 jitter and equal", "flush vcfg0 vK0* v400 v400 v400 v440", []*av.Frame{keyFrame(0), inter(400), inter(200), inter(400), inter(440)}},
		{"C-188 jump forward", "flush vcfg0 vK0* v40 v80! v120", []*av.Frame{keyFrame(0), inter(40), inter(3600040), inter(3600080)}},
		{"C-188 jump back", "flush vcfg0 vK0* v40 v80! v120", []*av.Frame{keyFrame(3600000), inter(3600040), inter(0), inter(40)}},
		{"C-186 31-bit wrap", "flush vcfg0 vK0* v33 v66! v99", []*av.Frame{keyFrame(0x7fffffd0), inter(0x7ffffff1), inter(0), inter(33)}},
		{"jump with both tracks keeps their offset", "flush vcfg0 acfg0 vK0* a10 v40 a50 v80! a90 a100 v120 a130", []*av.Frame{
			acfg(), keyFrame(0), audio(10), inter(40), audio(50), inter(7000000), audio(90), audio(7000020), inter(7000040), audio(7000050),
		}},
		{"C-191 all zero", "flush vcfg0 vK0* v0 v0", []*av.Frame{keyFrame(0), inter(0), inter(0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, h *Hub) {
				p := publish(t, h, nil)
				m := attach(t, p.Stream())
				write(t, p, vcfg())
				write(t, p, c.frames...)
				m.want(t, c.want)
			})
		})
	}
}

func TestARealGapIsNoJump(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		elapse(60 * time.Second)
		write(t, p, keyFrame(60000))
		m.want(t, "flush vcfg0 vK0* vK60000*")
	})
}

func TestReturnWithinGraceContinuesTheTimeline(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		s := p.Stream()
		m := attach(t, s)
		write(t, p, vcfg(), acfg(), keyFrame(0), audio(10), inter(40))
		p.Close(nil)
		elapse(5 * time.Second)
		p = publish(t, h, nil)
		if p.Stream() != s {
			t.Fatal("another stream")
		}
		// The new encoder's clock begins elsewhere, with half a GOP.
		write(t, p, vcfg(), acfg(), inter(900), audio(910), keyFrame(940), inter(980))
		m.want(t, "flush vcfg0 acfg0 vK0* a10 v40 flush vcfg5040 acfg5040 a5040! vK5070* v5110")
		elapse(time.Minute) // the timer of the first grace must not end the stream
		if h.Get("live/a") != s {
			t.Fatal("stream ended")
		}
	})
}

func TestANewPublishersPicturesComeAfterTheLastOnes(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		s := p.Stream()
		late := inter(40)
		late.PTS = ms(200) // to be shown after the frames that follow it
		write(t, p, vcfg(), keyFrame(0), late)
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		r := s.Follow(FollowOptions{})
		defer r.Close()
		e, err := r.Next(t.Context())
		if err != nil || e.PTS <= ms(200) || e.PTS-e.DTS != ms(40) {
			t.Fatal(e, err)
		}
	})
}

func TestC199_AudioOnlyReturnAfterVideo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), acfg(), keyFrame(0))
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, acfg(), audio(0), audio(1000))
		m.want(t, "flush vcfg0 acfg0 vK0* flush acfg73 a73*! a1073*")
	})
}

func TestGraceExpires(t *testing.T) {
	var events eventLog
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		r := p.Stream().Follow(FollowOptions{})
		defer r.Close()
		write(t, p, vcfg(), keyFrame(0))
		p.Close(nil)
		elapse(16 * time.Second)
		synctest.Wait()
		if !m.ended || h.Len() != 0 {
			t.Fatal("ended:", m.ended, "streams:", h.Len())
		}
		if e, err := r.Next(t.Context()); err != nil || !e.IsKey() {
			t.Fatal(e, err)
		}
		if _, err := r.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if fmt.Sprint(events.list()) != fmt.Sprint([]EventKind{Started, Waiting, Ended}) {
			t.Fatal(events.list())
		}
	})
}

func TestKickEndsAtOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		kicked := errors.New("kicked")
		p.Close(kicked)
		if !m.ended || h.Len() != 0 {
			t.Fatal("still there")
		}
		if err := p.Write(inter(40)); err == nil {
			t.Fatal("a closed publisher may write")
		}
	})
}

func TestC130_TakeoverAtTheNewKeyFrame(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		old := publish(t, h, cancel)
		m := attach(t, old.Stream())
		write(t, old, vcfg(), keyFrame(0), inter(40))
		p := publish(t, h, nil)
		write(t, p, vcfg(), inter(100)) // the old one feeds until the key frame
		write(t, old, inter(80))
		if ctx.Err() != nil {
			t.Fatal("the old one ended early")
		}
		write(t, p, keyFrame(140), inter(180))
		if !errors.Is(context.Cause(ctx), ErrTakenOver) {
			t.Fatal(context.Cause(ctx))
		}
		if err := old.Write(inter(120)); !errors.Is(err, ErrTakenOver) {
			t.Fatal(err)
		}
		old.Close(nil)
		m.want(t, "flush vcfg0 vK0* v40 v80 flush vcfg120 vK120*! v160")
		if h.Len() != 1 {
			t.Fatal(h.Len())
		}
	})
}

func TestTakeoverAfterTwoSecondsWithoutAKeyFrame(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		old := publish(t, h, cancel)
		write(t, old, vcfg(), keyFrame(0))
		p := publish(t, h, nil)
		elapse(handover + time.Second)
		if !errors.Is(context.Cause(ctx), ErrTakenOver) {
			t.Fatal("old one stays")
		}
		write(t, p, vcfg(), keyFrame(0))
	})
}

func TestC129_RejectSecondPublisher(t *testing.T) {
	set := Default()
	set.Reject = true
	bubble(t, Options{Settings: func(string) Settings { return set }}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
		write(t, p, vcfg(), keyFrame(0))
	})
}

func TestFightingPublishersAreTold(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		for range 3 {
			p = publish(t, h, nil)
			write(t, p, vcfg(), keyFrame(0))
		}
		if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrFighting) {
			t.Fatal(err)
		}
		elapse(silentTime) // it has gone silent: an encoder that reconnects gets in
		p2 := publish(t, h, nil)
		write(t, p2, vcfg(), keyFrame(0))
		if err := p.Write(inter(40)); !errors.Is(err, ErrTakenOver) {
			t.Fatal(err)
		}
	})
}

func TestC131_ManyPublishersRaceForOneName(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				p, err := h.Publish("live/a", Info{})
				if err != nil {
					return
				}
				_ = p.Write(vcfg())
				_ = p.Write(keyFrame(0))
				p.Close(nil)
			})
		}
		wg.Wait()
		elapse(time.Minute)
		synctest.Wait()
		if h.Len() != 0 {
			t.Fatal("streams left:", h.Len())
		}
	})
}

func TestC181_CacheBoundsDropTheStart(t *testing.T) {
	set := Default()
	set.Cache.Frames = 5
	var events eventLog
	o := Options{Settings: func(string) Settings { return set }, Notify: events.add}
	bubble(t, o, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		for i := range 20 {
			write(t, p, inter(40+40*i))
		}
		m := attach(t, p.Stream())
		m.want(t, "")
		write(t, p, keyFrame(1000))
		m.want(t, "vK1000*")
		if fmt.Sprint(events.list()) != fmt.Sprint([]EventKind{Started, NoKeyFrames}) {
			t.Fatal(events.list())
		}
	})
}

func TestC180_MislabeledKeyFramesAreCorrected(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		wrong, lie := keyFrame(0), inter(40)
		wrong.Flags = 0
		lie.Flags = av.Key
		write(t, p, vcfg(), wrong, lie)
		m.want(t, "flush vcfg0 vK0* v40")
		if got := p.Stream().Stats().Mislabeled; got != 2 {
			t.Fatal(got)
		}
	})
}

func TestReaderThatFallsBehindSkipsToAKeyFrame(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		r := p.Stream().Follow(FollowOptions{})
		defer r.Close()
		write(t, p, vcfg(), keyFrame(0))
		if _, err := r.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			elapse(time.Second)
			write(t, p, inter(1000*i+1000))
		}
		write(t, p, keyFrame(20040), inter(20080))
		e, err := r.Next(t.Context())
		if err != nil || !e.IsKey() || e.DTS != ms(20040) || r.Skips() != 1 {
			t.Fatal(e, err, r.Skips())
		}
	})
}

func TestReaderWaitsAndIsWoken(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		r := p.Stream().Follow(FollowOptions{})
		got := make(chan time.Duration, 4)
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				e, err := r.Next(t.Context())
				if err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
				got <- e.DTS
			}
		})
		write(t, p, vcfg(), inter(0), keyFrame(40), inter(80))
		synctest.Wait()
		r.Close()
		wg.Wait()
		if len(got) != 2 || <-got != ms(40) {
			t.Fatal("frames before the first key frame were read")
		}
	})
}

func TestSettled(t *testing.T) {
	done := func(s *Stream) bool {
		synctest.Wait()
		select {
		case <-s.Settled():
			return true
		default:
			return false
		}
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		if done(p.Stream()) {
			t.Fatal("settled with video only at once")
		}
		elapse(settleTime)
		if !done(p.Stream()) {
			t.Fatal("not settled after a second")
		}
	})
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		p.Expect(true, false)
		write(t, p, vcfg(), keyFrame(0))
		if !done(p.Stream()) {
			t.Fatal("waits for audio that the metadata says is not there")
		}
	})
}

func TestLimits(t *testing.T) {
	set := Default()
	set.MaxPlayers = 1
	bubble(t, Options{Limits: Limits{Streams: 1}, Settings: func(string) Settings { return set }}, func(t *testing.T, h *Hub) {
		s, err := h.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Play("live/a"); !errors.Is(err, ErrTooManyPlayers) {
			t.Fatal(err)
		}
		s.Leave()
		if h.Len() != 0 {
			t.Fatal(h.Len())
		}
	})
}

func TestC252_PublishAndUnpublishKeepsEventsInOrder(t *testing.T) {
	var events eventLog
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		for range 1000 {
			p := publish(t, h, nil)
			write(t, p, vcfg(), keyFrame(0))
			p.Close(nil)
		}
	})
	list := events.list()
	for i, e := range list[:len(list)-1] {
		want := Waiting
		if i%2 == 0 {
			want = Resumed
		}
		if i == 0 {
			want = Started
		}
		if e != want {
			t.Fatalf("event %d is %d, want %d", i, e, want)
		}
	}
}

// TestKeyInterval: the longest time between key frames is that of the present publisher.
func TestKeyInterval(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		is := func(s *Stream, want time.Duration) {
			t.Helper()
			if got := s.Stats().KeyInterval; got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		p := publish(t, h, nil)
		s := p.Stream()
		write(t, p, vcfg(), keyFrame(0), inter(40))
		is(s, 0)
		write(t, p, keyFrame(1000), inter(1040), keyFrame(4000), keyFrame(4500))
		is(s, ms(3000))
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, vcfg(), keyFrame(0))
		is(s, 0)
		write(t, p, keyFrame(2000))
		is(s, ms(2000))
	})
}
