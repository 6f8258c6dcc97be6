package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

type kind uint8

const (
	value kind = iota // one scalar
	group             // a struct
	list              // a slice
)

// field is one key of the tree of all sections, made once from the struct types.
type field struct {
	name    string // the key; empty for the entries of a list
	path    string // the whole path, list entries as "name[]"
	kind    kind
	typ     reflect.Type
	index   []int // of the struct field in the parent's struct
	help    string
	enum    []string
	min     reflect.Value // of typ; invalid: no bound
	max     reflect.Value
	secret  bool
	when    When     // a change applies
	dated   bool     // a tag says so
	form    *form    // how a value is written; nil: as YAML has it
	fields  []*field // of a group, in order of declaration
	inlined [][]int  // of a group: its embedded structs
	short   *field   // of a group: the text that may stand for the whole of it; nil: none may
	elem    *field   // of a list
}

var keyPattern = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)

// maxDepth bounds the nesting of struct types; a type that contains itself runs into it.
const maxDepth = 16

// trees has the tree of each type that was asked for. A type has always the same one, and to make it takes milliseconds.
var trees sync.Map // of *field by reflect.Type

// treeOf returns the tree of the keys of conf, a pointer to a struct, and that struct.
func treeOf(conf any) (*field, reflect.Value, error) {
	v := reflect.ValueOf(conf)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, v, fmt.Errorf("config: %T is not a pointer to a struct", conf)
	}
	v = v.Elem()
	if root, ok := trees.Load(v.Type()); ok {
		return root.(*field), v, nil
	}
	root, err := newTree(v.Type())
	if err != nil {
		return nil, v, err
	}
	trees.Store(v.Type(), root)
	return root, v, nil
}

// newTree returns the tree of the keys of a struct.
func newTree(t reflect.Type) (*field, error) {
	root, err := newField(t, "", "", "", 0)
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for _, p := range root.leaves("0") {
		name := envName(p)
		if other := seen[name]; other != "" {
			return nil, fmt.Errorf("config: %s and %s have the same environment name %s", other, p, name)
		}
		seen[name] = p
	}
	return root, nil
}

// newField returns the key of a value of type t. What is secret, and when a change applies, holds for
// everything below it: tags carries both down.
func newField(t reflect.Type, name, path string, tags reflect.StructTag, depth int) (*field, error) {
	f := &field{name: name, path: path, typ: t, help: tags.Get("help"), secret: tags.Get("secret") == "true"}
	f.dated = tags.Get("reload") != ""
	if err := f.when.parse(tags.Get("reload")); err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("config: %s: nested more than %d deep", path, maxDepth)
	}
	if name != "" && !keyPattern.MatchString(name) {
		return nil, fmt.Errorf("config: %s: %q is not a lower-case key", path, name)
	}
	var err error
	if f.form, err = formOf(t, tags); err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	switch {
	case f.form != nil && t.Kind() != reflect.Slice:
	case t.Kind() == reflect.Struct:
		f.kind = group
		return f, f.addStruct(t, nil, depth)
	case t.Kind() == reflect.Slice:
		f.kind, f.form = list, nil
		f.elem, err = newField(t.Elem(), "", path+"[]", elementTags(tags), depth+1)
		return f, err
	case !scalarKind(t.Kind()):
		return nil, fmt.Errorf("config: %s: a field cannot be a %s", path, t)
	}
	if e := tags.Get("enum"); e != "" {
		f.enum = strings.Split(e, ",")
	}
	for tag, bound := range map[string]*reflect.Value{"min": &f.min, "max": &f.max} {
		text := tags.Get(tag)
		if text == "" {
			continue
		}
		*bound = reflect.New(t).Elem()
		if err := f.setText(*bound, text); err != nil {
			return nil, fmt.Errorf("config: %s: %s: %w", path, tag, err)
		}
		if _, ok := compare(*bound, *bound); !ok {
			return nil, fmt.Errorf("config: %s: %s: a %s has no order", path, tag, t)
		}
	}
	return f, nil
}

// elementTags drops the help of a list, which is about the list, from its entries.
func elementTags(tags reflect.StructTag) reflect.StructTag {
	var b strings.Builder
	for _, k := range []string{"enum", "min", "max", "secret", "reload", "unit", "format"} {
		if v, ok := tags.Lookup(k); ok {
			fmt.Fprintf(&b, "%s:%q ", k, v)
		}
	}
	return reflect.StructTag(b.String())
}

