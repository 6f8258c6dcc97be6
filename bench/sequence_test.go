package bench

import "testing"

func TestSequence(t *testing.T) {
	const top = 1<<32 - 1
	for _, c := range []struct {
		name string
		in   []uint32
		want faults
	}{
		{"in order", []uint32{7, 8, 9, 10}, faults{}},
		{"begins anywhere", []uint32{4_000_000_000}, faults{}},
		{"two lost", []uint32{1, 4, 5}, faults{lost: 2}},
		{"repeated", []uint32{1, 2, 2, 3}, faults{repeated: 1}},
		{"an old one repeated", []uint32{1, 2, 3, 1}, faults{repeated: 1}},
		{"late, so not lost", []uint32{1, 3, 2, 4}, faults{reordered: 1}},
		{"late twice", []uint32{1, 3, 2, 2}, faults{reordered: 1, repeated: 1}},
		{"late after the gap's end", []uint32{1, 5, 3, 6}, faults{lost: 2, reordered: 1}},
		{"before the first", []uint32{5, 4}, faults{repeated: 1}},
		{"far behind", []uint32{1, 100, 30}, faults{lost: 98, repeated: 1}},
		{"a gap over the memory", []uint32{1, 200, 199}, faults{lost: 197, reordered: 1}},
		{"wraps", []uint32{top - 1, top, 0, 1}, faults{}},
		{"loses the wrap", []uint32{top, 1}, faults{lost: 1}},
	} {
		var s sequence
		var got faults
		for _, n := range c.in {
			s.add(n, &got)
		}
		if got != c.want {
			t.Errorf("%s: %v: got %+v, want %+v", c.name, c.in, got, c.want)
		}
	}
}
