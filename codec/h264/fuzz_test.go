package h264

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzH264 reads b as everything that this package reads. A record that was read can be
// written and reads the same again; a size is never beyond the bound.
func FuzzH264(f *testing.F) {
	for _, c := range configs {
		f.Add(unhex(c.in))
	}
	for _, c := range spss {
		f.Add(unhex(c.in))
	}
	for _, name := range []string{"h264-high.inter", "h264-refresh.recovery"} {
		f.Add(testdata(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := ParseConfig(b); err == nil {
			out, err := c.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseConfig(out); err != nil || !cmp.Equal(c, again) {
				t.Fatalf("%+v reads %+v again, %v", c, again, err)
			}
		}
		if s, err := ParseSPS(b); err == nil && (s.Width < 0 || s.Width > MaxSize || s.Height < 0 || s.Height > MaxSize || s.FrameRate < 0 || s.FrameRate > maxRate) {
			t.Fatalf("%+v", s)
		}
		for size := range 5 {
			if key, known := IsKey(b, size); key && !known {
				t.Fatal("key, but not known")
			}
			n := 0
			for u := range NALUs(b, size) {
				n += size + len(u)
			}
			if n > len(b) {
				t.Fatalf("units of %d bytes in %d", n, len(b))
			}
		}
	})
}
