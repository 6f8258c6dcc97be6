package nal

import (
	"bytes"
	"testing"
)

const recoveryPoint = 6

// TestMessagesBound: the 32nd message of a unit is looked at, and the 33rd is not.
func TestMessagesBound(t *testing.T) {
	for others, want := range map[int]bool{0: true, 31: true, 32: false} {
		unit := append([]byte{6}, bytes.Repeat([]byte{1, 1, 0xff}, others)...)
		unit = append(unit, recoveryPoint, 1, 0xc4, 0x80)
		if got := HasSEI(unit, 1, recoveryPoint); got != want {
			t.Errorf("behind %d others: %v, want %v", others, got, want)
		}
	}
}

// TestMessageBytesBound: a message is found if it ends with the 4,096 bytes of a unit that are looked at.
func TestMessageBytesBound(t *testing.T) {
	for _, header := range []int{1, 2} {
		for end, want := range map[int]bool{4096: true, 4097: false} {
			size := end - header - 17 - 2 // less the head of the user data, and the recovery point
			unit := append(make([]byte, header), 5)
			unit = append(unit, bytes.Repeat([]byte{255}, 15)...)
			unit = append(unit, byte(size-15*255))
			unit = append(unit, bytes.Repeat([]byte{0xaa}, size)...)
			unit = append(unit, recoveryPoint, 0)
			if len(unit) != end {
				t.Fatalf("%d bytes", len(unit))
			}
			if got := HasSEI(append(unit, 0xc4, 0x80), header, recoveryPoint); got != want {
				t.Errorf("up to byte %d: %v, want %v", end, got, want)
			}
		}
	}
}
