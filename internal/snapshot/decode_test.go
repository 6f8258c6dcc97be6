//go:build unix

package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stand makes a program that stands for ffmpeg.
func stand(t *testing.T, script string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestDecoderGivesWay: what makes a still gives way to the server, so that players do not notice it.
func TestDecoderGivesWay(t *testing.T) {
	out, err := decode(t.Context(), stand(t, "for i in 1 2 3 4 5 6 7 8 9; do n=$(ps -o ni= -p $$); [ $n = 10 ] && break; sleep 0.1; done; echo $n"), nil)
	if err != nil || strings.TrimSpace(string(out)) != "10" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDecoderThatTakesTooLong is ended, and its viewers are told to come again: the machine is busy, the picture is not
// at fault.
func TestDecoderThatTakesTooLong(t *testing.T) {
	t.Parallel()
	if _, err := decode(t.Context(), stand(t, "exec sleep 60"), nil); !errors.Is(err, errBusy) {
		t.Error(err)
	}
}
