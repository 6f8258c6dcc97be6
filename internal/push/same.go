package push

import (
	"strings"

	"weir/internal/config"
)

// Entry is the targets of one entry of streams.
type Entry struct {
	Match   string
	Targets []Config
}

// Warn tells of targets that most likely are not meant: two that send to the same URL with the same key, of which the server there takes one;
// one with which many streams would go there; and keys with spaces around them. entries must stay where they are, for the positions.
func Warn(entries []Entry) []error {
	var errs []error
	before := map[string]*Config{}
	for i := range entries {
		e := &entries[i]
		for k := range e.Targets {
			c := &e.Targets[k]
			if c.Key != strings.TrimSpace(c.Key) {
				errs = append(errs, config.Errorf(&c.Key, "the key begins or ends with a space, which is not sent"))
			}
			if !c.Enabled {
				continue
			}
			here, there := c.placeOf(e.Match, "a"), c.placeOf(e.Match, "b")
			if here == "" {
				continue
			}
			many, fixed := strings.Contains(e.Match, "*"), here == there
			if many && !fixed {
				here = e.Match + "\x00" + here // of other entries it may be the same for some streams
			}
			if other := before[here]; other != nil {
				errs = append(errs, config.Errorf(c.field(), "%v is sent to the same URL with the same key, and a server takes one stream for a key: remove one of the two", config.Place(other.field())))
				continue
			}
			before[here] = c
			if many && fixed {
				errs = append(errs, config.Errorf(c.field(), "every stream that matches %q is sent there with the same key, and a server takes one stream for a key: give the stream that is meant an entry of its own, or write {name} into the key", e.Match))
			}
		}
	}
	return errs
}

// field is what says where a target sends.
func (c *Config) field() *string {
	if c.Key != "" {
		return &c.Key
	}
	return &c.URL
}

// placeOf is where a target sends a stream that matches a pattern, in which the word stands for what is open; empty if that is wrong.
func (c *Config) placeOf(match, word string) string {
	return c.destination(vars{strings.NewReplacer("**", word+"/"+word, "*", word).Replace(match), word})
}

// destination is where a target sends a stream, as a text that is the same for the same URL and key; empty if that is wrong.
func (c *Config) destination(v vars) string {
	a, err := c.address(v)
	if err != nil {
		return ""
	}
	return a.URL + "\x00" + a.Name
}
