package fetch

import (
	"bytes"
	"testing"
)

// TestIsTS: five packets in a row prove a transport stream, and fewer if there is nothing else.
func TestIsTS(t *testing.T) {
	packet := append([]byte{0x47, 0x1f, 0xff, 0x10}, bytes.Repeat([]byte{0xff}, 184)...)
	for name, c := range map[string]struct {
		b    []byte
		all  bool
		want bool
	}{
		"five":              {bytes.Repeat(packet, 5), false, true},
		"four of more":      {bytes.Repeat(packet, 4), false, false},
		"a file of four":    {bytes.Repeat(packet, 4), true, true},
		"a file of one":     {packet, true, true},
		"a cut-off packet":  {packet[:187], true, false},
		"text":              {bytes.Repeat([]byte("G is a letter. "), 200), true, false},
		"rubbish before it": {append([]byte("rubbish"), bytes.Repeat(packet, 5)...), false, true},
	} {
		if got := isTS(c.b, c.all); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
