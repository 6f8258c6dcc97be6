package snapshot

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestLargePictures: 8K is the largest picture of which a still is made.
func TestLargePictures(t *testing.T) {
	for _, c := range []struct {
		size  av.Size
		large bool
	}{{av.Size{Width: 7680, Height: 4320}, false}, {av.Size{Width: 33_177_600, Height: 1}, false}, {av.Size{Width: 33_177_601, Height: 1}, true}, {av.Size{Width: 7682, Height: 4320}, true}, {av.Size{Width: 12288, Height: 12288}, true}} {
		if k := (key{track: &av.Track{Size: c.size}}); k.tooLarge() != c.large {
			t.Errorf("%v: %v", c.size, k.tooLarge())
		}
	}
}

// TestStillIsShared: those who ask at the same time, and within a second, get one still.
func TestStillIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newShelf()
		s := new(stream.Stream)
		made := 0
		release := make(chan struct{})
		produce := func(context.Context) ([]byte, error) {
			made++
			<-release
			return []byte("picture"), nil
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if p, err := q.get(t.Context(), s, produce); string(p.bytes) != "picture" || err != nil {
					t.Errorf("%q, %v", p.bytes, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if p, err := q.get(t.Context(), s, produce); string(p.bytes) != "picture" || err != nil || made != 1 {
			t.Errorf("%q, %v, made %d times", p.bytes, err, made)
		}
		<-time.After(2 * pictureTime)
		if _, err := q.get(t.Context(), s, produce); err != nil || made != 2 {
			t.Errorf("%v, made %d times", err, made)
		}
		<-time.After(2 * pictureTime)
		q.sweep(time.Now())
		if len(q.shown) != 0 {
			t.Error("an old still is kept")
		}
	})
}

// TestPicturesThatTakeLongAreShownLong: making them takes a twentieth of the time, and none is older than ten seconds.
func TestPicturesThatTakeLongAreShownLong(t *testing.T) {
	for _, c := range []struct{ took, shown time.Duration }{
		{0, time.Second}, {50 * time.Millisecond, time.Second}, {200 * time.Millisecond, 4 * time.Second}, {time.Second, 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			q, s, made := newShelf(), new(stream.Stream), 0
			produce := func(context.Context) ([]byte, error) {
				made++
				time.Sleep(c.took) // of the test's clock
				return []byte("picture"), nil
			}
			get := func(want int) {
				if _, err := q.get(t.Context(), s, produce); err != nil || made != want {
					t.Errorf("%v: %v, made %d times, want %d", c.took, err, made, want)
				}
			}
			get(1)
			time.Sleep(c.shown)
			get(1)
			time.Sleep(time.Nanosecond)
			get(2)
		})
	}
}

// TestStillNobodyWaitsFor: the making goes on while one client waits, and ends with the last one; who comes
// after gets a still of its own.
func TestStillNobodyWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newShelf()
		s := new(stream.Stream)
		ended := make(chan struct{})
		produce := func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		}
		var wg sync.WaitGroup
		ask := func() context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			wg.Go(func() {
				if _, err := q.get(ctx, s, produce); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			synctest.Wait()
			return cancel
		}
		first, second := ask(), ask()
		first()
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("the second client is not waited for")
		default:
		}
		second()
		<-ended
		wg.Wait()
		p, err := q.get(t.Context(), s, func(context.Context) ([]byte, error) { return []byte("new"), nil })
		if string(p.bytes) != "new" || err != nil {
			t.Errorf("%q, %v", p.bytes, err)
		}
	})
}

// TestTurns: as many stills are made at once as there are decoders, a few wait, and the others
// are told to come again; so are those that have waited too long, and those that have left wait no more.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		var releases []func()
		for range decoders {
			release, err := q.turn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 8)
		for i := range 8 {
			go func() {
				c := ctx
				if i > 0 {
					c = t.Context()
				}
				release, err := q.turn(c)
				if err == nil {
					release()
				}
				errs <- err
			}()
			synctest.Wait()
		}
		if _, err := q.turn(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("one too many: %v", err)
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("it has left: %v", err)
		}
		releases[0]()
		for range 7 {
			if err := <-errs; err != nil {
				t.Errorf("its turn has come: %v", err)
			}
		}
		if release, err := q.turn(t.Context()); err != nil {
			t.Error(err)
		} else {
			defer release()
		}
		if _, err := q.turn(t.Context()); !errors.Is(err, errBusy) {
			t.Errorf("it waited too long: %v", err)
		}
		if q.queued != 0 {
			t.Errorf("%d wait", q.queued)
		}
	})
}
