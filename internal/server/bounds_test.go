package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/config"
	"weir/internal/pull"
)

// TestKeysOfALogLine: 50 keys that have changed are named.
func TestKeysOfALogLine(t *testing.T) {
	var r Report
	for i := range 51 {
		if got := keysOf(r); len(got) != i || i > 0 && got[i-1] != fmt.Sprint("k", i-1) {
			t.Errorf("%d of %d keys", len(got), i)
		}
		r.Changed = append(r.Changed, config.Change{Path: fmt.Sprint("k", i)})
	}
	if got := keysOf(r); len(got) != 50 || got[49] != "k49" {
		t.Errorf("%d of 51 keys", len(got))
	}
}

// TestOverlaysAtTheBound: 100 files may lie over the configuration.
func TestOverlaysAtTheBound(t *testing.T) {
	c := &Configuration{overlay: t.TempDir()}
	for i := range 101 {
		if err := os.WriteFile(filepath.Join(c.overlay, fmt.Sprintf("%03d.yml", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 99 {
			if f, err := c.readFiles(); err != nil || len(f.layers) != 100 {
				t.Errorf("%d files: %v", len(f.layers), err)
			}
		}
	}
	if _, err := c.readFiles(); err == nil || !strings.Contains(err.Error(), "has more than 100 files that lie over the configuration") {
		t.Error(err)
	}
}

// TestShownErrorsAtTheBound: of an error 512 bytes are shown.
func TestShownErrorsAtTheBound(t *testing.T) {
	for n, whole := range map[int]bool{512: true, 513: false} {
		text := strings.Repeat("x", n)
		p := pullEntry(&pull.State{Err: errors.New(text), Failures: []pull.Failure{{Err: errors.New(text)}}})
		for _, got := range []string{p.LastError, p.Failures[0].Text} {
			if len(got) > 512 || (got == text) != whole || strings.HasSuffix(got, "…") == whole {
				t.Errorf("%d bytes: %d are shown", n, len(got))
			}
		}
	}
}
