package nal

import (
	"bytes"
	"testing"

	"weir/codec/bits"
)

// TestMessagesBound: the 32nd message of a unit is looked at, and the 33rd is not.
func TestMessagesBound(t *testing.T) {
	const recoveryPoint = 6
	for others, want := range map[int]bool{0: true, 31: true, 32: false} {
		in := append(bytes.Repeat([]byte{1, 1, 0xff}, others), recoveryPoint, 1, 0xc4, 0x80)
		r := bits.NewRBSPReader(in)
		if got := HasSEI(&r, recoveryPoint); got != want {
			t.Errorf("behind %d others: %v, want %v", others, got, want)
		}
	}
}
