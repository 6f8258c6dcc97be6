package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

func testRuns() []Run {
	return []Run{
		{ID: 1, DTS: 90000, Samples: []Sample{
			{Duration: 3000, CTS: 6000, Key: true, Payload: []byte("key frame")},
			{Duration: 3000, CTS: -3000, Payload: []byte("another")},
			{Duration: 3001, Payload: []byte("third")},
		}},
		{ID: 3},
		{ID: 2, DTS: 1 << 40, Samples: []Sample{
			{Duration: 1024, Key: true, Payload: []byte("sound")},
			{Duration: 1024, Key: true, Payload: []byte("more")},
		}},
	}
}

// TestFragment finds the samples by the offsets in a fragment.
func TestFragment(t *testing.T) {
	b, err := AppendFragment([]byte("before"), 7, testRuns())
	if err != nil {
		t.Fatal(err)
	}
	b = b[len("before"):]
	want := []string{"moof", "mfhd", "traf", "tfhd", "tfdt", "trun", "traf", "tfhd", "tfdt", "trun", "mdat"}
	if got := checkBoxes(t, b); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for i, data := range []string{"key frameanotherthird", "soundmore"} {
		at := 0
		for range i + 1 {
			at += bytes.Index(b[at:], []byte("trun")) + 4
		}
		offset := binary.BigEndian.Uint32(b[at+8:])
		if !bytes.HasPrefix(b[offset:], []byte(data)) {
			t.Errorf("run %d has its data at %d: %q", i, offset, b[offset:])
		}
	}
}

// TestFragmentRefused are fragments that are not written.
func TestFragmentRefused(t *testing.T) {
	for _, r := range []Run{{DTS: 1}, {ID: 1, DTS: -1}} {
		if b, err := AppendFragment([]byte("x"), 1, []Run{r}); !errors.Is(err, ErrTrack) || string(b) != "x" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// TestFragmentAllocation: a fragment costs nothing but its bytes.
func TestFragmentAllocation(t *testing.T) {
	runs, buf := testRuns(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf, _ = AppendFragment(buf[:0], 1, runs) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAppendFragment(b *testing.B) {
	payload := make([]byte, 10_000)
	runs := []Run{{ID: 1}}
	for i := range 6 {
		runs[0].Samples = append(runs[0].Samples, Sample{Duration: 3000, Key: i == 0, Payload: payload})
	}
	b.ReportAllocs()
	b.SetBytes(6 * 10_000)
	buf := make([]byte, 0, 70_000)
	for b.Loop() {
		buf, _ = AppendFragment(buf[:0], 1, runs)
	}
}
