package peer

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
	"weir/internal/stream"
)

// held opens a session that is admitted to publish with these terms; cause is with what it was ended.
func (h *hall) held(terms *session.Terms) (s *session.Session, cause func() error) {
	h.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	h.t.Cleanup(func() { cancel(nil) })
	s, err := h.Sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:5"), Cancel: cancel})
	if err != nil {
		h.t.Fatal(err)
	}
	h.grant.Terms = terms
	if _, err := h.Publish(h.t.Context(), s, Ask{Path: "live/secret", RawQuery: "key=x"}, func(error) {}); err != nil {
		h.t.Fatal(err)
	}
	return s, func() error { return context.Cause(ctx) }
}

// TestSessionEndsWithItsGrant: at the time itself, and not before.
func TestSessionEndsWithItsGrant(t *testing.T) {
	for name, terms := range map[string]func(now time.Time) *session.Terms{
		"until":    func(now time.Time) *session.Terms { return &session.Terms{Until: now.Add(time.Minute)} },
		"duration": func(time.Time) *session.Terms { return &session.Terms{Duration: time.Minute} },
		"the earlier, a time": func(now time.Time) *session.Terms {
			return &session.Terms{Until: now.Add(time.Minute), Duration: time.Hour}
		},
		"the earlier, its share": func(now time.Time) *session.Terms {
			return &session.Terms{Until: now.Add(time.Hour), Duration: time.Minute}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, session.Limits{}, stream.Limits{}, nil)
				_, cause := h.held(terms(time.Now()))
				time.Sleep(time.Minute - time.Millisecond)
				synctest.Wait()
				if err := cause(); err != nil {
					t.Fatal("it ended too early:", err)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
				if r := session.ReasonOf(cause()); cause() == nil || r != session.Expired {
					t.Errorf("it ended with %v: %v", r, cause())
				}
			})
		})
	}
}

// TestGrantThatIsOver: who comes with a grant whose time is over does not get in.
func TestGrantThatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.grant.Terms = &session.Terms{Until: time.Now()}
		_, err := h.Play(t.Context(), h.session(), Ask{Path: "live/a"}, nil)
		h.wantRefusal(err, session.Expired, "live/a", "The time for which this was allowed is over.")
	})
}

// TestSentElsewhere: the peer is told where to.
func TestSentElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.grant.Terms = &session.Terms{Redirect: "https://other.example/live/a"}
		_, err := h.Play(t.Context(), h.session(), Ask{Path: "live/a"}, nil)
		h.wantRefusal(err, session.Redirected, "live/a", "The stream is on another server.")
		if r, ok := errors.AsType[*session.Refusal](err); !ok || r.Redirect != "https://other.example/live/a" {
			t.Errorf("%+v", r)
		}
	})
}

// TestRenamed: the hub, the session and the log know the public name alone.
func TestRenamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, _ := h.held(&session.Terms{Path: "live/alice"})
		if s.Stream() != "live/alice" || h.Hub.Get("live/alice") == nil || h.Hub.Get("live/secret") != nil {
			t.Errorf("the session publishes %q", s.Stream())
		}
		view, err := h.Play(t.Context(), h.session(), Ask{Path: "live/secret"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := view.Stream.Path(); got != "live/alice" {
			t.Errorf("plays %q", got)
		}
		view.Leave()
		h.grant.Terms = &session.Terms{Path: "live/a.flv"} // reserved for a protocol
		_, err = h.Publish(t.Context(), h.session(), Ask{Path: "live/b"}, func(error) {})
		if session.ReasonOf(err) != session.Path {
			t.Error("renamed to a name that publishers may not have:", err)
		}
	})
}

