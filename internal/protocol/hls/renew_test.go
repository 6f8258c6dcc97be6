package hls

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

// until returns a grant for user until d from now.
func until(user string, d time.Duration) session.Grant {
	return session.Grant{Terms: &session.Terms{By: "jwt", User: user, Until: time.Now().Add(d)}}
}

// watching returns the query of a viewer that plays, let in for d by a token.
func (r *rig) watching(d time.Duration) string {
	r.t.Helper()
	q := r.request(addrA, "token=a")
	id := "v=" + r.tokens.issue("live/a", until("ann", d), proofOf(q, q.URL.Query()), time.Now())
	if _, err := r.playlist(addrA, id, 0); err != nil {
		r.t.Fatal(err)
	}
	r.media(addrA)
	r.wantSessions(1, "after media")
	return id
}

// TestO12_RenewedToken: a viewer that shows another token goes on for as long as that one says, in the same session;
// nobody is asked about the token that it was let in by, nor about the same one twice.
func TestO12_RenewedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		id := r.watching(3 * time.Second)
		s := r.env.Sessions.List()[0]
		time.Sleep(2 * time.Second)
		if _, err := r.playlist(addrA, id+"&token=a", 0); err != nil || r.asked != 0 {
			t.Fatalf("%v, asked %d times about the token that it was let in by", err, r.asked)
		}
		r.grant = until("ann", 10*time.Second)
		for range 2 {
			if _, err := r.playlist(addrA, id+"&token=b&_HLS_msn=7", 0); err != nil || r.asked != 1 {
				t.Fatalf("%v, asked %d times", err, r.asked)
			}
			time.Sleep(2 * time.Second)
		}
		if _, err := r.playlist(addrA, id, 0); err != nil {
			t.Fatal("after the first token's time:", err)
		}
		if l := r.env.Sessions.List(); len(l) != 1 || l[0] != s {
			t.Error("it has another session")
		}
		time.Sleep(6*time.Second + time.Millisecond)
		synctest.Wait()
		r.wantSessions(0, "after the second token's time")
		if _, err := r.playlist(addrA, id+"&token=b", 0); session.ReasonOf(err) != session.Expired {
			t.Error("it came back:", err)
		}
		// A third one brings it back.
		r.grant = until("ann", time.Minute)
		if _, err := r.playlist(addrA, id+"&token=c", 0); err != nil {
			t.Error(err)
		}
		r.wantSessions(1, "with a third token")
	})
}

// TestRenewalThatIsNone: what is refused, what ends sooner and what belongs to somebody else changes nothing.
func TestRenewalThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		grant   func() session.Grant
		refused error
	}{
		"refused":         {func() session.Grant { return session.Grant{} }, session.Because(session.BadKey, errors.New("no"))},
		"shorter":         {func() session.Grant { return until("ann", time.Second) }, nil},
		"somebody else's": {func() session.Grant { return until("bob", time.Hour) }, nil},
		"another stream's": {func() session.Grant {
			g := until("ann", time.Hour)
			g.Terms.Path = "live/b"
			return g
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, session.Limits{})
				id := r.watching(10 * time.Second)
				r.grant, r.refused = c.grant(), c.refused
				if _, err := r.playlist(addrA, id+"&token=b", 0); err != nil || r.asked != 1 {
					t.Fatalf("%v, asked %d times", err, r.asked)
				}
				time.Sleep(5 * time.Second)
				if _, err := r.playlist(addrA, id, 0); err != nil {
					t.Error("it ended too early:", err)
				}
				time.Sleep(5*time.Second + time.Millisecond)
				synctest.Wait()
				r.wantSessions(0, "after its time")
			})
		})
	}
}

// TestIDEndsWithItsGrant: who has taken no media has no session yet, and is given nothing after its time either.
func TestIDEndsWithItsGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		q := r.request(addrA, "token=a")
		id := "v=" + r.tokens.issue("live/a", until("ann", 3*time.Second), proofOf(q, q.URL.Query()), time.Now())
		r.refused = session.Because(session.BadKey, errors.New("no"))
		time.Sleep(3 * time.Second)
		if _, err := r.playlist(addrA, id, 0); err != nil || r.asked != 0 {
			t.Errorf("within its time: %v, asked %d times", err, r.asked)
		}
		time.Sleep(time.Nanosecond)
		if _, err := r.playlist(addrA, id, 0); session.ReasonOf(err) != session.BadKey || r.asked != 1 {
			t.Errorf("after its time: %v, asked %d times", err, r.asked)
		}
		r.wantSessions(0, "without media")
	})
}

// TestNewViewersAtTheLimit: who comes with another id each time never gets a session, and no playlist where no player may come.
func TestNewViewersAtTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{Players: 1})
		fresh := func() string {
			q := r.request(addrB, "")
			return "v=" + r.tokens.issue("live/a", until("bob", time.Hour), proofOf(q, q.URL.Query()), time.Now())
		}
		if _, err := r.playlist(addrB, fresh(), 0); err != nil {
			t.Error("while there is room:", err)
		}
		id := r.watching(time.Hour)
		for range 3 {
			if _, err := r.playlist(addrB, fresh(), 0); session.ReasonOf(err) != session.Limit {
				t.Error(err)
			}
		}
		if _, err := r.playlist(addrA, id, 0); err != nil {
			t.Error("the one who plays:", err)
		}
		r.wantSessions(1, "at the limit")
	})
}

// TestO10_CDN: whoever shows the secret of a stream's CDN is one session and is not asked about; who shows another is.
func TestO10_CDN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, session.Limits{})
		r.cdn = func(path string) string { return map[string]string{"live/a": "0123456789abcdef"}[path] }
		ask := func(addr, path, secret string) error {
			q := r.request(addr, "")
			q.Header.Set(cdnHeader, secret)
			_, err := r.viewer(q, path, q.URL.Query(), 0)
			return err
		}
		for _, addr := range []string{addrA, addrB, addrA} {
			if err := ask(addr, "live/a", "0123456789abcdef"); err != nil {
				t.Fatal(err)
			}
		}
		r.wantSessions(1, "of a CDN")
		if s := r.env.Sessions.List()[0]; s.Terms().By != "cdn" || s.Role() != session.Play || r.asked != 0 {
			t.Errorf("%+v as %v, asked %d times", s.Terms(), s.Role(), r.asked)
		}
		r.refused = session.Because(session.BadKey, errors.New("no"))
		for _, secret := range []string{"", "x", "0123456789abcdeF"} {
			if err := ask(addrA, "live/a", secret); session.ReasonOf(err) != session.BadKey {
				t.Errorf("%q: %v", secret, err)
			}
		}
		if err := ask(addrA, "live/b", ""); session.ReasonOf(err) != session.BadKey {
			t.Errorf("a stream without a CDN: %v", err)
		}
	})
}
