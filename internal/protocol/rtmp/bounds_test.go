package rtmp

import (
	"strings"
	"testing"
)

// TestURLsAtTheBound: of a URL that connect brings 1024 bytes are kept.
func TestURLsAtTheBound(t *testing.T) {
	url := "rtmp://h/" + strings.Repeat("x", 1015)
	if got := clip(url); got != url || len(url) != 1024 {
		t.Errorf("%d bytes of %d", len(got), len(url))
	}
	if got := clip(url + "y"); got != url {
		t.Errorf("%d bytes of one more", len(got))
	}
}
