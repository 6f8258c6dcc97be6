package server

import (
	"errors"
	"testing"
	"time"

	"weir/internal/admin"
	"weir/internal/session"
)

// TestKeyOfTheAPI: a key that the API makes admits at once, and one that it revokes does not from then on.
func TestKeyOfTheAPI(t *testing.T) {
	s, err := New(configured(t, "state="+t.TempDir()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k, text, err := s.keys.New(t.Context(), admin.NewKey{ID: "cam", Role: "publish", Match: "live/*"})
	if err != nil {
		t.Fatal(err)
	}
	r := asked("live/a", "key="+text)
	if g, err := s.gate.Admit(t.Context(), r); err != nil || g.Terms.KeyID != k.ID {
		t.Errorf("%+v, %v", g.Terms, err)
	}
	if err := s.keys.Revoke(t.Context(), k.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.gate.Admit(t.Context(), r); session.ReasonOf(err) != session.Revoked {
		t.Error(err)
	}
	if err := s.keys.Revoke(t.Context(), "none", false); !errors.Is(err, admin.ErrNoKey) {
		t.Error(err)
	}
}

// TestRemovedKeys: a key that was taken out is one whose sessions are to end for three minutes, unless it is back, also in a
// configuration that keeps the sessions of others.
func TestRemovedKeys(t *testing.T) {
	s, err := New(configured(t, "streams.0.publish.keys=[a, b]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var at time.Time
	for i, c := range []struct {
		keys, on string
		want     int
	}{
		{"[b]", "end", 1}, {"[b]", "end", 1}, {"[a, b]", "end", 0}, {"[b]", "end", 1}, {"[a, b]", "keep", 0}, {"[a]", "keep", 0}, {"[]", "end", 1},
	} {
		change, err := s.Prepare(configured(t, "streams.0.publish.keys="+c.keys, "auth.on_removed_key="+c.on))
		if err != nil {
			t.Fatal(err)
		}
		at = time.Now()
		change.Apply()
		if got := len(s.removed.present(at)); got != c.want {
			t.Errorf("change %d: the sessions of %d keys are to end, want %d", i+1, got, c.want)
		}
	}
	if got := len(s.removed.present(at.Add(3 * time.Minute))); got != 1 {
		t.Errorf("after three minutes: %d", got)
	}
	if got := len(s.removed.present(time.Now().Add(3*time.Minute + 1))); got != 0 {
		t.Errorf("later: %d", got)
	}
}
