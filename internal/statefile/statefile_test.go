package statefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteAndRead: a file is its user's alone, unless somebody has opened the one before to others, it is replaced whole, nothing else is
// left in the folder, and one that is too long is not read.
func TestWriteAndRead(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	name := filepath.Join(folder, "x.json")
	if b, err := Read(name, 10); b != nil || err != nil {
		t.Errorf("a file that is not there: %q, %v", b, err)
	}
	for _, c := range []struct {
		text string
		mode os.FileMode
	}{{"0123456789", 0o600}, {"other", 0o644}} {
		if err := Write(name, []byte(c.text)); err != nil {
			t.Fatal(err)
		}
		if b, err := Read(name, 10); string(b) != c.text || err != nil {
			t.Errorf("%q, %v", b, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != c.mode {
			t.Error(info.Mode(), err)
		}
		if err := os.Chmod(name, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Error(entries, err)
	}
	if b, err := Read(name, 4); b != nil || err == nil || !strings.Contains(err.Error(), "has more than 4 bytes") {
		t.Errorf("a file that is too long: %q, %v", b, err)
	}
}

// TestWriteFails: what cannot be written leaves the old file, and nothing beside it.
func TestWriteFails(t *testing.T) {
	folder := t.TempDir()
	name := filepath.Join(folder, "x")
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(name, "in it"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if Write(name, []byte("x")) == nil {
		t.Error("a folder was replaced")
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Error(entries, err)
	}
}

// TestFolderThatIsNone: what is no folder is not taken for one, and nothing is written below it.
func TestFolderThatIsNone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a")
	if err := Write(name, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(name, 1); b == nil || len(b) != 0 || err != nil {
		t.Errorf("an empty file is %v, %v", b, err)
	}
	if err := Write(filepath.Join(name, "b"), nil); err == nil || !strings.Contains(err.Error(), "is no folder") {
		t.Error(err)
	}
}
