package peer

import (
	"errors"
	"testing"
)

func TestReserved(t *testing.T) {
	var r Reserved
	for _, s := range []string{"", "/", ".flv", "/index.m3u8"} {
		r.AddSuffix(s)
	}
	r.AddResource(func(name string) bool { return name == "abc-1.m4s" })
	for path, reserved := range map[string]bool{
		"live/cam": false, "live/cam.flv": true, "live/.flv": true, "live.flv/cam": false, "live/camflv": false,
		"live/index.m3u8": true, "live/x-index.m3u8": false, "live/index.m3u8/x": false,
		"live/abc-1.m4s": true, "live/abc-2.m4s": false,
		"live/whip": true, "live/whep": true, "live/whips": false, "_weir/cam": true, "_weird/cam": false,
	} {
		if err := r.Check(path); errors.Is(err, ErrReserved) != reserved {
			t.Errorf("%s: %v, reserved is %v", path, err, reserved)
		}
	}
}
