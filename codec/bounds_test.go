package codec

import (
	"bytes"
	"encoding/binary"
	"testing"

	"weir/av"
)

// TestUnitsBound: what is looked for among the NAL units of a frame is found as the 128th, and not as the next.
func TestUnitsBound(t *testing.T) {
	record, units := recordedSets(t)
	for fillers, want := range map[int]bool{126: true, 127: true, 128: false} {
		h264 := append(bytes.Repeat([]byte{0, 0, 1, 12}, fillers), annexB(units[0])...)
		if _, err := DescribeFrame(av.H264, av.Video, h264); (err == nil) != want {
			t.Errorf("H.264 behind %d units: %v", fillers, err)
		}
		vvc := append(bytes.Repeat([]byte{0, 0, 1, 0, 25 << 3}, fillers), 0, 0, 1, 0, 7<<3, 0x80)
		if key, known := IsKey(av.VVC, vvc, 4); key != want || known != want {
			t.Errorf("H.266 behind %d units: key %v, known %v", fillers, key, known)
		}
		var d Deriver
		first := bytes.Repeat([]byte{0, 0, 1, 12}, fillers-1)
		if got := d.Frame(av.H264, append(first, annexB(units...)...)); (got != nil) != want {
			t.Errorf("parameter sets behind %d units: %x, like %x", fillers-1, got, record)
		}
	}
}

// recordedSets returns a record, and its sequence and its picture parameter set.
func recordedSets(t *testing.T) (record []byte, units [][]byte) {
	for _, r := range recordings(t) {
		if r.name == "h264-high" {
			record, units = r.config, sets(t, r.codec, r.config)
		}
	}
	if len(units) != 2 {
		t.Fatalf("%d parameter sets", len(units))
	}
	return record, units
}

// TestVVCSizeBound: 16,384 pixels in either direction are believed of H.266, and one more is not.
func TestVVCSizeBound(t *testing.T) {
	for _, c := range []struct {
		width, height int
		want          av.Size
	}{
		{16384, 16384, av.Size{Width: 16384, Height: 16384}},
		{16385, 16, av.Size{}},
		{16, 16385, av.Size{}},
		{1, 1, av.Size{Width: 1, Height: 1}},
		{0, 16, av.Size{}},
		{16, 0, av.Size{}},
	} {
		record := unhex("ff" + "003d" + "5f" + "01" + "02" + "53" + "c0" + "80" + "43" + "01" + "00000001")
		record = binary.BigEndian.AppendUint16(record, uint16(c.width))
		record = binary.BigEndian.AppendUint16(record, uint16(c.height))
		if got, err := Describe(av.VVC, av.Video, append(record, 0x3c, 0, 0)); err != nil || got.Size != c.want {
			t.Errorf("%d x %d: %v, %v", c.width, c.height, got.Size, err)
		}
	}
}
