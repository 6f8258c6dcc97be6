package codec

import (
	"testing"

	"weir/av"
)

func TestRoleOf(t *testing.T) {
	for _, c := range []struct {
		codec av.Codec
		unit  string
		want  UnitRole
	}{
		{av.H264, "", UnitPrefix},
		{av.H264, "\x41\x80", UnitSlice},
		{av.H264, "\x65\x80", UnitSlice},
		{av.H264, "\x42\x80", UnitSlice},
		{av.H264, "\x65\x7f", UnitMoreSlice},
		{av.H264, "\x65", UnitPrefix},
		{av.H264, "\x43\x80", UnitMoreSlice},
		{av.H264, "\x44\x80", UnitMoreSlice},
		{av.H264, "\x74\x80", UnitMoreSlice},
		{av.H264, "\x06\x05", UnitPrefix},
		{av.H264, "\x6e\x00", UnitPrefix}, // before each slice of scalable video
		{av.H264, "\x67\x42", UnitSPS},
		{av.H264, "\x68\xce", UnitPPS},
		{av.H264, "\x09\xf0", UnitDelimiter},
		{av.H264, "\x0a", UnitSuffix},
		{av.H264, "\x0b", UnitSuffix},
		{av.H264, "\x0c\xff", UnitSuffix},
		{av.H265, "\x26", UnitPrefix},
		{av.H265, "\x26\x01\x80", UnitSlice},
		{av.H265, "\x02\x01\x80", UnitSlice},
		{av.H265, "\x02\x01\x7f", UnitMoreSlice},
		{av.H265, "\x40\x01", UnitVPS},
		{av.H265, "\x42\x01", UnitSPS},
		{av.H265, "\x44\x01", UnitPPS},
		{av.H265, "\x46\x01", UnitDelimiter},
		{av.H265, "\x48\x01", UnitSuffix},
		{av.H265, "\x4a\x01", UnitSuffix},
		{av.H265, "\x4c\x01", UnitSuffix},
		{av.H265, "\x4e\x01", UnitPrefix},
		{av.H265, "\x50\x01", UnitSuffix},
	} {
		if got := RoleOf(c.codec, []byte(c.unit)); got != c.want {
			t.Errorf("%v %x: role %d, want %d", c.codec, c.unit, got, c.want)
		}
	}
}
