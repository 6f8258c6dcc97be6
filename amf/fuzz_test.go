package amf

import (
	"encoding/hex"
	"testing"
)

// fuzzLimits are small, so that the fuzzer reaches them.
var fuzzLimits = Limits{Depth: 6, Values: 200, StringBytes: 300, KeyBytes: 40}

func FuzzDecode(f *testing.F) {
	for _, c := range golden {
		if b, err := hex.DecodeString(c.hex); err == nil && len(b) < 4096 {
			f.Add(b)
		}
	}
	for _, c := range golden3 {
		f.Add(append([]byte{markerAMF3}, unhex(f, c.hex)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkStable(t, b, Limits{})
		checkStable(t, b, fuzzLimits)
		checkStable(t, Body3(b), Limits{})
	})
}

func FuzzDecodeAMF3(f *testing.F) {
	for _, c := range golden3 {
		f.Add(unhex(f, c.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range []Limits{{}, fuzzLimits} {
			v, n, err := DecodeAMF3(b, l)
			if n < 0 || n > len(b) || (err == nil) != (n > 0) {
				t.Fatalf("%d bytes of %d taken, error %v", n, len(b), err)
			}
			if err != nil {
				continue
			}
			again, m, err := DecodeAMF3(b[:n], l)
			if err != nil || m != n || !equal(v, again) {
				t.Fatalf("without what follows: %v, %d, %v", again, m, err)
			}
			checkWritten(t, []Value{v}, len(b), l)
		}
	})
}
