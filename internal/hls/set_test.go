package hls

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// gate is a muxer that holds its stream's lock from its first frame until pass is closed.
type gate struct{ came, pass chan struct{} }

// Append implements stream.Muxer.
func (g gate) Append(*stream.Entry) {
	close(g.came)
	<-g.pass
}

// Flush implements stream.Muxer.
func (gate) Flush() {}

// End implements stream.Muxer.
func (gate) End() {}

// Wake implements stream.Muxer.
func (gate) Wake() {}

// TestSlowStartDelaysNoOtherStream: while a stream's packager is started, which takes long, those of other
// streams are opened and found. Close waits for it.
func TestSlowStartDelaysNoOtherStream(t *testing.T) {
	hub := stream.New(stream.Options{})
	set := NewSet(hub.Now, func(string) Settings { return Default() }, func(string, Warning) {})
	publish := func(path string) *stream.Publisher {
		p, err := hub.Publish(path, stream.Info{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	slow, other := publish("live/slow"), publish("live/b")
	if err := slow.Write(&av.Frame{Kind: av.Video, Codec: av.VP9, Flags: av.Key, Payload: []byte{0x82, 0x49, 0x83, 0x42}}); err != nil {
		t.Fatal(err)
	}
	g := gate{make(chan struct{}), make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() { slow.Stream().Attach(g) })
	<-g.came // now whoever wants the stream waits
	started := make(chan error, 1)
	wg.Go(func() {
		_, err := set.Open(slow.Stream())
		started <- err
	})
	for { // until Open has come to the stream's lock
		set.mu.Lock()
		e := set.of[slow.Stream()]
		set.mu.Unlock()
		if e != nil && !e.turn.TryLock() {
			break
		} else if e != nil {
			e.turn.Unlock()
		}
		runtime.Gosched()
	}
	found := make(chan error, 1)
	wg.Go(func() {
		p, err := set.Open(other.Stream())
		if err == nil && set.Get(p.ID(), "live/b") != p {
			err = errors.New("the packager is not found")
		}
		found <- err
	})
	select {
	case err := <-found:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("another stream's viewer waits for a slow start")
	}
	select {
	case err := <-started:
		t.Error("the slow one did not wait:", err)
	default:
	}
	closed := make(chan struct{})
	wg.Go(func() {
		set.Close()
		close(closed)
	})
	close(g.pass)
	if err := <-started; err != nil && !errors.Is(err, ErrEnded) { // it may come after Close
		t.Error(err)
	}
	<-closed
	set.mu.Lock()
	if len(set.of) != 0 || len(set.byID) != 0 {
		t.Errorf("%d packagers left", len(set.of))
	}
	set.mu.Unlock()
	wg.Wait()
	hub.Close(nil)
}

// TestManyOpenOneStream: viewers that come together share one packager.
func TestManyOpenOneStream(t *testing.T) {
	r := newRig(t, Default(), stream.Default())
	w := what{fps: 25, gop: 2 * time.Second}
	r.publish(w)
	for _, f := range r.frames(w, 200*time.Millisecond) {
		r.write(&f)
	}
	s := r.hub.Get("live/a")
	got := make([]*Packager, 16)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = r.set.Open(s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range got {
		if p != got[0] {
			t.Error("viewers of one stream have several packagers")
		}
	}
	if n := len(r.set.byID); n != 1 {
		t.Errorf("%d packagers", n)
	}
}
