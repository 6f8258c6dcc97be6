package g711

import "testing"

func TestSamples(t *testing.T) {
	for _, n := range []int{0, 1, 160} {
		if got := Samples(make([]byte, n)); got != n {
			t.Errorf("%d bytes hold %d samples", n, got)
		}
	}
}
