//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package admit

import (
	"os"
	"testing"

	"weir/internal/session"
)

// TestUnreadableKeysLeaveNoStreamOpen: while the file cannot be read, whoever has no known key is refused, and is not taken
// for one that guesses; once it can be, all is as it says.
func TestUnreadableKeysLeaveNoStreamOpen(t *testing.T) {
	f := newFile(t)
	g, s := storeGate(t, f)
	open := func(role session.Role, key string) error {
		q := &Request{Role: role, Path: "live/x", Remote: at("192.0.2.1")}
		if key != "" {
			q.RawQuery = "key=" + key
		}
		_, err := g.Admit(t.Context(), q)
		return err
	}
	if err := open(session.Publish, ""); err != nil {
		t.Fatal("without a file of keys: ", err)
	}
	if err := os.MkdirAll(f.Name, 0o700); err != nil { // nobody can read a folder, not even root
		t.Fatal(err)
	}
	s.Refresh()
	for _, role := range []session.Role{session.Publish, session.Play} {
		for range 30 {
			if err := open(role, "x"); session.ReasonOf(err) != session.BadKey {
				t.Fatalf("%v while the file cannot be read: %v", role, err)
			}
		}
	}
	if err := os.Remove(f.Name); err != nil {
		t.Fatal(err)
	}
	secret, _ := mustAdd(t, f, StoredKey{ID: "x", Role: "publish", Match: "live/x"})
	s.Refresh()
	if err := open(session.Publish, secret); err != nil {
		t.Error(err)
	}
	if err := open(session.Play, ""); err != nil {
		t.Error("for players there is no key: ", err)
	}
	// Known keys stay good while it cannot be read, and others are refused.
	b, err := os.ReadFile(f.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.Name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if err := open(session.Publish, secret); err != nil {
		t.Error(err)
	}
	if err := open(session.Play, ""); session.ReasonOf(err) != session.BadKey {
		t.Error(err)
	}
	// That it can be read again is seen even where the file's time and size stay the same, as with chmod and chown.
	info, err := os.Stat(f.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.seen = info
	if err := os.WriteFile(f.Name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(f.Name, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if err := open(session.Play, ""); err != nil {
		t.Error(err)
	}
}
