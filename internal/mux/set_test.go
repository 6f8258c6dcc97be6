package mux_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// numbered is a variant of any format whose encoder writes nothing.
type numbered struct {
	format string
	n      int
}

// Format implements mux.Variant.
func (v numbered) Format() string { return v.format }

// NewEncoder implements mux.Variant.
func (v numbered) NewEncoder() mux.Encoder { return silent{} }

type silent struct{}

// Append implements mux.Encoder.
func (silent) Append(*stream.Entry, mux.Output) {}

// End implements mux.Encoder.
func (silent) End(mux.Output) []byte { return nil }

// TestVariantsAreBoundedForEachFormat: a stream has 16 variants in a format and no more, and what
// one format takes up does not refuse another.
func TestVariantsAreBoundedForEachFormat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := fanout.New(fanout.Options{Workers: 1})
		hub := stream.New(stream.Options{})
		set := mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
		s, err := hub.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		open := func(v mux.Variant) *mux.Muxer {
			t.Helper()
			m, err := set.Open(s, v)
			if err != nil {
				t.Fatalf("%+v: %v", v, err)
			}
			return m
		}
		const most = 16
		var muxers []*mux.Muxer
		for n := range most {
			muxers = append(muxers, open(numbered{"one", n}))
		}
		if _, err := set.Open(s, numbered{"one", most}); !errors.Is(err, mux.ErrTooManyVariants) {
			t.Errorf("one too many: %v", err)
		}
		if again := open(numbered{"one", 3}); again != muxers[3] {
			t.Error("players of one variant do not share its muxer")
		} else {
			again.Release()
		}
		muxers = append(muxers, open(numbered{"two", 0}))
		if n := set.Len(); n != most+1 {
			t.Errorf("%d muxers", n)
		}
		// A place is free again a while after its last player has gone.
		muxers[0].Release()
		if _, err := set.Open(s, numbered{"one", most}); !errors.Is(err, mux.ErrTooManyVariants) {
			t.Errorf("while a muxer waits for its next player: %v", err)
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		muxers[0] = open(numbered{"one", most})
		for _, m := range muxers {
			m.Release()
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if n := set.Len(); n != 0 {
			t.Errorf("%d muxers that nobody reads", n)
		}
		s.Leave()
		hub.Close(nil)
		engine.Close()
	})
}

// TestLogsHaveTheBoundsOfTheirStream: what the stream's settings say of what is kept, of slow players and
// of delay holds for its logs.
func TestLogsHaveTheBoundsOfTheirStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := fanout.New(fanout.Options{Workers: 1})
		set := stream.Default()
		set.Cache = stream.Cache{GOPs: 3, Bytes: 4000, Frames: 50, Time: 6 * time.Second}
		set.Low = true
		hub := stream.New(stream.Options{Settings: func(string) stream.Settings { return set }})
		slow := map[string]fanout.SlowPolicy{"live/a": {MaxLag: 7 * time.Second, MaxStall: 8 * time.Second, Close: true}}
		muxers := mux.NewSet(engine, func(path string) fanout.SlowPolicy { return slow[path] })
		s, err := hub.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		m, err := muxers.Open(s, numbered{"one", 1})
		if err != nil {
			t.Fatal(err)
		}
		want := fanout.LogOptions{
			Bounds: fanout.Bounds{GOPs: 3, Bytes: 4000, Frames: 50, Time: 6 * time.Second}, Slow: slow["live/a"], Low: true,
		}
		if got := m.Log().Options(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		m.Release()
		s.Leave()
		hub.Close(nil)
		<-time.After(time.Minute) // muxers wait a while for their next player
		synctest.Wait()
		engine.Close()
	})
}

// gate is a variant whose encoder says that it has got a frame, and waits to be let on.
type gate struct{ came, pass chan struct{} }

// Format implements mux.Variant.
func (gate) Format() string { return "gate" }

// NewEncoder implements mux.Variant.
func (g gate) NewEncoder() mux.Encoder { return g }

// Append implements mux.Encoder.
func (g gate) Append(*stream.Entry, mux.Output) {
	g.came <- struct{}{}
	<-g.pass
}

// End implements mux.Encoder.
func (gate) End(mux.Output) []byte { return nil }

// TestSlowStartDelaysNoOtherStream: while a stream's cache is encoded for its first player, players of
// other streams begin, and those of the same variant wait to share its muxer.
func TestSlowStartDelaysNoOtherStream(t *testing.T) {
	engine := fanout.New(fanout.Options{Workers: 1})
	defer engine.Close()
	hub := stream.New(stream.Options{})
	set := mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
	pub, err := hub.Publish("live/slow", stream.Info{})
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Write(&av.Frame{Kind: av.Video, Codec: av.VP9, Flags: av.Key, Payload: []byte{0x82, 0x49, 0x83, 0x42}}); err != nil {
		t.Fatal(err)
	}
	slow := pub.Stream()
	g := gate{make(chan struct{}), make(chan struct{})}
	opened := make(chan *mux.Muxer, 2)
	open := func(s *stream.Stream, v mux.Variant) {
		m, err := set.Open(s, v)
		if err != nil {
			t.Error(err)
		}
		opened <- m
	}
	var wg sync.WaitGroup
	wg.Go(func() { open(slow, g) })
	<-g.came // its only frame
	other, err := hub.Play("live/b")
	if err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { open(other, numbered{"one", 1}) })
	select {
	case m := <-opened:
		m.Release()
	case <-time.After(10 * time.Second):
		t.Error("a player waits for the start of another stream's muxer")
	}
	wg.Go(func() { open(slow, g) })
	close(g.pass)
	first, second := <-opened, <-opened
	wg.Wait()
	if first != second {
		t.Error("two players of one variant have two muxers")
	}
	other.Leave()
	hub.Close(nil)
}

// TestOpenAfterTheEnd: who comes too late is told so, again and again, and leaves nothing behind.
func TestOpenAfterTheEnd(t *testing.T) {
	engine := fanout.New(fanout.Options{Workers: 1})
	defer engine.Close()
	hub := stream.New(stream.Options{})
	set := mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
	s, err := hub.Play("live/a")
	if err != nil {
		t.Fatal(err)
	}
	hub.Close(nil)
	for range 2 {
		if _, err := set.Open(s, numbered{"one", 1}); !errors.Is(err, mux.ErrEnded) {
			t.Errorf("%v, want ErrEnded", err)
		}
	}
	if n := set.Len(); n != 0 {
		t.Errorf("%d muxers left", n)
	}
}