// TestNameThatMayBeAKey is not logged.
func TestNameThatMayBeAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			r.SecretName = true
			return session.Grant{}, errors.New("no")
		}
		_, err := h.Publish(t.Context(), h.session(), Ask{Path: "live/hunter2/x"}, func(error) {})
		h.wantRefusal(err, session.Denied, "live/***", "Not allowed.")
	})
	synctest.Test(t, func(t *testing.T) { // and neither if the service repeats it
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			r.SecretName = true
			return session.Grant{}, &session.Refusal{Reason: session.Denied, Peer: "no to hunter2", Err: errors.New("it said no to live/hunter2")}
		}
		_, err := h.Publish(t.Context(), h.session(), Ask{Path: "live/hunter2"}, func(error) {})
		h.wantRefusal(err, session.Denied, "live/***", "no to ***")
		if strings.Contains(h.log.String(), "hunter2") {
			t.Error(h.log.String())
		}
	})
	for name, c := range map[string]struct {
		terms  session.Terms
		asked  string
		limits stream.Limits
		reason session.Reason
		shown  string
	}{
		"no path":            {session.Terms{}, "live/hunter2/", stream.Limits{}, session.Path, "live/***"},
		"sent elsewhere":     {session.Terms{Path: "live/a", Redirect: "https://x/"}, "live/hunter2", stream.Limits{}, session.Redirected, "live/***"},
		"ended":              {session.Terms{Path: "live/a", Until: time.Unix(1, 0)}, "live/hunter2", stream.Limits{}, session.Expired, "live/***"},
		"renamed to no path": {session.Terms{Path: "live/.."}, "live/hunter2", stream.Limits{}, session.Path, "live/***"},
		"too large":          {session.Terms{Path: "live/a", User: "\n"}, "live/hunter2", stream.Limits{}, session.Internal, "live/***"},
		"renamed":            {session.Terms{Path: "live/b"}, "live/hunter2", stream.Limits{Streams: 1}, session.Limit, "live/b"},
		"as it was":          {session.Terms{}, "live/b", stream.Limits{Streams: 1}, session.Limit, "live/b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t, session.Limits{}, c.limits, nil)
				h.SecretName = func(*admit.Request) bool { return true }
				told := ""
				h.Refused = func(_ *admit.Request, path string, _ *session.Refusal) { told = path }
				if c.limits.Streams > 0 {
					if _, err := h.Publish(t.Context(), h.session(), Ask{Path: "live/a"}, func(error) {}); err != nil {
						t.Fatal(err)
					}
				}
				h.grant.Terms = &c.terms
				_, err := h.Publish(t.Context(), h.session(), Ask{Path: c.asked}, func(error) {})
				h.wantRefusal(err, c.reason, c.shown, "")
				if told != c.shown || strings.Contains(h.log.String(), "hunter2") {
					t.Errorf("told of %q; %s", told, &h.log)
				}
			})
		})
	}
}

// TestRefusedForPlayers: a player that the limits keep out counts for nobody, and no grant ends its connection.
func TestRefusedForPlayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{Players: 1, SessionsPerUser: 1}, stream.Limits{}, nil)
		view, err := h.Play(t.Context(), h.session(), Ask{Path: "live/a"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer view.Leave()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		s, err := h.Sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:5"), Cancel: cancel})
		if err != nil {
			t.Fatal(err)
		}
		h.grant = session.Grant{Terms: &session.Terms{User: "ann", Duration: time.Minute, Recheck: time.Second}}
		_, err = h.Play(t.Context(), s, Ask{Path: "live/a"}, nil)
		h.wantRefusal(err, session.Limit, "live/a", "limit")
		if _, ok := s.Grant(); ok || s.Role() != session.Pending {
			t.Errorf("it has a grant or the role %v", s.Role())
		}
		asked := h.asked.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if h.asked.Load() != asked || context.Cause(ctx) != nil {
			t.Errorf("asked about %d times, ended with %v", h.asked.Load()-asked, context.Cause(ctx))
		}
		if _, err := h.Publish(t.Context(), h.session(), Ask{Path: "live/b"}, func(error) {}); err != nil {
			t.Error("it counts for its user:", err)
		}
	})
}

// TestRefusedByTheHub: a publisher that does not get its stream counts for nobody.
func TestRefusedByTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{Streams: 1}, nil)
		h.held(nil)
		h.grant = session.Grant{Terms: &session.Terms{User: "ann"}}
		s := h.session()
		_, err := h.Publish(t.Context(), s, Ask{Path: "live/b"}, func(error) {})
		h.wantRefusal(err, session.Limit, "live/b", "as many streams")
		if g, ok := s.Grant(); ok {
			t.Errorf("it has the grant %+v", g)
		}
	})
}

// TestUndecided: what says nothing of the peer does not end its session, and everything else does.
func TestUndecided(t *testing.T) {
	for _, r := range session.Reasons() {
		want := slices.Contains([]session.Reason{session.Hook, session.Timeout, session.Internal, session.EOF, session.Shutdown}, r)
		if got := undecided(session.Because(r, errors.New("x"))); got != want {
			t.Errorf("%v: %v", r, got)
		}
	}
}

// TestRecheckWithoutPause: terms that want to be asked about all the time are asked about once a second.
func TestRecheckWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, _ := h.held(&session.Terms{Recheck: time.Millisecond})
		before := h.asked.Load()
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if n := h.asked.Load() - before; n != 3 {
			t.Errorf("asked %d times in 3.5 s", n)
		}
		s.CloseWith(nil)
		h.Sessions.Wait()
	})
}

// TestNameWithinARefusal: names that are as short as parts of words are left where they are, longer ones are masked.
func TestNameWithinARefusal(t *testing.T) {
	for name, want := range map[string]string{"nobod": "nobody may, says nobody", "nobody": "*** may, says ***"} {
		r := withoutName(&session.Refusal{Peer: "nobody may, says nobody", Err: errors.New("nobody may, says nobody")}, name)
		if r.Peer != want || r.Err.Error() != want {
			t.Errorf("%s: %q, %v", name, r.Peer, r.Err)
		}
	}
}

// TestPlayersOfAGrant: a publisher's terms bound the players of its stream.
func TestPlayersOfAGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.held(&session.Terms{Players: 2})
		h.grant.Terms = nil
		for i := range 3 {
			view, err := h.Play(t.Context(), h.session(), Ask{Path: "live/secret"}, nil)
			if (err == nil) != (i < 2) {
				t.Fatalf("player %d: %v", i+1, err)
			}
			if err == nil {
				defer view.Leave()
			}
		}
	})
}

