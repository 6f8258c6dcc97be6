package h265

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/codec/nal"
)

// lengths puts units behind lengths.
func lengths(size int, units ...string) []byte {
	var b []byte
	for _, u := range units {
		b, _ = nal.Append(b, []byte(u), size)
	}
	return b
}

func TestIsKey(t *testing.T) {
	const recovery = "\x4e\x01\x06\x01\xd0\x80"
	for _, c := range []struct {
		name          string
		in            []byte
		size          int
		key, known, r bool
	}{
		{"IDR with leading pictures", lengths(4, "\x40\x01\x0c", "\x42\x01\x01", "\x44\x01\xc0", "\x26\x01\xaf"), 4, true, true, false},
		{"IDR without", lengths(4, "\x28\x01\xaf"), 4, true, true, false},
		{"CRA", lengths(4, "\x46\x01\x50", "\x2a\x01\xac"), 4, true, true, false},
		{"BLA", lengths(4, "\x20\x01\xac"), 4, true, true, false},
		{"leading picture", lengths(4, "\x10\x01\xe0"), 4, false, true, false},
		{"inter", lengths(4, "\x02\x01\xd0"), 4, false, true, false},
		{"inter with trailing message", lengths(4, "\x02\x01\xd0", "\x50\x01\x06\x01\xd0\x80"), 4, false, true, false},
		{"lengths of 2 bytes", lengths(2, "\x26\x01\xaf"), 2, true, true, false},
		{"recovery point", lengths(4, recovery, "\x02\x01\xd0"), 4, false, false, true},
		{"no slice", lengths(4, "\x40\x01\x0c"), 4, false, false, false},
		{"a unit of one byte", lengths(4, "\x26"), 4, false, false, false},
		{"nothing", nil, 4, false, false, false},
		{"C-166 Annex B", []byte("\x00\x00\x00\x01\x46\x01\x50\x00\x00\x01\x26\x01\xaf"), 4, true, true, false},
		{"C-166 length past the end", []byte("\x00\x00\x00\x09\x26\x01"), 4, false, false, false},
		{"recorded IDR", testdata(t, "h265-main.key"), 4, true, true, false},
		{"recorded inter", testdata(t, "h265-main.inter"), 4, false, true, false},
		{"recorded open group of pictures", testdata(t, "h265-opengop.recovery"), 4, true, true, false},
	} {
		key, known := IsKey(c.in, c.size)
		if key != c.key || known != c.known {
			t.Errorf("%s: key %v, known %v; want %v, %v", c.name, key, known, c.key, c.known)
		}
		if r := HasRecoveryPoint(c.in, c.size); r != c.r {
			t.Errorf("%s: recovery point %v", c.name, r)
		}
	}
}

func TestIsKeyAllocation(t *testing.T) {
	in := testdata(t, "h265-main.key")
	if n := testing.AllocsPerRun(100, func() { IsKey(in, 4) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIsKey(b *testing.B) {
	in := append(lengths(4, "\x46\x01\x50", "\x40\x01\x0c", "\x42\x01\x01", "\x44\x01\xc0"), lengths(4, "\x26\x01"+string(make([]byte, 50000)))...)
	b.ReportAllocs()
	for b.Loop() {
		IsKey(in, 4)
	}
}

// FuzzH265 reads b as everything that this package reads. A record that was read can be
// written and reads the same again; a size is never beyond the bound.
func FuzzH265(f *testing.F) {
	for _, c := range configs {
		f.Add(unhex(c.in))
	}
	for _, c := range spss {
		f.Add(c.in)
	}
	f.Add(unhex(vpsMain))
	f.Add(testdata(f, "h265-main.inter"))
	f.Fuzz(func(t *testing.T, b []byte) {
		LooksLikeConfig(b)
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
		if r := VPSFrameRate(b); r < 0 || r > maxRate {
			t.Fatal(r)
		}
		for size := range 5 {
			if key, known := IsKey(b, size); key && !known {
				t.Fatal("key, but not known")
			}
		}
	})
}
