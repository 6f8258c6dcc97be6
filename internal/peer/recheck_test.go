package peer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
	"weir/internal/stream"
)

// TestRecheckKnowsTheStream: whoever is asked again is told for how long the session has run, and what the stream does under its
// public name; what it says then is the session's.
func TestRecheckKnowsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		var again []admit.Request
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			if !r.Recheck {
				return h.grant, nil
			}
			again = append(again, *r)
			return session.Grant{Key: 8, Terms: &session.Terms{Path: "live/alice", User: "ann", Recheck: time.Minute}}, nil
		}
		s, cause := h.held(&session.Terms{Path: "live/alice", Recheck: time.Minute})
		h.grant.Terms = &session.Terms{Path: "live/alice"}
		for range 2 {
			view, err := h.Play(t.Context(), h.session(), Ask{Path: "live/x"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer view.Leave()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(again) != 2 || cause() != nil {
			t.Fatalf("asked again %d times, ended with %v", len(again), cause())
		}
		for i, r := range again {
			if r.Running != time.Duration(i+1)*time.Minute || r.Path != "live/secret" || !r.Online || r.Players != 2 || r.Session != s.ID {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if g, _ := s.Grant(); g.Key != 8 || s.Terms().User != "ann" {
			t.Errorf("the session's grant is %+v", g)
		}
		h.Sessions.CloseAll(nil)
		s.CloseWith(nil)
	})
}

// TestRecheckForAnotherStream ends the session: it cannot become another stream's.
func TestRecheckForAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		_, cause := h.held(&session.Terms{Path: "live/alice", Recheck: time.Minute})
		h.answer(func() { h.grant.Terms = &session.Terms{Path: "live/bob", Recheck: time.Minute} })
		time.Sleep(time.Minute)
		synctest.Wait()
		if session.ReasonOf(cause()) != session.Revoked || !strings.Contains(cause().Error(), "a different stream") {
			t.Errorf("ended with %v", cause())
		}
	})
}

// TestRecheckIsLogged: that nobody could be asked, and that the answer was no.
func TestRecheckIsLogged(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{
		{session.Because(session.Hook, errors.New("nobody answers")), "recheck failed: the session goes on under its present terms"},
		{session.Because(session.Denied, errors.New("not paid")), "session ends: the recheck denied it"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHall(t, session.Limits{}, stream.Limits{}, nil)
			s, _ := h.held(&session.Terms{Recheck: time.Minute})
			h.answer(func() { h.refuse = c.err })
			time.Sleep(time.Minute)
			synctest.Wait()
			if log := h.log.String(); strings.Count(log, c.says) != 1 || !strings.Contains(log, c.err.Error()) || !strings.Contains(log, s.ID) {
				t.Error(log)
			}
			s.CloseWith(nil)
			h.Sessions.Wait()
		})
	}
}

// TestHoldSetsTheGrant: a viewer that shows a newer proof has the grant that it led to, with its end or without one, and the
// end of the one before does not end it.
func TestHoldSetsTheGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, cause := h.held(&session.Terms{Until: time.Now().Add(time.Minute), Recheck: 40 * time.Second})
		for _, g := range []session.Grant{{Key: 8, Terms: &session.Terms{User: "ann"}}, {Key: 9}} {
			h.Hold(s, &admit.Request{}, g)
			if got, _ := s.Grant(); got != g {
				t.Errorf("%+v", got)
			}
		}
		asked := h.asked.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if cause() != nil || h.asked.Load() != asked {
			t.Errorf("asked %d times, ended with %v", h.asked.Load()-asked, cause())
		}
	})
}

// TestDebts: who let somebody in that waits for the end hears once that nothing came of it, whoever refuses it then, and
// not while its session is there.
func TestDebts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{SessionsPerUser: 1}, stream.Limits{Streams: 1}, nil)
		var told []string
		h.Began = func(r *admit.Request, path string) { told = append(told, "began "+r.ID()+" "+path) }
		h.Gone = func(id string, role session.Role, reason session.Reason) {
			told = append(told, "gone "+id+" "+role.String()+" "+reason.String())
		}
		var terms *session.Terms
		var refused error
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			r.Owed = true
			return session.Grant{Terms: terms}, refused
		}
		want := func(what string, list ...string) {
			t.Helper()
			if got := strings.Join(told, ", "); got != strings.Join(list, ", ") {
				t.Errorf("%s: %s", what, got)
			}
			told = nil
		}
		publish := func(s *session.Session, path string) error {
			_, err := h.Publish(t.Context(), s, Ask{Path: path}, func(error) {})
			return err
		}
		first := h.session()
		terms = &session.Terms{User: "ann", Path: "live/a"}
		if err := publish(first, "live/asked"); err != nil {
			t.Fatal(err)
		}
		want("let in", "began "+first.ID+" live/a")
		s := h.session()
		_ = publish(s, "live/b")
		want("renamed to a stream that is there, of the same user", "began "+s.ID+" live/a")
		_, _ = h.Play(t.Context(), s, Ask{Path: "live/b"}, nil)
		want("as many sessions as may be", "began "+s.ID+" live/a", "gone "+s.ID+" play limit")
		terms = nil
		_ = publish(h.session(), "live/b")
		told = nil
		third := h.session()
		_ = publish(third, "live/c")
		want("as many streams as may be", "began "+third.ID+" live/c", "gone "+third.ID+" publish limit")
		terms = &session.Terms{Redirect: "https://elsewhere.example/"}
		_, _ = h.Play(t.Context(), third, Ask{Path: "live/a"}, nil)
		want("sent elsewhere", "began "+third.ID+" live/a", "gone "+third.ID+" play redirected")
		terms, refused = nil, errors.New("no")
		_, _ = h.Play(t.Context(), third, Ask{Path: "live/a"}, nil)
		want("refused by another link", "began "+third.ID+" live/a", "gone "+third.ID+" play denied")
		refused = nil
		if _, err := h.Allow(t.Context(), &admit.Request{Role: session.Play, Path: "live/a"}); err != nil {
			t.Fatal(err)
		}
		want("what begins no session", "began  live/a", "gone  play eof")
		if _, err := h.Allow(t.Context(), &admit.Request{Role: session.Play, Path: "live/a", Offer: "offered"}); err != nil {
			t.Fatal(err)
		}
		want("a viewer that may begin one", "began offered live/a")
		h.Decline(session.Grant{Terms: &session.Terms{Session: "offered"}}, session.Because(session.NotFound, errors.New("not live")))
		h.Decline(session.Grant{}, nil)
		want("which it does not", "gone offered play not_found")
	})
}
