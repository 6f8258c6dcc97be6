package config

import (
	"fmt"
	"reflect"
)

// When says when a change of a key applies to a running server.
type When uint8

// When a change applies, as the tag "reload" has it.
const (
	// Live: at once, also to the streams and sessions that are there.
	Live When = iota
	// NewSessions: to publishers, players and requests that come afterwards.
	NewSessions
	// Listener: at once. A listener opens elsewhere or closes, or uses another certificate; the
	// connections that it has accepted stay.
	Listener
	// Restart: when the server starts again.
	Restart
)

var whens = [...]string{Live: "live", NewSessions: "new sessions", Listener: "listener", Restart: "restart"}

// String returns "live", "new sessions", "listener" or "restart".
func (w When) String() string { return whens[w] }

// MarshalText implements encoding.TextMarshaler.
func (w When) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// parse sets w from a tag; without one, which Undated tells of, it is Live.
func (w *When) parse(tag string) error {
	for i, name := range whens {
		if tag == name || tag == "" {
			*w = When(i)
			return nil
		}
	}
	return fmt.Errorf("the tag reload has %q, which is none of %q", tag, whens)
}

// Change is a key whose value differs between two configurations.
type Change struct {
	// Path is the key, such as "streams.1.play.wait". A list of groups that has become longer or
	// shorter is one key.
	Path string
	// When says when the new value applies.
	When When
}

// Diff returns what differs between two configurations, pointers to structs of one type, in the
// order of the keys.
func Diff(before, after any) ([]Change, error) {
	root, a, err := treeOf(before)
	if err != nil {
		return nil, err
	}
	b, err := valueLike(a, after)
	if err != nil {
		return nil, err
	}
	return root.diff(nil, "", a, b), nil
}

func (f *field) diff(changes []Change, path string, a, b reflect.Value) []Change {
	switch {
	case f.kind == group:
		for _, c := range f.fields {
			changes = c.diff(changes, join(path, c.name), c.of(a), c.of(b))
		}
		return changes
	case f.kind == list && f.elem.kind == group && a.Len() == b.Len():
		for i := range a.Len() {
			if f.elem.equal(a.Index(i), b.Index(i)) {
				continue // most of a thousand entries are the same: no path is made for their keys
			}
			changes = f.elem.diff(changes, join(path, fmt.Sprint(i)), a.Index(i), b.Index(i))
		}
		return changes
	case f.equal(a, b):
		return changes
	}
	return append(changes, Change{path, f.when})
}

// equal reports whether a and b, values of f, have the same keys with the same values.
func (f *field) equal(a, b reflect.Value) bool {
	switch f.kind {
	case group:
		for _, c := range f.fields {
			if !c.equal(c.of(a), c.of(b)) {
				return false
			}
		}
		return true
	case list:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !f.elem.equal(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	switch {
	case a.Kind() == reflect.String:
		return a.String() == b.String()
	case a.Kind() == reflect.Bool:
		return a.Bool() == b.Bool()
	case a.CanInt():
		return a.Int() == b.Int()
	case a.CanUint():
		return a.Uint() == b.Uint()
	case a.CanFloat():
		return a.Float() == b.Float()
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// CopyLive gives conf the values that from has in all keys but those that take a restart. Both
// point to structs of one type; lists are shared.
func CopyLive(conf, from any) error {
	root, a, err := treeOf(conf)
	if err != nil {
		return err
	}
	b, err := valueLike(a, from)
	if err != nil {
		return err
	}
	root.copyLive(a, b)
	return nil
}

// valueLike returns the struct that conf points to, which must be of the type of v.
func valueLike(v reflect.Value, conf any) (reflect.Value, error) {
	p := reflect.ValueOf(conf)
	if p.Kind() != reflect.Pointer || p.IsNil() || p.Type().Elem() != v.Type() {
		return v, fmt.Errorf("config: %T is not a pointer to a %s", conf, v.Type())
	}
	return p.Elem(), nil
}

func (f *field) copyLive(to, from reflect.Value) {
	switch {
	case f.kind == group:
		for _, c := range f.fields {
			c.copyLive(c.of(to), c.of(from))
		}
	case f.when != Restart:
		to.Set(from)
	}
}

// Keys returns the paths of all keys of conf, with [] behind those of lists, and when a change
// of each applies.
func Keys(conf any) ([]Change, error) {
	root, _, err := treeOf(conf)
	if err != nil {
		return nil, err
	}
	var keys []Change
	root.walk(func(f *field) {
		if f.kind == value || f.elem.kind != group {
			keys = append(keys, Change{f.path, f.when})
		}
	})
	return keys, nil
}

// Undated returns the paths of the keys of conf that do not say when a change applies, neither by a tag of their own
// nor by one of a group above them. Live is said by each key itself.
func Undated(conf any) ([]string, error) {
	root, _, err := treeOf(conf)
	if err != nil {
		return nil, err
	}
	var paths []string
	root.walk(func(f *field) {
		if !f.dated {
			paths = append(paths, f.path)
		}
	})
	return paths, nil
}

// walk calls see for each key below f, for a list of groups before those of its entries.
func (f *field) walk(see func(f *field)) {
	for _, c := range f.fields {
		c.walk(see)
	}
	if f.kind != group {
		see(f)
	}
	if f.kind == list && f.elem.kind == group {
		f.elem.walk(see)
	}
}
