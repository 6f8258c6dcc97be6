package rtmp

import (
	"fmt"
	"reflect"
	"testing"

	"weir/amf"
)

func TestCapsReadAndWrite(t *testing.T) {
	caps := Caps{
		FourCCs: []string{"hvc1", "*"}, Video: []FourCCEntry{{"av01", CanDecode}, {"*", CanForward}},
		Audio: []FourCCEntry{{"Opus", CanEncode | CanDecode}}, CapsEx: CapReconnect | CapModEx,
	}
	if got := parseCaps(caps.properties(nil)); !reflect.DeepEqual(got, caps) {
		t.Errorf("%+v", got)
	}
}

func TestC115_OddCaps(t *testing.T) {
	var many amf.StrictArray
	var manyKeys amf.Object
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("%04d", i))
		manyKeys = append(manyKeys, amf.Property{Key: fmt.Sprintf("%04d", i), Value: fmt.Sprintf("%04d", i)})
	}
	for _, tt := range []struct {
		name string
		o    amf.Object
		want Caps
	}{
		{"number for a list", object("fourCcList", 5.0), Caps{}},
		{"nested", object("fourCcList", amf.StrictArray{amf.StrictArray{"hvc1"}, "av01", 3.0, "too long"}), Caps{FourCCs: []string{"av01"}}},
		{"object for a list", object("fourCcList", object("0", "hvc1")), Caps{FourCCs: []string{"hvc1"}}},
		{"strings for numbers", object("capsEx", "6", "videoFourCcInfoMap", object("hvc1", "4")), Caps{CapsEx: 6, Video: []FourCCEntry{{"hvc1", CanForward}}}},
		{"numbers out of range", object("capsEx", -1.0, "videoFunction", 1e300), Caps{}},
		{"list for a map", object("videoFourCcInfoMap", amf.StrictArray{"hvc1"}), Caps{}},
	} {
		if got := parseCaps(tt.o); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	for _, list := range []amf.Value{many, manyKeys} { // the first 64 count
		c := parseCaps(object("fourCcList", list, "videoFourCcInfoMap", manyKeys, "audioFourCcInfoMap", manyKeys))
		if len(c.FourCCs) != 64 || c.FourCCs[63] != "0063" || len(c.Video) != 64 || c.Video[63].FourCC != "0063" || len(c.Audio) != 64 {
			t.Errorf("%d, %d and %d kept", len(c.FourCCs), len(c.Video), len(c.Audio))
		}
	}
}

func TestCanReceive(t *testing.T) {
	for _, tt := range []struct {
		caps Caps
		want bool
	}{
		{Caps{}, true},
		{Caps{CapsEx: CapModEx}, true},
		{Caps{FourCCs: []string{"av01"}}, false},
		{Caps{FourCCs: []string{"hvc1"}}, true},
		{Caps{FourCCs: []string{"*"}}, true},
		{Caps{Video: []FourCCEntry{{"hvc1", CanEncode}}}, false},
		{Caps{Video: []FourCCEntry{{"hvc1", CanDecode}}}, true},
		{Caps{Video: []FourCCEntry{{"*", CanForward}}}, true},
	} {
		if got := tt.caps.CanReceive("hvc1"); got != tt.want {
			t.Errorf("%+v: %v", tt.caps, got)
		}
	}
}
