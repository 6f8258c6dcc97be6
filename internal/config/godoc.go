package config

import (
	"fmt"
	"reflect"
	"strings"
)

// GoDoc returns the fields of a configuration, a pointer to a struct with the defaults, as lines of a Go
// comment: for each key the field to set, its type, its default and what it does. The fields of a list's
// entries are left to a GoDoc of their own.
func GoDoc(conf any) (string, error) {
	root, v, err := treeOf(conf)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	root.goDoc(&b, v, v.Type(), "")
	return b.String(), nil
}

// goDoc writes the fields of a group below the Go path of its struct, whose type is t.
func (f *field) goDoc(b *strings.Builder, v reflect.Value, t reflect.Type, path string) {
	headed := false
	for _, c := range f.fields {
		at := join(path, t.FieldByIndex(c.index).Name)
		if c.kind == group {
			if path == "" && c.help != "" {
				fmt.Fprintf(b, "//\n// %s, section %q: %s\n//\n", at, c.name, c.help)
				headed = true
			}
			c.goDoc(b, c.of(v), c.typ, at)
			continue
		}
		if path == "" && c == f.fields[0] || path == "" && headed {
			b.WriteString("//\n")
			headed = false
		}
		fmt.Fprintf(b, "//\t%s %s\n", at, goType(c.typ))
		text := sentence(c.help)
		switch c.form {
		case bytesForm:
			text += " In bytes."
		case bitrateForm:
			text += " In bits per second."
		}
		if c.enum != nil {
			text += " One of " + strings.Join(c.enum, ", ") + "."
		} else if bounds := c.bounds(); bounds != "" {
			text += " " + sentence(bounds)
		}
		if c.kind == value {
			text += " Default " + c.yaml(c.of(v), true) + "."
		} else if c.elem.kind == value && c.of(v).Len() > 0 {
			text += " Default " + (&printer{hide: true}).flow(c, c.of(v)) + "."
		}
		for _, line := range wrap(text, 90) {
			b.WriteString("//\t    " + line + "\n")
		}
	}
}

// goType is how a program writes a type that has a name within this module only.
func goType(t reflect.Type) string {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && strings.Contains(t.Elem().PkgPath(), "/internal/") {
		return "[]" + t.Elem().Name()
	}
	return t.String()
}
