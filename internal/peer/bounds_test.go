package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
	"weir/internal/stream"
)

// TestLoggedErrorsAtTheBound: an error has up to 512 bytes in the log.
func TestLoggedErrorsAtTheBound(t *testing.T) {
	for n, whole := range map[int]bool{512: true, 513: false} {
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, session.Limits{}, stream.Limits{}, nil)
			_ = h.Refuse(&admit.Request{Path: "live/a"}, errors.New(strings.Repeat("x", n)))
			var line struct{ Err string }
			if err := json.Unmarshal([]byte(h.log.String()), &line); err != nil {
				t.Fatal(err)
			}
			if text := line.Err; len(text) > 512 || (text == strings.Repeat("x", n)) != whole || strings.HasSuffix(text, "…") == whole {
				t.Errorf("%d bytes: %d in the log", n, len(line.Err))
			}
		})
	}
}

// TestNamesThatMayBeKeys: a name of six bytes is taken for a key, and a shorter one is not.
func TestNamesThatMayBeKeys(t *testing.T) {
	for name, want := range map[string]string{"abcde": "no abcde here", "abcdef": "no *** here"} {
		r := &session.Refusal{Peer: "no " + name + " here", Err: errors.New("no " + name + " here")}
		if got := withoutName(r, name); got.Peer != want || got.Err.Error() != want {
			t.Errorf("%s: %q, %q", name, got.Peer, got.Err)
		}
	}
}

// TestRechecksAtTheBounds: who was let in is asked about again once a second at most, and each time for 40 seconds.
func TestRechecksAtTheBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		var began, ended []time.Duration
		begun := time.Now()
		h.Admit = func(ctx context.Context, r *admit.Request) (session.Grant, error) {
			if !r.Recheck {
				return h.grant, nil
			}
			began = append(began, time.Since(begun))
			<-ctx.Done()
			ended = append(ended, time.Since(begun))
			return session.Grant{}, session.Because(session.Hook, ctx.Err())
		}
		s, cause := h.held(&session.Terms{By: "hook", Recheck: time.Millisecond})
		time.Sleep(42 * time.Second)
		synctest.Wait()
		if fmt.Sprint(began, ended) != "[1s 42s] [41s]" || cause() != nil {
			t.Errorf("asked at %v, given up at %v, ended with %v", began, ended, cause())
		}
		s.CloseWith(nil)
		synctest.Wait()
	})
}