// TestRecheck: the decision is asked for again at its pace, of the link that made it; a no ends the session, and
// new terms hold from then on.
func TestRecheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		type answer struct {
			terms *session.Terms
			err   error
		}
		asked, answers := make(chan admit.Request, 1), make(chan answer, 1)
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			if !r.Recheck {
				return h.grant, nil
			}
			asked <- *r
			a := <-answers
			return session.Grant{Key: 7, Terms: a.terms}, a.err
		}
		_, cause := h.held(&session.Terms{By: "hook", KeyID: "k1", Recheck: time.Minute})
		begun := time.Now()
		for i, a := range []answer{
			{nil, session.Because(session.Hook, errors.New("nobody answers"))}, // the session goes on, and so do its terms
			{&session.Terms{By: "hook", Recheck: 2 * time.Minute}, nil},
			{nil, session.Because(session.Denied, errors.New("no more"))},
		} {
			r := <-asked
			if want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}[i]; time.Since(begun) != want {
				t.Errorf("asked after %v, want %v", time.Since(begun), want)
			}
			if !r.Recheck || r.Grant.Key != 7 || r.Grant.Terms.By != "hook" || r.Path != "live/secret" || r.RawQuery != "key=x" {
				t.Errorf("asked for %+v", r)
			}
			answers <- a
			synctest.Wait()
		}
		if session.ReasonOf(cause()) != session.Revoked {
			t.Errorf("it ended with %v", cause())
		}
		time.Sleep(time.Hour)
		if len(asked) != 0 {
			t.Error("asked about a session that was ended")
		}
	})
}

// TestEndThatIsPutOff: a session lasts until the end that was said last, and not until one that was said before.
func TestEndThatIsPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		begun := time.Now()
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			if r.Recheck {
				return session.Grant{Key: 7, Terms: &session.Terms{By: "hook", Recheck: time.Hour, Until: begun.Add(3 * time.Minute)}}, nil
			}
			return h.grant, nil
		}
		_, cause := h.held(&session.Terms{By: "hook", Recheck: time.Minute, Until: begun.Add(90 * time.Second)})
		time.Sleep(3*time.Minute - time.Millisecond)
		synctest.Wait()
		if err := cause(); err != nil {
			t.Fatal("it ended too early:", err)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if session.ReasonOf(cause()) != session.Expired {
			t.Errorf("it ended with %v", cause())
		}
	})
}

// TestOnlyTheLastGrantHolds: a connection that publishes one stream after another has one grant at a time, and who
// is refused by the hub keeps the one that it had.
func TestOnlyTheLastGrantHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, cause := h.held(&session.Terms{Recheck: time.Minute, Until: time.Now().Add(90 * time.Second)})
		s.Promote(session.Pending, "")
		for range 100 {
			h.grant.Terms = &session.Terms{Recheck: time.Minute}
			view, err := h.Play(t.Context(), s, Ask{Path: "live/b"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer view.Leave()
		}
		before := h.asked.Load()
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		if n := h.asked.Load() - before; n != 10 || cause() != nil {
			t.Errorf("asked %d times in 10 minutes, ended with %v", n, cause())
		}
		s.CloseWith(nil)
		h.Sessions.Wait()
	})
}

// TestTermsThatAreTooLarge are a fault of who decides: nobody gets in with them.
func TestTermsThatAreTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		h.grant.Terms = &session.Terms{User: strings.Repeat("x", 129)}
		_, err := h.Play(t.Context(), h.session(), Ask{Path: "live/a"}, nil)
		h.wantRefusal(err, session.Internal, "live/a", "The server failed")
	})
}

// TestClosedSessionIsNotAskedAbout: nothing of a grant outlives its session.
func TestClosedSessionIsNotAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, cause := h.held(&session.Terms{Recheck: time.Minute, Until: time.Now().Add(time.Minute)})
		before := h.asked.Load()
		s.CloseWith(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if h.asked.Load() != before || cause() != nil {
			t.Errorf("asked %d times, ended with %v", h.asked.Load()-before, cause())
		}
	})
}

// TestTokenThatRanOut: a publisher whose token runs out goes on, and the log says so once.
func TestTokenThatRanOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		_, cause := h.held(&session.Terms{By: "jwt", User: "ann", Warn: time.Now().Add(time.Minute), Recheck: 20 * time.Second})
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if strings.Contains(h.log.String(), "run out") {
			t.Error("it was logged too early")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(h.log.String(), "has run out"); n != 1 || !strings.Contains(h.log.String(), `"user":"ann"`) || cause() != nil {
			t.Errorf("logged %d times; %v", n, cause())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		s, _ := h.held(&session.Terms{By: "jwt", Warn: time.Now().Add(time.Minute)})
		s.CloseWith(nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if strings.Contains(h.log.String(), "has run out") {
			t.Error("it was logged of a session that had ended")
		}
	})
}
