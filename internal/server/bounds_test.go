package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
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

// TestRemovedKeysAtTheBound: the sessions of a key that was removed are ended for three minutes.
func TestRemovedKeysAtTheBound(t *testing.T) {
	removed := removedKeys{wake: make(chan struct{}, 1), since: map[admit.Holder]time.Time{}}
	at := time.Unix(1000, 0)
	removed.note(map[admit.Holder]struct{}{{Key: 1}: {}}, nil, at)
	if got := len(removed.present(at.Add(3 * time.Minute))); got != 1 {
		t.Errorf("after three minutes: %d", got)
	}
	if got := len(removed.present(at.Add(3*time.Minute + 1))); got != 0 {
		t.Errorf("after more than three minutes: %d", got)
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
