package admit

import (
	"testing"
)

// TestAsksUser: publishers of an app are asked for user and password at once where none of its streams takes anything else.
func TestAsksUser(t *testing.T) {
	user := Rule{Auth: []string{ByKeys}, Keys: []Key{{User: "ann", Key: "pass"}}}
	mixed := Rule{Auth: []string{ByKeys}, Keys: []Key{{User: "ann", Key: "pass"}, {Key: "plain"}}}
	for name, c := range map[string]struct {
		entries []Entry
		stored  *StoredKey
		want    bool
	}{
		"all streams of the app":       {[]Entry{{Match: "live/*", Publish: user}}, nil, true},
		"all streams":                  {[]Entry{{Match: "**", Publish: user}}, nil, true},
		"some streams":                 {[]Entry{{Match: "live/cam-*", Publish: user}}, nil, false},
		"another app":                  {[]Entry{{Match: "other/*", Publish: user}}, nil, false},
		"after one that takes any key": {[]Entry{{Match: "live/a", Publish: mixed}, {Match: "live/*", Publish: user}}, nil, false},
		"after one of another app":     {[]Entry{{Match: "other/a", Publish: mixed}, {Match: "live/*", Publish: user}}, nil, true},
		"a hash is no password":        {[]Entry{{Match: "live/*", Publish: Rule{Auth: []string{ByKeys}, Keys: []Key{{User: "ann", Hash: cheapHash}}}}}, nil, false},
		"a stored key to publish":      {[]Entry{{Match: "live/*", Publish: user}}, &StoredKey{Role: "publish", Match: "live/a"}, false},
		"a stored key to play":         {[]Entry{{Match: "live/*", Publish: user}}, &StoredKey{Role: "play", Match: "live/a"}, true},
		"a stored key of another app":  {[]Entry{{Match: "live/*", Publish: user}}, &StoredKey{Role: "publish", Match: "other/*"}, true},
	} {
		rules, err := NewRules(c.entries, Entry{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := newFile(t)
		if c.stored != nil {
			mustAdd(t, f, *c.stored)
		}
		_, store := storeGate(t, f)
		if got := New(rules, Options{Keys: store}).AsksUser("live"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPasswordOfAUser: of a user who has one to publish and another to play it is the first, and of several entries that of the
// first.
func TestPasswordOfAUser(t *testing.T) {
	one := func(password string) Rule {
		return Rule{Auth: []string{ByKeys}, Keys: []Key{{User: "ann", Key: password}}}
	}
	rules, err := NewRules([]Entry{{Match: "live/*", Publish: one("publish"), Play: one("play")}, {Match: "**", Publish: one("other")}}, Entry{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if password, ok := New(rules, Options{}).Password("ann"); !ok || password != "publish" {
		t.Error(password, ok)
	}
	if password, ok := New(rules, Options{}).Password("bob"); ok {
		t.Error("the password of nobody:", password)
	}
}
