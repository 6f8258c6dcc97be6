package reach

import (
	"bytes"
	"strings"
	"testing"
)

// TestParseFingerprint: hex, with colons and as openssl prints it; nothing else.
func TestParseFingerprint(t *testing.T) {
	want := bytes.Repeat([]byte{0xab}, 32)
	for text, good := range map[string]bool{
		strings.Repeat("ab", 32): true, "sha256 Fingerprint=" + strings.Repeat("AB:", 31) + "AB": true, strings.Repeat("ab", 31): false, strings.Repeat("ab", 33): false, "x": false, strings.Repeat("xy", 32): false,
	} {
		if got, err := ParseFingerprint(text); (err == nil) != good || good && !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	if got, err := ParseFingerprint(""); got != nil || err != nil {
		t.Errorf("none: %x, %v", got, err)
	}
}
