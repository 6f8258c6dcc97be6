package archive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// given is how many viewers have turns, or wait for them.
func (t *turns) given() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.viewers)
}

// TestTurns: of a viewer who asks for much one thing is computed at a time, and another viewer comes next.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(1)
		var order []string
		ask := func(who string) {
			go func() {
				end, err := q.begin(t.Context(), who)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, who)
				time.Sleep(time.Second)
				end()
			}()
			synctest.Wait()
		}
		for range 4 {
			ask("greedy")
		}
		ask("other")
		ask("third")
		ask("other")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []string{"greedy", "greedy", "other", "third", "greedy", "other", "greedy"}; !slices.Equal(order, want) {
			t.Errorf("%v, not %v", order, want)
		}
		if q.free != 1 || q.waiting != 0 || len(q.viewers) != 0 || len(q.order) != 0 {
			t.Errorf("%+v is left", q)
		}
	})
}

// TestOneAtATimeForAViewer: a turn that is free is not a second one for who has one.
func TestOneAtATimeForAViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(2)
		end, err := q.begin(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		got := false
		go func() {
			again, err := q.begin(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			got = true
			again()
		}()
		synctest.Wait()
		other, err := q.begin(t.Context(), "b")
		if err != nil || got {
			t.Fatal(err, got)
		}
		other()
		synctest.Wait()
		if got {
			t.Error("a viewer has two turns")
		}
		end()
		end() // once is enough
		synctest.Wait()
		if !got || q.free != 2 || len(q.viewers) != 0 {
			t.Errorf("%v, %+v", got, q)
		}
	})
}

// TestWhoLeavesGivesUpItsTurn: also one whose turn comes at that moment.
func TestWhoLeavesGivesUpItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(1)
		end, err := q.begin(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		for i := range 3 {
			go func() {
				if end, err := q.begin(ctx, fmt.Sprint("leaves ", i)); err == nil {
					end()
				} else if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		leave()
		end()
		synctest.Wait()
		if q.free != 1 || q.waiting != 0 || len(q.viewers) != 0 || len(q.order) != 0 {
			t.Errorf("%+v is left", q)
		}
	})
}

// TestTurnsAreBounded: a viewer has 8 things waiting at most, and all viewers 256.
func TestTurnsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newTurns(1)
		ctx, leave := context.WithCancel(t.Context())
		if _, err := q.begin(ctx, "first"); err != nil {
			t.Fatal(err)
		}
		busy := 0
		ask := func(who string) {
			go func() {
				if _, err := q.begin(ctx, who); errors.Is(err, ErrBusy) {
					busy++
				}
			}()
		}
		for range 8 {
			ask("greedy")
		}
		synctest.Wait()
		if busy != 0 {
			t.Fatalf("%d of the first 8 are refused", busy)
		}
		ask("greedy")
		synctest.Wait()
		if busy != 1 {
			t.Fatal("the 9th waits, too")
		}
		for i := range 256 - 8 {
			ask(fmt.Sprint(i))
		}
		synctest.Wait()
		if busy != 1 {
			t.Fatalf("%d are refused before 256 wait", busy-1)
		}
		ask("one more")
		synctest.Wait()
		if busy != 2 {
			t.Error("257 wait")
		}
		if q.viewers["one more"] != nil {
			t.Error("who is refused is remembered")
		}
		leave()
		synctest.Wait()
	})
}

// TestOutages: a storage that has not answered is left alone for ten seconds, and no other with it.
func TestOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outages
		o.note("a")
		time.Sleep(10*time.Second - time.Nanosecond)
		if !o.has("a") || o.has("b") {
			t.Error(o.has("a"), o.has("b"))
		}
		time.Sleep(time.Nanosecond)
		if o.has("a") {
			t.Error("longer than ten seconds")
		}
	})
}

// TestViewers: all connections of an address are one viewer.
func TestViewers(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.1:5000": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "@": "@"} {
		if got := viewerOf(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %s", remote, got)
		}
	}
}
