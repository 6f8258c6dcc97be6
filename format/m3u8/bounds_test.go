package m3u8

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const shortest = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"

// TestSizeBound: a playlist of 4 MiB is read, whole and line by line, and a longer one is not.
func TestSizeBound(t *testing.T) {
	for n, want := range map[int]error{4 << 20: nil, 4<<20 + 1: ErrTooLong} {
		text := shortest + strings.Repeat("#1234567890123456789012345678901\n", (n-len(shortest))/33)
		text += "#" + strings.Repeat("x", n-len(text)-1)
		if _, err := ParseMedia([]byte(text)); !errors.Is(err, want) || len(text) != n {
			t.Errorf("%d bytes: %v, want %v", len(text), err, want)
		}
		if _, err := Read(strings.NewReader(text), Window{Size: 1 << 20}); !errors.Is(err, want) {
			t.Errorf("%d bytes, line by line: %v, want %v", len(text), err, want)
		}
	}
}

// TestLineBound: a line of 8,192 bytes is read, and a longer one is not.
func TestLineBound(t *testing.T) {
	for n, want := range map[int]error{8192: nil, 8193: ErrTooLong} {
		for _, end := range []string{"\r\n", "\n", ""} {
			text := shortest + "#" + strings.Repeat("x", n-1) + end
			if _, err := Read(strings.NewReader(text), Window{Size: 1 << 20}); !errors.Is(err, want) {
				t.Errorf("%d bytes and %q: %v, want %v", n, end, err, want)
			}
		}
	}
}

// TestAttributesBound: a tag has 64 attributes at most.
func TestAttributesBound(t *testing.T) {
	for n, want := range map[int]error{64: nil, 65: ErrSyntax} {
		var b strings.Builder
		for i := range n - 2 {
			fmt.Fprintf(&b, ",X-%d=1", i)
		}
		text := shortest + `#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-28T12:00:00Z"` + b.String() + "\n"
		_, err := ParseMedia([]byte(text))
		if !errors.Is(err, want) || err != nil && !strings.Contains(err.Error(), "more than 64 attributes") {
			t.Errorf("%d attributes: %v, want %v", n, err, want)
		}
	}
}

// TestSecondsBound: a duration has 3,162,240,000 seconds at most.
func TestSecondsBound(t *testing.T) {
	for n, want := range map[int64]error{3_162_240_000: nil, 3_162_240_001: ErrSyntax} {
		p, err := ParseMedia(fmt.Appendf(nil, "%s#EXTINF:%d,\na\n", shortest, n))
		if !errors.Is(err, want) || err == nil && p.Segments[0].Duration != time.Duration(n)*time.Second {
			t.Errorf("a segment of %d s: %v, want %v", n, err, want)
		}
		p, err = ParseMedia(fmt.Appendf(nil, "#EXTM3U\n#EXT-X-TARGETDURATION:%d\n", n))
		if !errors.Is(err, want) || err == nil && int64(p.TargetDuration) != n {
			t.Errorf("a target of %d s: %v, want %v", n, err, want)
		}
	}
}

// TestBreachesBound: of many breaches of the rules the first 20 are told.
func TestBreachesBound(t *testing.T) {
	for n, want := range map[int]int{19: 19, 20: 20, 21: 20} {
		var c check
		for i := range n {
			c.that(false, "breach %d", i)
		}
		if got := strings.Count(c.result().Error(), "breach"); got != want {
			t.Errorf("of %d breaches %d are told, want %d", n, got, want)
		}
	}
}
