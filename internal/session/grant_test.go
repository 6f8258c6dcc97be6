package session

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// filled returns terms in which no field is zero.
func filled(t *testing.T, n int) *Terms {
	t.Helper()
	at := time.Unix(int64(1000*n), 0)
	terms := &Terms{
		By: strings.Repeat("b", n), KeyID: strings.Repeat("k", n), Label: strings.Repeat("l", n), User: strings.Repeat("u", n),
		Labels: map[string]string{"n": strings.Repeat("n", n)}, Path: strings.Repeat("p", n), Session: strings.Repeat("s", n), Paired: true, Until: at, Warn: at,
		Recheck: time.Duration(n), Duration: time.Duration(n), Bitrate: int64(n), Players: n,
		Push: []Push{{Name: strings.Repeat("x", n)}}, Record: []string{strings.Repeat("r", n)},
		Pull: strings.Repeat("q", n), Redirect: strings.Repeat("d", n),
	}
	v := reflect.ValueOf(*terms)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("the test does not fill %s", v.Type().Field(i).Name)
		}
	}
	return terms
}

// TestTermsOfTwo: no field is forgotten; of bounds and ends the tighter holds, of the rest what came later.
func TestTermsOfTwo(t *testing.T) {
	one, two := filled(t, 1), filled(t, 2)
	var none *Terms
	for name, c := range map[string]struct{ got, want *Terms }{
		"nothing and one":     {none.With(one), one},
		"one and nothing":     {one.With(nil), one},
		"one and empty terms": {one.With(&Terms{}), one},
		"empty terms and one": {(&Terms{}).With(one), one},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
	want := *filled(t, 2)
	want.Until, want.Recheck, want.Duration, want.Bitrate, want.Players = one.Until, one.Recheck, one.Duration, one.Bitrate, one.Players
	if got := one.With(two); !reflect.DeepEqual(*got, want) {
		t.Errorf("one, then two: %+v", got)
	}
	if got := two.With(one); !reflect.DeepEqual(*got, *one) {
		t.Errorf("two, then one: %+v", got)
	}
}

// TestHiddenGrant: a name that is a key is not told, whoever has a say, until somebody says which stream it leads to.
func TestHiddenGrant(t *testing.T) {
	hidden := Grant{Entry: 2, Key: 7, Hidden: true}
	said, asked := &Terms{By: "hook", Recheck: time.Second}, 0
	for name, c := range map[string]struct {
		grant Grant
		want  string
	}{
		"nobody has a say":     {hidden, "live/***"},
		"one has":              {hidden.And(said), "live/***"},
		"two have":             {hidden.And(said).And(&Terms{By: "program"}), "live/***"},
		"the first names it":   {hidden.And(&Terms{Path: "live/a"}).And(said), "live/a"},
		"the last names it":    {hidden.And(said).And(&Terms{Path: "live/a"}), "live/a"},
		"it is not hidden":     {Grant{}.And(said), "live/hunter2/x"},
		"no name in the terms": {Grant{Terms: said, Hidden: true}, "live/***"},
	} {
		again, err := c.grant.Again(func(last *Terms) (*Terms, error) { asked++; return last, nil })
		if got := c.grant.PathOf("live/hunter2/x"); got != c.want || err != nil || again.PathOf("live/hunter2/x") != got {
			t.Errorf("%s: %s, later %s, %v", name, got, again.PathOf("live/hunter2/x"), err)
		}
	}
	if asked == 0 {
		t.Error("nobody was asked again")
	}
	if got := MaskName("live"); got != "live" {
		t.Errorf("an app has no name to mask: %s", got)
	}
}

// TestTermsAreBounded: each bound, met and broken.
func TestTermsAreBounded(t *testing.T) {
	many := func(n, size int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[string(rune('a'+i))] = strings.Repeat("x", size)
		}
		return m
	}
	for name, c := range map[string]struct {
		terms Terms
		ok    bool
	}{
		"none":           {Terms{}, true},
		"a user":         {Terms{User: strings.Repeat("x", 128)}, true},
		"a long user":    {Terms{User: strings.Repeat("x", 129)}, false},
		"a long key id":  {Terms{KeyID: strings.Repeat("x", 129)}, false},
		"a long label":   {Terms{Label: strings.Repeat("x", 129)}, false},
		"a line break":   {Terms{User: "a\nb"}, false},
		"16 labels":      {Terms{Labels: many(16, 31)}, true},
		"17 labels":      {Terms{Labels: many(17, 1)}, false},
		"512 bytes":      {Terms{Labels: map[string]string{"a": strings.Repeat("x", 511)}}, true},
		"513 bytes":      {Terms{Labels: map[string]string{"a": strings.Repeat("x", 512)}}, false},
		"a broken label": {Terms{Labels: map[string]string{"a": "\x00"}}, false},
		"a broken name":  {Terms{Labels: map[string]string{"\x00": "a"}}, false},
	} {
		if err := c.terms.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *Terms
	if err := none.Check(); err != nil {
		t.Error(err)
	}
}

// TestAskedAgain: what those say who are asked again takes the place of what they said; what the others said, and the
// key, stay. A name stays if it is not said again.
func TestAskedAgain(t *testing.T) {
	end := time.Unix(5000, 0)
	key := &Terms{By: "keys", KeyID: "cam", User: "ann", Until: end}
	hook := &Terms{By: "hook", Path: "live/a", User: "hook's", Recheck: time.Minute, Until: end.Add(-time.Hour)}
	program := &Terms{By: "program", Bitrate: 5, Recheck: time.Second}
	g := Grant{Entry: 2, Key: 7, Terms: key}.And(hook).And(nil).And(program)
	if g.Key != 7 || g.Terms.Recheck != time.Second || g.Terms.User != "hook's" || !g.Terms.Until.Equal(end.Add(-time.Hour)) || g.Terms.Bitrate != 5 {
		t.Fatalf("%+v", g.Terms)
	}
	asked := []string{}
	say := map[string]*Terms{"hook": {By: "hook", Recheck: time.Minute}}
	for range 3 { // it does not grow
		now, err := g.Again(func(last *Terms) (*Terms, error) {
			asked = append(asked, last.By)
			return say[last.By], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		g = now
	}
	if want := []string{"hook", "program", "hook", "hook"}; !slices.Equal(asked, want) { // the program said nothing more
		t.Errorf("asked %v, want %v", asked, want)
	}
	want := Terms{By: "program", KeyID: "cam", User: "ann", Path: "live/a", Until: end, Recheck: time.Minute}
	if g.Entry != 2 || g.Key != 7 || !reflect.DeepEqual(*g.Terms, want) {
		t.Errorf("%+v, %+v", g, g.Terms)
	}
	n := 0
	for p := g.Parts; p != nil; p = p.Before {
		n++
	}
	if n != 3 {
		t.Errorf("%d parts of three", n)
	}
	if _, err := g.Again(func(*Terms) (*Terms, error) { return nil, errors.New("no") }); err == nil {
		t.Error("a denial was lost")
	}
	named := *hook
	named.KeyID, named.Label = "name", "front door"
	only, err := Grant{Key: 7, Terms: &named}.Again(func(*Terms) (*Terms, error) { return &Terms{By: "hook", User: "new"}, nil })
	if err != nil || only.Key != 7 || only.Terms.User != "new" || only.Terms.Path != "live/a" || only.Terms.KeyID != "name" || only.Terms.Label != "front door" || !only.Terms.Until.IsZero() {
		t.Errorf("asked alone: %+v, %v", only.Terms, err)
	}
	if open, err := (Grant{Entry: -1}).Again(nil); err != nil || open != (Grant{Entry: -1}) {
		t.Errorf("without terms: %+v, %v", open, err)
	}
}
