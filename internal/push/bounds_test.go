package push

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestBounds: what is as long as it may be is taken, and what is one longer is not.
func TestBounds(t *testing.T) {
	const host = "rtmp://h.example/"
	for name, c := range map[string]struct {
		set  func(c *Config, n int)
		most int
		says string
	}{
		"key":         {func(c *Config, n int) { c.Key = strings.Repeat("k", n) }, 1024, "a key has at most 1024 bytes"},
		"URL":         {func(c *Config, n int) { c.URL = host + strings.Repeat("a", n-len(host)) }, 2048, "longer than 2048 bytes"},
		"name":        {func(c *Config, n int) { c.Name = strings.Repeat("n", n) }, 40, "up to 40 lower-case letters"},
		"slate's":     {func(c *Config, n int) { c.Slate = strings.Repeat("s", n-len(".ts")) + ".ts" }, 1024, "nor the name of a file"},
		"fingerprint": {func(c *Config, n int) { c.Pin = strings.Repeat("a", n) }, 64, "64 hexadecimal digits"},
	} {
		for _, more := range []int{0, 1} {
			good := to("it", host+"live", "cam")
			c.set(&good, c.most+more)
			if err := good.Validate(); (err == nil) != (more == 0) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s of %d: %v", name, c.most+more, err)
			}
		}
	}
	list := make([]Config, 33)
	for i := range list {
		list[i] = to(fmt.Sprint("t", i), host+"live", "cam")
	}
	if err := Check(list[:32]); err != nil {
		t.Error(err)
	}
	if err := Check(list); err == nil || !strings.Contains(err.Error(), "more than 32 targets") {
		t.Error(err)
	}
}

// TestTargetsOfTheAPIAreBounded: a thousand may be made for all streams together.
func TestTargetsOfTheAPIAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 999 {
		w.m.kept.Added = append(w.m.kept.Added, added{fmt.Sprint("live/", i), to("it", "rtmp://h.example/live", "cam")})
	}
	if _, err := w.m.Add("live/a", to("it", "rtmp://h.example/live", "cam")); err != nil {
		t.Error(err)
	}
	if _, err := w.m.Add("live/b", to("it", "rtmp://h.example/live", "cam")); !errors.Is(err, ErrTooMany) || len(w.m.kept.Added) != 1000 {
		t.Errorf("%v, %d targets", err, len(w.m.kept.Added))
	}
}

// TestNoPartOfTheAddressIsShown: a server that says what it was asked for, or what the one before it was, gets nothing of that shown.
func TestNoPartOfTheAddressIsShown(t *testing.T) {
	c := to("it", "rtmp://us3r:pa55word@h.example/live?auth=urlt0ken", "n4me?sign=s1gnature&x=qu3ry")
	first, err := c.address(vars{path: "live/cam"})
	if err != nil {
		t.Fatal(err)
	}
	next := first.movedTo("rtmp://b.example/other?ticket=t1cket")
	for _, part := range []string{"us3r", "pa55word", "urlt0ken", "n4me", "s1gnature", "qu3ry", "t1cket"} {
		said := "asked for: " + part + " and no more"
		if got := next.mask(said); got != "asked for: *** and no more" {
			t.Errorf("%q", got)
		}
		if got := first.mask(said); got != "asked for: *** and no more" && part != "t1cket" {
			t.Errorf("%q of the first", got)
		}
	}
	if u := next.tcURL(); u != "rtmp://b.example/other?ticket=t1cket" {
		t.Error(u)
	}
}
