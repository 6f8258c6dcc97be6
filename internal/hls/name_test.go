package hls

import (
	"context"
	"strings"
	"testing"
	"time"
)

func contextWithTimeout(_ testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

func TestC230_Names(t *testing.T) {
	for _, n := range []Name{
		{ID: "abc2abc2abc2", Rendition: "main", Ext: ".m3u8"},
		{ID: "abc2abc2abc2", Rendition: "a1", Kind: KindInit, Number: 3, Ext: ".mp4"},
		{ID: "abc2abc2abc2", Rendition: "main", Kind: KindSegment, Number: 1<<64 - 1, Ext: ".m4s"},
		{ID: "abc2abc2abc2", Rendition: "main", Kind: KindPart, Number: 7, Part: 12, Ext: ".ts"},
	} {
		got, ok := ParseName(n.String())
		if !ok || got != n {
			t.Errorf("%s: %+v %v", n, got, ok)
		}
		for i := range len(n.String()) {
			if m, ok := ParseName(n.String()[:i]); ok && m.String() != n.String()[:i] {
				t.Errorf("%s became %s", n.String()[:i], m)
			}
		}
	}
	for _, s := range []string{
		"", ".", "..", "_", "a_b", "../x", "%2e%2e", "abcdefghijkl_main_1.m4s.m4s", "abcdefghijkl_main_01.m4s", "abcdefghijkl_main_-1.m4s", "abcdefghijkl_main_1.01.m4s", "abcdefghijkl_main_1.x.m4s",
		"abcdefghijkl_main_1.m3u8", "ABCDEFGHIJKL_main_1.m4s", "abcdefghijkl__1.m4s", "abcdefghijkl_main_1_2.m4s", "abcdefghijkl_main_i.mp4", "abcdefghijkl_main_99999999999999999999.m4s", "abcdefghijkl_main_1.exe",
		"abcdefghijkl_main_1.99999999999.m4s", strings.Repeat("a", 10000) + "_main_1.m4s", "abcdefghijkl_main_1.m4s\x00", "a/b_main_1.m4s",
	} {
		if n, ok := ParseName(s); ok {
			t.Errorf("%.40q is %+v", s, n)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"abc2_main.m3u8", "abc2_a1_i3.mp4", "abc2_main_7.12.ts", "abc2_main_18446744073709551615.m4s", "../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := ParseName(s); ok && n.String() != s {
			t.Errorf("%q is another name of %s", s, n)
		}
	})
}
