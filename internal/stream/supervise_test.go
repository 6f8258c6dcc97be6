package stream

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestSupervisionWaitsLongerAfterEachFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var told []time.Duration
		v := Supervision{Min: time.Second, Max: 5 * time.Second, Failed: func(err error, again time.Duration) {
			if !errors.Is(err, broken) {
				t.Error(err)
			}
			told = append(told, again)
		}}
		var runs []time.Time
		err := v.Run(t.Context(), func(context.Context) error {
			runs = append(runs, time.Now())
			switch len(runs) {
			case 6:
				elapse(5*time.Second + 1) // it works for longer than Max
			case 8:
				return io.EOF
			}
			return broken
		})
		if err != nil || len(runs) != 8 {
			t.Fatal(err, len(runs), "runs")
		}
		for i, most := range []time.Duration{1, 2, 4, 5, 5, 1, 2} {
			most *= time.Second
			if got := told[i]; got > most || got < most*3/4-1 {
				t.Errorf("failure %d: waits %v, want %v or up to a quarter less", i+1, got, most)
			}
			took := runs[i+1].Sub(runs[i])
			if i == 5 {
				took -= 5*time.Second + 1
			}
			if took != told[i] {
				t.Errorf("failure %d: said %v, waited %v", i+1, told[i], took)
			}
		}
	})
}

func TestSupervisionStopsWithItsOwner(t *testing.T) {
	stop := errors.New("stop")
	for name, work := range map[string]func(context.Context) error{
		"while it works": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"while it waits": func(context.Context) error { return errors.New("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(stop) })
				begun := time.Now()
				err := Supervision{Min: time.Hour, Max: time.Hour}.Run(ctx, work)
				if !errors.Is(err, stop) || time.Since(begun) != time.Second {
					t.Fatal(err, time.Since(begun))
				}
			})
		})
	}
}

func TestSupervisedFollowerBeginsAnewAfterAFailureAndEndsWithTheStream(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publishTo(t, h, "live/a")
		var read []time.Duration
		runs := 0
		done := make(chan error)
		go func() {
			done <- Supervision{Min: time.Second, Max: time.Second}.Follow(t.Context(), p.Stream(), FollowOptions{},
				func(ctx context.Context, f *Follower) error {
					runs++
					for {
						e, err := f.Next(ctx)
						if err != nil {
							return err
						}
						read = append(read, e.DTS)
						if runs == 1 {
							return errors.New("the disk is full")
						}
					}
				})
		}()
		elapse(2 * time.Second)
		write(t, p, keyFrame(2000))
		synctest.Wait()
		p.Close(errors.New("kicked"))
		if err := <-done; err != nil || runs != 2 {
			t.Fatal(err, runs, "runs")
		}
		if len(read) != 3 || read[0] != 0 || read[1] != 0 || read[2] != ms(2000) {
			t.Fatal(read)
		}
		b := &p.Stream().bell
		if b.members != 0 || len(*b.groups.Load()) != 0 {
			t.Fatal("a follower was not closed")
		}
	})
}
