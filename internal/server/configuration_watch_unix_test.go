//go:build unix

package server

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// TestNothingChangesWhileFilesAreRead: what a change through the API writes between the reading of the files and their being
// applied would be taken back.
func TestNothingChangesWhileFilesAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	r := startRig(t, file, "limits: {streams: 5}\n")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.look(r.present()) })
	pipe, err := os.OpenFile(file, os.O_WRONLY, 0) // once it is being read
	if err != nil {
		t.Fatal(err)
	}
	if r.Configuration.changing.TryLock() {
		t.Error("another change may come in between")
		r.Configuration.changing.Unlock()
	}
	if _, err := pipe.WriteString("limits: {streams: 6}\n"); err != nil {
		t.Error(err)
	}
	if err := pipe.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if r.streams() != 6 {
		t.Errorf("limits.streams is %d", r.streams())
	}
}
