package h265

import (
	"bytes"
	"errors"
	"testing"
)

// TestUnitsBound: a slice is found as the 128th unit of an access unit, and not as the next.
func TestUnitsBound(t *testing.T) {
	for fillers, want := range map[int]bool{127: true, 128: false} {
		in := append(bytes.Repeat([]byte{0, 0, 1, TypeFiller << 1, 1}, fillers), 0, 0, 1, 0x26, 1, 0xaf)
		if key, known := IsKey(in, 0); key != want || known != want {
			t.Errorf("behind %d units: key %v, known %v", fillers, key, known)
		}
	}
}

// TestRateBound: 1,000 pictures a second are believed, and nothing above.
func TestRateBound(t *testing.T) {
	for scale, want := range map[uint64]float64{25_000_000: 25, 1000_000_000: 1000, 1000_000_001: 0} {
		if got := VPSFrameRate(vps(0, 1_000_000, scale)); got != want {
			t.Errorf("%d per 1000000: %v, want %v", scale, got, want)
		}
	}
}

// TestConfigUnitsBound: a record holds 256 NAL units, in however many arrays.
func TestConfigUnitsBound(t *testing.T) {
	for n, want := range map[int]error{256: nil, 257: ErrTooMany} {
		head := append(unhex(configs[0].in)[:22:22], 2)
		head = append(head, TypeVPS, 0, 1, 0, 1, 0x40)
		in := append(head, TypePPS, byte((n-1)>>8), byte(n-1))
		in = append(in, bytes.Repeat([]byte{0, 1, 0x44}, n-1)...)
		if _, err := ParseConfig(in); !errors.Is(err, want) {
			t.Errorf("%d units: %v, want %v", n, err, want)
		}
	}
}