// addStruct adds the fields of the struct type t, found at index in f's own struct.
func (f *field) addStruct(t reflect.Type, index []int, depth int) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		name, tagged := sf.Tag.Lookup("yaml")
		name, _, _ = strings.Cut(name, ",")
		switch {
		case name == "-":
			continue
		case sf.Anonymous && name == "" && sf.Type.Kind() == reflect.Struct && sf.IsExported():
			f.inlined = append(f.inlined, at)
			if err := f.addStruct(sf.Type, at, depth+1); err != nil {
				return err
			}
			continue
		case !sf.IsExported():
			continue
		case !tagged || name == "":
			return fmt.Errorf("config: %s: field %s has no yaml tag", f.path, sf.Name)
		}
		tags := sf.Tag
		if f.secret {
			tags += ` secret:"true"`
		}
		if _, own := tags.Lookup("reload"); !own && f.when != Live {
			tags += reflect.StructTag(fmt.Sprintf(` reload:%q`, f.when))
		}
		c, err := newField(sf.Type, name, join(f.path, name), tags, depth+1)
		if err != nil {
			return err
		}
		if c.kind == group && len(c.fields) == 0 {
			continue // a section without keys is none
		}
		if c.kind != group && c.help == "" {
			return fmt.Errorf("config: %s: no help tag", c.path)
		}
		c.index = at
		if err := f.add(c); err != nil {
			return err
		}
		if tags.Get("short") == "true" {
			if c.kind != value || c.typ.Kind() != reflect.String || c.form != nil || f.short != nil {
				return fmt.Errorf("config: %s: only one plain text of a group can be its short form", c.path)
			}
			f.short = c
		}
	}
	return nil
}

func (f *field) add(c *field) error {
	if f.child(c.name) != nil {
		return fmt.Errorf("config: %s: declared twice", c.path)
	}
	f.fields = append(f.fields, c)
	return nil
}

func (f *field) child(name string) *field {
	for _, c := range f.fields {
		if c.name == name {
			return c
		}
	}
	return nil
}

// at returns the key at a path below f and its value in v, nil if there is none or if the path leads into a list.
func (f *field) at(v reflect.Value, path string) (*field, reflect.Value) {
	for name := range strings.SplitSeq(path, ".") {
		if path == "" {
			break
		}
		if f = f.child(name); f == nil {
			return nil, v
		}
		v = f.of(v)
	}
	return f, v
}

// of returns the value of f inside parent, the value of its group.
func (f *field) of(parent reflect.Value) reflect.Value { return parent.FieldByIndex(f.index) }

// Defaulter is implemented by a struct of the configuration that has defaults other than zero. On an
// entry of a list it is called before the entry's keys are read.
type Defaulter interface {
	SetDefaults()
}

// SetDefaults calls every Defaulter of the struct that conf points to, inner ones last, except in
// lists: those begin empty.
func SetDefaults(conf any) {
	if d, ok := conf.(Defaulter); ok {
		d.SetDefaults()
	}
	v := reflect.ValueOf(conf).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct && v.Type().Field(i).IsExported() {
			SetDefaults(f.Addr().Interface())
		}
	}
}

// newEntry returns what an entry of the list f starts from, settable.
func (f *field) newEntry() reflect.Value {
	e := reflect.New(f.elem.typ)
	if d, ok := e.Interface().(Defaulter); ok {
		d.SetDefaults()
	}
	return e.Elem()
}

func (f *field) keys() []string {
	names := make([]string, len(f.fields))
	for i, c := range f.fields {
		names[i] = c.name
	}
	return names
}

// leaves returns the paths of everything that can be set below f, with index for
// the entries of lists.
func (f *field) leaves(index string) []string {
	var paths []string
	var walk func(f *field, path string)
	walk = func(f *field, path string) {
		switch f.kind {
		case group:
			for _, c := range f.fields {
				walk(c, join(path, c.name))
			}
		case list:
			paths = append(paths, path)
			if f.elem.kind == group {
				walk(f.elem, join(path, index))
			}
		case value:
			paths = append(paths, path)
		}
	}
	walk(f, "")
	return paths
}

// join puts a key after a path.
func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

func scalarKind(k reflect.Kind) bool {
	switch k {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	}
	return false
}
