// Package strictjson refuses JSON that readers take differently: keys given twice, of which some take the first and
// some the last, and nesting so deep that some fail.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// level is an object or a list that is open.
type level struct {
	keys  map[string]struct{} // nil in a list
	value bool                // of an object: a key was read, and its value comes next
}

// Check says what is wrong with text, which should be one JSON value nested at most so deep. It takes memory for what is
// open alone, and never recurses.
func Check(text []byte, deepest int) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var open []level
	for begun := false; ; begun = true {
		t, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && begun && len(open) == 0:
			return nil
		case err != nil:
			return errors.New("it is no JSON")
		case begun && len(open) == 0:
			return errors.New("something stands behind the JSON value")
		}
		if t == json.Delim('}') || t == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if n := len(open); n > 0 && open[n-1].keys != nil {
			o := &open[n-1]
			if o.value = !o.value; o.value {
				key, _ := t.(string)
				if _, twice := o.keys[key]; twice {
					return fmt.Errorf("the key %s is given twice", shown(key))
				}
				o.keys[key] = struct{}{}
				continue
			}
		}
		switch t {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]struct{}{}})
		case json.Delim('['):
			open = append(open, level{})
		}
		if len(open) > deepest {
			return fmt.Errorf("it is nested more than %d deep", deepest)
		}
	}
}

// maxShown bounds what a message repeats of a key, in bytes.
const maxShown = 64

func shown(key string) string {
	if len(key) > maxShown {
		return strconv.QuoteToASCII(key[:maxShown]) + "…"
	}
	return strconv.QuoteToASCII(key)
}
