package hops

import (
	"slices"
	"strings"
	"testing"
)

// TestVia: a list is written and read alike in HTTP, beside the proxies of others, and within bounds.
func TestVia(t *testing.T) {
	list := []string{Entry("a1", "live/x"), Entry("b2", "live/x"), Entry("c3", "live/y")}
	if got := ParseVia([]string{Via(list)}); !slices.Equal(got, list) {
		t.Errorf("%q", got)
	}
	if got := ParseVia([]string{"1.0 fred, 1.1 weir-a1 (Weir)", "HTTP/1.1 proxy.example:80", "1.1 weir-b2,1.1 weir-", "2.0"}); !slices.Equal(got, []string{"a1", "b2"}) {
		t.Errorf("among others: %q", got)
	}
	if ParseVia(nil) != nil || ParseVia([]string{"", ",,", "1.1"}) != nil {
		t.Error("there is a server where there is none")
	}
	got := ParseVia([]string{strings.Repeat("1.1 weir-"+strings.Repeat("x", 1000)+",", 1000)})
	if len(got) != Max+1 || len(got[0]) != maxEntry || Check(got, "own") == nil {
		t.Errorf("%d of a thousand are kept", len(got))
	}
}
