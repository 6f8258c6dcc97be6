package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
)

// TestAFightIsToldOfOnce: each lock is one event, however often a publisher is refused.
func TestAFightIsToldOfOnce(t *testing.T) {
	var events history
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		fight := func(want int) {
			t.Helper()
			for range fights {
				p = publishTo(t, h, "live/a")
			}
			for range 3 {
				if _, err := h.Publish("live/a", Info{}); !errors.Is(err, ErrFighting) {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if n := events.count(Fighting); n != want {
				t.Errorf("told of %d times, want %d", n, want)
			}
		}
		fight(1)
		elapse(30 * time.Second)
		write(t, p, keyFrame(0)) // not silent
		fight(2)
	})
}

// TestAnEventIsToldWhenTheLastOneHasBeen: what Notify causes is told after it has returned.
func TestAnEventIsToldWhenTheLastOneHasBeen(t *testing.T) {
	var told []string
	var h *Hub
	o := Options{Notify: func(e Event) {
		told = append(told, fmt.Sprint("begin ", e.Kind, " of ", e.Path))
		if e.Kind == Started {
			h.Close(errors.New("over"))
		}
		told = append(told, fmt.Sprint("end ", e.Kind))
	}}
	synctest.Test(t, func(t *testing.T) {
		h = New(o)
		publishTo(t, h, "live/a")
	})
	want := fmt.Sprintf("begin %v of live/a, end %v, begin %v of live/a, end %v", Started, Started, Ended, Ended)
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestPublisherIsTheLiveOne: its information is there as long as it is.
func TestPublisherIsTheLiveOne(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		s := playAt(t, h, "live/a")
		if _, ok := s.Publisher(); ok {
			t.Error("there is one before it came")
		}
		p, err := h.Publish("live/a", Info{Session: "one"})
		if err != nil {
			t.Fatal(err)
		}
		if info, ok := s.Publisher(); !ok || info.Session != "one" {
			t.Errorf("%+v, %v", info, ok)
		}
		p.Close(nil)
		if info, ok := s.Publisher(); ok || info.Session != "" {
			t.Errorf("after it has gone: %+v", info)
		}
	})
}

// TestDataBeforeTheFirstMedia: of a new stream it is left out, for there is no time to put it at; players
// that stay for a returning publisher get its.
func TestDataBeforeTheFirstMedia(t *testing.T) {
	script := func() *av.Frame { return &av.Frame{Kind: av.Data, Type: av.Script, Payload: []byte{1}} }
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, script(), vcfg(), keyFrame(0))
		m := attach(t, p.Stream())
		first := p.Stream().Stats()
		if first.Frames[av.Data] != 0 || first.Frames[av.Video] != 1 {
			t.Errorf("of the new stream: %v frames", first.Frames)
		}
		m.want(t, "vK0*")
		p.Close(nil)
		p = publish(t, h, nil)
		write(t, p, script())
		if n := p.Stream().Stats().Frames[av.Data]; n != 1 {
			t.Errorf("of the publisher that returned: %d frames of data", n)
		}
	})
}

// TestAReturnGivesBackWhatWasKept: a stream whose publisher left, returned and left again ends like any other.
func TestAReturnGivesBackWhatWasKept(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		var s *Stream
		for range 3 {
			p := publishTo(t, h, "live/a")
			write(t, p, keyFrame(0))
			if n := p.Stream().refs[kept]; n != 0 {
				t.Errorf("%d references are kept beside a publisher", n)
			}
			p.Close(nil)
			if s = p.Stream(); isOver(s) {
				t.Fatal("it ended with its publisher")
			}
		}
		elapse(Default().Grace)
		synctest.Wait() // the timer and we were due at the same moment
		if !isOver(s) || h.Get("live/a") != nil {
			t.Error("it is still there when the grace is over")
		}
	})
}

// TestSoundDoesNotTakeOverForAPublisherWithPictures: also if it has announced none, and its first picture is no
// key frame.
func TestSoundDoesNotTakeOverForAPublisherWithPictures(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		old := publish(t, h, nil)
		write(t, old, vcfg(), keyFrame(0))
		next := publish(t, h, nil)
		write(t, next, inter(0), audio(10))
		if err := old.Write(inter(40)); err != nil {
			t.Fatal("sound took over:", err)
		}
		write(t, next, keyFrame(40))
		if err := old.Write(inter(80)); !errors.Is(err, ErrTakenOver) {
			t.Error(err)
		}
	})
}

// TestASilentPublisherIsToldOfAfterFiveSeconds says the number.
func TestASilentPublisherIsToldOfAfterFiveSeconds(t *testing.T) {
	var events history
	bubble(t, Options{Notify: events.add}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		write(t, p, keyFrame(0))
		for after, want := range []int{0, 0, 0, 0, 0, 1} { // at each second
			if synctest.Wait(); events.count(Stalled) != want {
				t.Errorf("after %d s it is told %d times", after, events.count(Stalled))
			}
			elapse(time.Second)
		}
	})
}
