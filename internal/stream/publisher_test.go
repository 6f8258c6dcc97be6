package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
		elapse(3 * time.Second)
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
		elapse(2 * time.Second) // it has gone silent: an encoder that reconnects gets in
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
