package config

import "reflect"

// Change is a key whose value differs between two configurations.
type Change struct {
	// Path is the key. A list of groups, such as "streams", is one key.
	Path string
	// Restart says that the new value applies when the server starts again.
	Restart bool
}

// Diff returns what differs between two configurations, pointers to structs of one type, in the
// order of the keys.
func Diff(before, after any) ([]Change, error) {
	root, a, err := newTree(before)
	if err != nil {
		return nil, err
	}
	_, b, err := newTree(after)
	if err != nil {
		return nil, err
	}
	return root.diff(nil, a, b), nil
}

func (f *field) diff(changes []Change, a, b reflect.Value) []Change {
	if f.kind == group {
		for _, c := range f.fields {
			changes = c.diff(changes, c.of(a), c.of(b))
		}
		return changes
	}
	if f.kind == list && a.Len() == 0 && b.Len() == 0 || reflect.DeepEqual(a.Interface(), b.Interface()) {
		return changes
	}
	return append(changes, Change{f.path, f.restart})
}

// CopyLive gives conf the values that from has in all keys but those that take a restart. Both
// point to structs of one type; lists are shared.
func CopyLive(conf, from any) error {
	root, a, err := newTree(conf)
	if err != nil {
		return err
	}
	_, b, err := newTree(from)
	if err != nil {
		return err
	}
	root.copyLive(a, b)
	return nil
}

func (f *field) copyLive(to, from reflect.Value) {
	switch {
	case f.kind == group:
		for _, c := range f.fields {
			c.copyLive(c.of(to), c.of(from))
		}
	case !f.restart:
		to.Set(from)
	}
}

// Keys returns the paths of all keys of conf, with [] behind those of lists, and whether a change
// of each applies when the server starts again.
func Keys(conf any) ([]Change, error) {
	root, _, err := newTree(conf)
	if err != nil {
		return nil, err
	}
	var keys []Change
	var walk func(f *field)
	walk = func(f *field) {
		for _, c := range f.fields {
			walk(c)
		}
		switch {
		case f.kind == list && f.elem.kind == group:
			walk(f.elem)
		case f.kind != group:
			keys = append(keys, Change{f.path, f.restart})
		}
	}
	walk(root)
	return keys, nil
}
