package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"weir/internal/record"
)

// TestP13FullDisk: ten streams of 2.5 Mbit/s record for an hour into a file system of 1 GiB, in a file each minute: it is never full, only the
// oldest files go, and at the end there is as much as fits.
func TestP13FullDisk(t *testing.T) {
	if !large {
		t.Skip("it writes 11 GB: make test-large")
	}
	r := newRig(t, func(o *Options) { o.Space = nil })
	if err := syscall.Mount("weir-test", r.dir, "tmpfs", 0, "size=1g"); err != nil {
		t.Fatal("only root can mount a file system: run the tests as root:", err)
	}
	t.Cleanup(func() {
		r.close()
		must(t, syscall.Unmount(r.dir, 0))
	})
	const streams, minutes, perSecond = 10, 60, 2_500_000 / 8
	piece := make([]byte, 10*perSecond)
	for m := range minutes {
		var open [streams]*os.File
		var rows [streams]record.File
		for i := range open {
			f := r.file(fmt.Sprintf("live/%d", i), fmt.Sprintf("%d/%03d.mp4", i, m), time.Duration(m)*time.Minute, time.Minute)
			f.Keep, f.Bytes = record.Keep{Free: "10%"}, int64(6*len(piece))
			full := filepath.Join(r.dir, f.Name)
			must(t, os.MkdirAll(filepath.Dir(full), 0o755))
			must(t, r.Begun(f))
			var err error
			open[i], err = os.Create(full + partial)
			must(t, err)
			rows[i] = f
		}
		for range 6 { // ten seconds each: as often as is looked
			for _, f := range open {
				if _, err := f.Write(piece); errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("the disk was full in minute %d", m)
				} else {
					must(t, err)
				}
			}
			r.clean(t.Context())
		}
		for i, f := range open {
			must(t, f.Close())
			full := filepath.Join(r.dir, rows[i].Name)
			must(t, os.Rename(full+partial, full))
			must(t, r.Done(rows[i]))
		}
		r.clean(t.Context())
	}
	for i := range streams {
		names := r.left(fmt.Sprintf("live/%d", i))
		if len(names) < 3 || filepath.Base(names[len(names)-1]) != fmt.Sprintf("%03d.mp4", minutes-1) {
			t.Errorf("%v", names)
		}
		for k := 1; k < len(names); k++ { // nothing in between went
			var a, b int
			_, _ = fmt.Sscanf(filepath.Base(names[k-1]), "%d.mp4", &a)
			if _, _ = fmt.Sscanf(filepath.Base(names[k]), "%d.mp4", &b); b != a+1 {
				t.Errorf("%s is followed by %s", names[k-1], names[k])
			}
		}
	}
}
