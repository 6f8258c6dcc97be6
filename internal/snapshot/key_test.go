package snapshot

import (
	"errors"
	"testing"
	"testing/synctest"

	"weir/internal/stream"
)

// TestWaitingBound: 64 requests wait for a key frame at once, for 5 s, and the others are told to come again.
func TestWaitingBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := stream.New(stream.Options{})
		defer hub.Close(nil)
		s, err := hub.Play("live/a")
		if err != nil {
			t.Fatal(err)
		}
		p := &Snapshots{}
		const waiting = 64
		errs := make(chan error, waiting)
		for range waiting {
			go func() {
				_, err := p.key(t.Context(), s)
				errs <- err
			}()
		}
		synctest.Wait()
		if len(errs) > 0 {
			t.Fatalf("one of 64 does not wait: %v", <-errs)
		}
		if _, err := p.key(t.Context(), s); !errors.Is(err, errBusy) {
			t.Errorf("one more: %v", err)
		}
		for range waiting {
			if err := <-errs; !errors.Is(err, errNoPicture) {
				t.Errorf("after its time: %v", err)
			}
		}
		if n := p.waiting.Load(); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}
