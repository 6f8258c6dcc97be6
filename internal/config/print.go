package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
)

// WriteDefaults writes a file that holds every key with its default, each under a
// comment that explains it. Loading the file gives the defaults.
func WriteDefaults(w io.Writer, conf any) error {
	root, v, err := treeOf(conf)
	if err != nil {
		return err
	}
	p := &printer{comments: true}
	p.text("# Every key with its default. A key that is left out keeps its default.\n")
	p.sections(root, v)
	_, err = w.Write(p.Bytes())
	return err
}

// WriteEffective writes every key with its value in force and, behind it, where that
// came from. Secrets are printed as ***.
func (l *Loaded) WriteEffective(w io.Writer) error {
	p := &printer{hide: true, origin: l.Origin}
	p.sections(l.root, l.conf)
	_, err := w.Write(p.Bytes())
	return err
}

// Value is the value in force of one key.
type Value struct {
	Key    string          // entries of lists of groups are counted from 0: streams.0.match
	Value  json.RawMessage // in its units; *** for a secret
	Origin Origin
}

// Values returns every key with its value in force, in the order of the keys.
func (l *Loaded) Values() ([]Value, error) {
	var values []Value
	var failed error
	var walk func(f *field, v reflect.Value, path string)
	walk = func(f *field, v reflect.Value, path string) {
		switch {
		case f.kind == group:
			for _, c := range f.fields {
				walk(c, c.of(v), join(path, c.name))
			}
			return
		case f.kind == list && f.elem.kind == group && v.Len() > 0:
			for i := range v.Len() {
				walk(f.elem, v.Index(i), join(path, fmt.Sprint(i)))
			}
			return
		}
		var b bytes.Buffer
		if err := writeJSON(&b, f, v, true); err != nil && failed == nil {
			failed = err
		}
		values = append(values, Value{path, b.Bytes(), l.origins[path]})
	}
	walk(l.root, l.conf, "")
	return values, failed
}

// MarshalJSON returns the effective configuration, in its units and with secrets as ***.
func (l *Loaded) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := writeJSON(&b, l.root, l.conf, true)
	return b.Bytes(), err
}

// printer writes YAML.
type printer struct {
	bytes.Buffer
	comments bool                     // the help above each key
	hide     bool                     // secrets as ***
	origin   func(path string) Origin // behind each value; may be nil
}

func (p *printer) text(s string) { p.WriteString(s) }

func (p *printer) sections(root *field, v reflect.Value) {
	for i, f := range root.fields {
		if p.comments || i > 0 {
			p.text("\n")
		}
		p.key(f, f.of(v), f.name, "", "")
	}
}

// key writes "name: value" at an indent; lead, of the same width, replaces the
// indent of the first line ("- " of a list entry).
func (p *printer) key(f *field, v reflect.Value, path, indent, lead string) {
	if lead == "" {
		lead = indent
	}
	if p.comments && f.help != "" {
		lead = p.comment(f, indent, lead)
	}
	p.text(lead + f.name + ":")
	switch {
	case f.kind == group:
		p.note(path, false)
		p.group(f, v, path, indent+"  ", "")
	case f.kind == list && f.elem.kind != value && v.Len() > 0:
		p.note(path, true)
		for i := range v.Len() {
			at := join(path, fmt.Sprint(i))
			if f.elem.kind == list {
				p.text(indent + "  - " + p.flow(f.elem, v.Index(i)) + "\n")
				continue
			}
			p.group(f.elem, v.Index(i), at, indent+"    ", indent+"  - ")
		}
	default:
		p.text(" " + p.flow(f, v))
		p.note(path, true)
	}
}

func (p *printer) group(f *field, v reflect.Value, path, indent, lead string) {
	for _, c := range f.fields {
		p.key(c, c.of(v), join(path, c.name), indent, lead)
		lead = ""
	}
}

// comment writes the help of f and returns what leads the line after it.
func (p *printer) comment(f *field, indent, lead string) string {
	text := f.help
	if f.enum != nil {
		text += " (" + strings.Join(f.enum, ", ") + ")"
	} else if b := f.bounds(); b != "" {
		text += " (" + b + ")"
	}
	for _, line := range wrap(text, 92-len(indent)) {
		p.text(lead + "# " + line + "\n")
		lead = indent
	}
	return lead
}

func (p *printer) note(path string, valued bool) {
	if p.origin != nil && valued {
		p.text("  # " + comment(p.origin(path).String()))
	}
	p.text("\n")
}

// comment keeps a file name from ending its comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 {
			return '?'
		}
		return r
	}, s)
}

// flow writes v on one line.
func (p *printer) flow(f *field, v reflect.Value) string {
	switch f.kind {
	case list:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = p.flow(f.elem, v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case group:
		parts := make([]string, len(f.fields))
		for i, c := range f.fields {
			parts[i] = c.name + ": " + p.flow(c, c.of(v))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return f.yaml(v, p.hide)
}

var plainPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.µ-]*$`)

// yaml writes a scalar. Text is always in quotes, except where only a few words are allowed.
func (f *field) yaml(v reflect.Value, hide bool) string {
	text := f.format(v)
	if hide && f.secret && !v.IsZero() {
		return `"` + hidden + `"`
	}
	switch {
	case f.enum != nil || f.form != nil && v.Kind() != reflect.String:
		n, err := parse([]byte(text))
		if plainPattern.MatchString(text) && err == nil && n != nil {
			if again := reflect.New(f.typ).Elem(); f.setNode(again, n) == nil {
				return text
			}
		}
		return quote(text)
	case v.Kind() == reflect.String:
		return quote(text)
	}
	return text
}

// quote writes s as a JSON string, which YAML reads as the same.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// wrap breaks text into lines of at most width characters where it has spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func writeJSON(b *bytes.Buffer, f *field, v reflect.Value, hide bool) error {
	switch f.kind {
	case group:
		b.WriteByte('{')
		for i, c := range f.fields {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quote(c.name) + ":")
			if err := writeJSON(b, c, c.of(v), hide); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case list:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, f.elem, v.Index(i), hide); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	}
	if hide && f.secret && !v.IsZero() {
		b.WriteString(`"` + hidden + `"`)
		return nil
	}
	if f.form != nil {
		b.WriteString(quote(f.format(v)))
		return nil
	}
	text, err := json.Marshal(v.Interface())
	b.Write(text)
	return err
}
