package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/admin"
	"weir/internal/admit"
	"weir/internal/session"
)

// TestKeysThatCannotBeRead: the API says so while the file of keys cannot be read, whatever it is asked, and is well again afterwards.
func TestKeysThatCannotBeRead(t *testing.T) {
	state := t.TempDir()
	s, err := New(configured(t, "state="+state), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	file := filepath.Join(state, "keys.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() error{
		"list": func() error { _, err := s.keys.List(); return err },
		"new": func() error {
			_, _, err := s.keys.New(t.Context(), admin.NewKey{Role: "play", Match: "live/*"})
			return err
		},
		"revoke": func() error { return s.keys.Revoke(t.Context(), "a", false) },
	} {
		if err := ask(); !errors.As(err, new(*admin.KeysError)) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if l, err := s.keys.List(); len(l) != 0 || err != nil {
		t.Error(l, err)
	}
	if err := s.keys.Revoke(t.Context(), "a", false); err != admin.ErrNoKey { //nolint:errorlint // itself
		t.Error(err)
	}
}

// TestKeysOfTheAPI: a key that is made counts its sessions, and is shown without its secret.
func TestKeysOfTheAPI(t *testing.T) {
	s, err := New(configured(t, "state="+t.TempDir()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k, secret, err := s.keys.New(t.Context(), admin.NewKey{ID: "cam", Role: "publish", Match: "live/*"})
	if err != nil || k.ID != "cam" || k.Role != "publish" || secret == "" {
		t.Fatalf("%+v, %v", k, err)
	}
	r := asked("live/a", "key="+secret)
	grant, err := s.admit(t.Context(), r)
	if err != nil || grant.Terms.By != admit.ByKeys {
		t.Fatal(grant, err)
	}
	x, err := s.sessions.Open(session.Info{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer x.CloseWith(nil)
	x.SetGrant(grant)
	l, err := s.keys.List()
	if err != nil || len(l) != 1 || l[0].Sessions != 1 || l[0].LastUsed == nil || l[0].Revoked != nil || strings.Contains(l[0].ID, secret) {
		t.Errorf("%+v, %v", l, err)
	}
	if err := s.keys.Revoke(t.Context(), "cam", false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admit(t.Context(), r); session.ReasonOf(err) != session.Revoked {
		t.Error(err)
	}
}
