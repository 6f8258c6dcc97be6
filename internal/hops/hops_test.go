package hops

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/internal/session"
)

// TestCheck: what has been here, and what has come through more servers than may be, is refused.
func TestCheck(t *testing.T) {
	own := Entry("a", "live/x")
	if own == Entry("a", "live/y") || own == Entry("b", "live/x") || own != Entry("a", "live/x") {
		t.Fatal("entries do not tell streams and servers apart")
	}
	var eight []string
	for i := range Max {
		eight = append(eight, Entry(fmt.Sprint(i), "live/x"))
	}
	for _, c := range []struct {
		list []string
		loop bool
	}{
		{nil, false},
		{[]string{Entry("a", "live/y"), Entry("b", "live/x")}, false},
		{[]string{Entry("b", "live/x"), own}, true},
		{eight, false},
		{append(slices.Clone(eight), Entry("9", "live/x")), true},
	} {
		list := Parse(Join(c.list))
		if !slices.Equal(list, c.list) {
			t.Errorf("%q was read as %q", c.list, list)
		}
		err := Check(list, own)
		if (err != nil) != c.loop || err != nil && session.ReasonOf(err) != session.Loop {
			t.Errorf("%q: %v", c.list, err)
		}
	}
}

// TestParseIsBounded: a peer's list costs no more than one that is refused.
func TestParseIsBounded(t *testing.T) {
	list := Parse(strings.Repeat(strings.Repeat("x", 1000)+",", 1000))
	if len(list) != Max+1 || len(list[0]) != maxEntry || len(list[Max]) != maxEntry {
		t.Error(len(list), len(list[0]))
	}
	if Check(list, "own") == nil {
		t.Error("a list that is too long is taken")
	}
}
