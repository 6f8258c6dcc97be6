package hls

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/stream"
)

// entries lists the names in a directory.
func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func mustWrite(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDirectoryOfOthers: of what is in hls.directory, only folders with our marker and a free lock are removed.
func TestDirectoryOfOthers(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	mustWrite(t, filepath.Join(elsewhere, markerName), markerText)
	keep := []string{"abcdefghijkl", "backups22222", "precious", folderPrefix + "unmarked", folderPrefix + "othertext", folderPrefix + "half", folderPrefix + "link", "a file"}
	for _, name := range keep[:4] {
		mustWrite(t, filepath.Join(dir, name, "file"), "x")
	}
	mustWrite(t, filepath.Join(dir, "precious", markerName), markerText)
	mustWrite(t, filepath.Join(dir, folderPrefix+"othertext", markerName), "mine\n")
	mustWrite(t, filepath.Join(dir, folderPrefix+"half", markerName), "")
	mustWrite(t, filepath.Join(dir, "a file"), "x")
	if err := os.Symlink(elsewhere, filepath.Join(dir, folderPrefix+"link")); err != nil {
		t.Fatal(err)
	}
	// What a server left behind that was killed.
	mustWrite(t, filepath.Join(dir, folderPrefix+"abandoned", markerName), markerText)
	mustWrite(t, filepath.Join(dir, folderPrefix+"abandoned", "abcdefghijkl", "1.m4s"), "x")

	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keep)
	want := append(slices.Clone(keep), filepath.Base(f.path))
	slices.Sort(want)
	if got := entries(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if err := f.remove(); err != nil {
		t.Error(err)
	}
	if got := entries(t, dir); !slices.Equal(got, keep) {
		t.Errorf("%q at the end, want %q", got, keep)
	}
	if got := entries(t, elsewhere); len(got) != 1 {
		t.Errorf("%q where a link leads", got)
	}
}

// TestDirectoryOfTwoServers: two servers share hls.directory. Neither the second's first viewer nor its
// end removes what the first has there.
func TestDirectoryOfTwoServers(t *testing.T) {
	settings := Default()
	settings.Directory = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		first := newRig(t, settings, stream.Default())
		first.publish(w)
		first.send(w, 4100*time.Millisecond, nil)
		first.open()
		first.send(w, 20*time.Second, first.check)
		before := entries(t, first.p.disk.dir)
		if len(before) == 0 {
			t.Fatal("nothing is on disk")
		}
		second := newRig(t, settings, stream.Default())
		second.publish(w)
		second.send(w, 4100*time.Millisecond, nil)
		second.open()
		second.send(w, 20*time.Second, second.check)
		if len(entries(t, second.p.disk.dir)) == 0 {
			t.Error("the second server has nothing on disk")
		}
		if got := entries(t, first.p.disk.dir); !slices.Equal(got, before) {
			t.Errorf("the first has %q after the second's first viewer, had %q", got, before)
		}
		second.set.Close()
		if got := entries(t, first.p.disk.dir); !slices.Equal(got, before) {
			t.Errorf("the first has %q after the second's end, had %q", got, before)
		}
		if n := len(entries(t, settings.Directory)); n != 1 {
			t.Errorf("%d folders, want the first server's alone", n)
		}
	})
}

// TestDirectoryCannotBeMade: segments stay in memory, and the log says which key to look at.
func TestDirectoryCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	mustWrite(t, file, "x")
	settings := Default()
	settings.Directory = filepath.Join(file, "below")
	synctest.Test(t, func(t *testing.T) {
		w := what{fps: 25, gop: 2 * time.Second}
		r := newRig(t, settings, stream.Default())
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 10*time.Second, r.check)
		if r.p.disk != nil || len(r.warnings) != 1 {
			t.Errorf("disk %v, warnings %q", r.p.disk, r.warnings)
		}
	})
}
