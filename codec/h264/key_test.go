package h264

import (
	"bytes"
	"os"
	"testing"

	"weir/codec/nal"
)

// testdata reads a file of the recorded frames.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lengths puts units behind lengths.
func lengths(size int, units ...string) []byte {
	var b []byte
	for _, u := range units {
		b, _ = nal.Append(b, []byte(u), size)
	}
	return b
}

func TestIsKey(t *testing.T) {
	const recovery = "\x06\x06\x01\xc4\x80"
	for _, c := range []struct {
		name          string
		in            []byte
		size          int
		key, known, r bool
	}{
		{"IDR", lengths(4, "\x67\x64", "\x68", "\x65\x88"), 4, true, true, false},
		{"inter", lengths(4, "\x09\xf0", "\x41\x9a"), 4, false, true, false},
		{"inter, data partitioned", lengths(4, "\x42\x9a", "\x43\x00"), 4, false, true, false},
		{"C-164 lengths of 1 byte", lengths(1, "\x65\x88"), 1, true, true, false},
		{"C-164 lengths of 2 bytes", lengths(2, "\x41\x88"), 2, false, true, false},
		{"recovery point", lengths(4, recovery, "\x41\x9a"), 4, false, false, true},
		{"recovery point after another message", lengths(4, "\x06\x01\x02\x00\x00\x06\x01\xc4\x80", "\x41"), 4, false, false, true},
		{"IDR with recovery point", lengths(4, recovery, "\x65\x88"), 4, true, true, true},
		{"another message", lengths(4, "\x06\x05\x03\x06\x01\xc4\x80", "\x41"), 4, false, true, false},
		{"a message larger than its unit", lengths(4, "\x06\xff\xff\xff\x06\xff\xff", "\x41"), 4, false, true, false},
		{"no slice", lengths(4, "\x67\x64", "\x68"), 4, false, false, false},
		{"nothing", nil, 4, false, false, false},
		{"no length size", lengths(4, "\x65\x88"), 0, false, false, false},
		{"C-166 zero lengths", lengths(4, "", "", "\x65\x88"), 4, true, true, false},
		{"C-166 length past the end", []byte("\x00\x00\x00\x09\x65\x88"), 4, false, false, false},
		{"C-166 Annex B, IDR", []byte("\x00\x00\x00\x01\x09\xf0\x00\x00\x01\x65\x88\x84"), 4, true, true, false},
		{"C-166 Annex B, inter", []byte("\x00\x00\x01\x41\x9a\x20"), 4, false, true, false},
		{"C-166 Annex B without configuration", []byte("\x00\x00\x01\x65\x88"), 0, true, true, false},
		{"too many units", lengths(1, string(bytes.Repeat([]byte{1, 12}, 127))[1:], "\x65"), 1, true, true, false},
		{"recorded IDR", testdata(t, "h264-high.key"), 4, true, true, false},
		{"recorded inter", testdata(t, "h264-high.inter"), 4, false, true, false},
		{"recorded open group of pictures", testdata(t, "h264-opengop.recovery"), 4, false, false, true},
		{"recorded gradual refresh", testdata(t, "h264-refresh.recovery"), 4, false, false, true},
	} {
		key, known := IsKey(c.in, c.size)
		if key != c.key || known != c.known {
			t.Errorf("%s: key %v, known %v; want %v, %v", c.name, key, known, c.key, c.known)
		}
		if r := HasRecoveryPoint(c.in, c.size); r != c.r {
			t.Errorf("%s: recovery point %v", c.name, r)
		}
	}
	if key, known := IsKey(bytes.Repeat([]byte{1, 12}, 200), 1); key || known {
		t.Error("all of many units were looked at")
	}
}

func TestIsKeyPrefixes(t *testing.T) {
	for _, name := range []string{"h264-high.key", "h264-opengop.recovery"} {
		in := testdata(t, name)
		want, _ := IsKey(in, 4)
		for n := range in {
			if key, known := IsKey(in[:n], 4); known && key != want {
				t.Errorf("%s, %d bytes: key %v", name, n, key)
			}
		}
	}
}

func TestIsKeyAllocation(t *testing.T) {
	in := testdata(t, "h264-opengop.recovery")
	if n := testing.AllocsPerRun(100, func() { IsKey(in, 4) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIsKey(b *testing.B) {
	in := append(lengths(4, "\x09\xf0", "\x06\x01\x02\x00\x00\x80", "\x67\x64", "\x68"), lengths(4, "\x65"+string(make([]byte, 50000)))...)
	b.ReportAllocs()
	for b.Loop() {
		IsKey(in, 4)
	}
}
