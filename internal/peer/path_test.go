package peer

import (
	"errors"
	"strings"
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

// TestCheckPath: a path has 2 to 16 segments and 255 bytes at most, and nothing in it that a URL, a
// log or a file name would take for something else.
func TestCheckPath(t *testing.T) {
	segments := func(n int) string { return strings.TrimSuffix(strings.Repeat("a/", n), "/") }
	for path, want := range map[string]string{
		segments(2): "", segments(16): "",
		segments(1): "it is app/name, of 2 to 16 segments, such as live/cam", segments(17): "it is app/name, of 2 to 16 segments, such as live/cam",
		"live/" + strings.Repeat("x", 250): "", "live/" + strings.Repeat("x", 251): "longer than 255 bytes",
		"live/\xff": "not UTF-8", "live/ü": "", "": "it is app/name, of 2 to 16 segments, such as live/cam",
		"live/": `a segment is empty, "." or ".."`, "/live": `a segment is empty, "." or ".."`, "a//b": `a segment is empty, "." or ".."`,
		"live/.": `a segment is empty, "." or ".."`, "../live": `a segment is empty, "." or ".."`, "live/...": "", "live/.a": "",
		"live/a\n": "it has a control character or a backslash", "live/\u202e": "it has a control character or a backslash",
		`live/a\b`: "it has a control character or a backslash", "live/a b": "",
	} {
		err := CheckPath(path)
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrPath) || err.Error() != "the stream path is not valid: "+want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

// TestCheckMatch: what a pattern must have to match the path of a stream.
func TestCheckMatch(t *testing.T) {
	segments := func(n int) string { return strings.TrimSuffix(strings.Repeat("*/", n), "/") }
	for pattern, ok := range map[string]bool{
		"live": false, "*": false, "live/*": true, "**": true, "live/**": true, "**/live": true,
		"live/cam?key=1": false, "live/a\\b": false, "live/a\x00": false,
		segments(16): true, segments(17): false, segments(16) + "/**": true, segments(17) + "/**": false,
	} {
		if err := CheckMatch(pattern); (err == nil) != ok {
			t.Errorf("%q: %v, matches is %v", pattern, err, ok)
		}
	}
}
