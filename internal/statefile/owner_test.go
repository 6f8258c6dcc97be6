//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package statefile

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRootKeepsOwner: what a command writes as root can be read by a server that runs as another user.
func TestRootKeepsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const uid, gid = 12345, 12346
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	is := func(name string, mode os.FileMode, uid, gid int) {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if u, g := ownerOf(info); u != uid || g != gid || info.Mode().Perm() != mode {
			t.Errorf("%s belongs to %d:%d with %v, want %d:%d with %v", name, u, g, info.Mode().Perm(), uid, gid, mode)
		}
	}
	name := filepath.Join(home, "a", "state", "x.json")
	if err := Write(name, []byte("x")); err != nil {
		t.Fatal(err)
	}
	unlock, err := Lock(name + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	is(filepath.Join(home, "a"), 0o700, uid, gid)
	is(filepath.Join(home, "a", "state"), 0o700, uid, gid)
	is(name, 0o600, uid, gid)
	is(name+".lock", 0o600, uid, gid)

	// The file goes before its folder, and keeps its mode.
	if err := os.Chown(name, uid+1, gid+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := Write(name, []byte("y")); err != nil {
		t.Fatal(err)
	}
	is(name, 0o640, uid+1, gid+1)
}
