package config

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// WriteReference writes the reference of all keys as Markdown: a table per section
// with each key, what it takes, its default, when a change of it applies, and what it does.
func WriteReference(w io.Writer, conf any) error {
	root, v, err := treeOf(conf)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, f := range root.fields {
		fmt.Fprintf(&b, "## %s\n\n", f.name)
		if f.help != "" && f.kind == group {
			fmt.Fprintf(&b, "%s\n\n", sentence(f.help))
		}
		b.WriteString("| key | takes | default | change | what it does |\n|---|---|---|---|---|\n")
		f.rows(&b, f.of(v))
		b.WriteString("\n")
	}
	_, err = w.Write(bytes.TrimRight(b.Bytes(), "\n"))
	if err == nil {
		_, err = io.WriteString(w, "\n")
	}
	return err
}

// rows writes a row for everything that can be set in f. The entries of a list show
// the defaults of an entry.
func (f *field) rows(b *bytes.Buffer, v reflect.Value) {
	switch f.kind {
	case group:
		for _, c := range f.fields {
			c.rows(b, c.of(v))
		}
		return
	case list:
		takes := "list of groups"
		if f.elem.kind != group {
			takes = "list of: " + f.elem.takes()
		} else if f.elem.short != nil {
			takes = "list of: " + f.elem.short.takes() + ", or groups"
		}
		standard := "none"
		if v.Len() > 0 && f.elem.kind != group {
			standard = code((&printer{hide: true}).flow(f, v))
		} else if v.Len() > 0 {
			standard = fmt.Sprintf("%d entry", v.Len())
		}
		f.row(b, takes, standard)
		if f.elem.kind == group {
			f.elem.rows(b, f.newEntry())
		}
		return
	}
	f.row(b, f.takes(), code(f.yaml(v, true)))
}

func (f *field) takes() string {
	if f.kind == list {
		return "list of: " + f.elem.takes()
	}
	if f.enum != nil {
		words := make([]string, len(f.enum))
		for i, e := range f.enum {
			words[i] = code(e)
		}
		return strings.Join(words, ", ")
	}
	text := f.describe().name
	if b := f.bounds(); b != "" {
		text += ", " + b
	}
	if f.secret {
		text += " (secret)"
	}
	return text
}

func (f *field) row(b *bytes.Buffer, takes, standard string) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", f.path, cell(takes), cell(standard), f.when, cell(sentence(f.help)))
}

func code(s string) string { return "`" + s + "`" }

// cell keeps text from ending its table cell.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

// sentence makes a help text a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
