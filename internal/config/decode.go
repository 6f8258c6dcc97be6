package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// loader lays one source after the other over the values of root.
type loader struct {
	root     *field
	conf     reflect.Value // the value of root
	defaults reflect.Value // what conf was before
	file     string
	needs    func(path string) bool
	partial  bool // a secret was left out
	unread   bool // the file could not be parsed: what is missing may be in it
	problems problems
	origins  map[string]Origin

	// Of the source being read:
	source  Origin   // the place is that of the node at hand in a file
	environ []string // NAME=value, for secrets kept in the environment
	layer   bool     // it is laid over another: null takes a value back
	nodes   int
}

// read reads all of src, in the order of precedence.
func (l *loader) read(src Source) {
	l.readFile(src.File, src.Data)
	l.layer = true
	for _, over := range src.Layers {
		l.readFile(over.Name, over.Data)
	}
	l.layer = false
	l.readEnviron(src.Environ)
	l.readSets(src.Sets)
}

func (l *loader) readFile(name string, data []byte) {
	l.source = Origin{Kind: FromFile, Name: name}
	n, err := parse(data)
	if err != nil {
		l.unread = true
		l.syntax("", err, false)
		return
	}
	if n == nil {
		return
	}
	l.nodes = 0
	l.decode(l.root, l.conf, n, "")
}

// syntax reports an error of parse found in the value for path.
func (l *loader) syntax(path string, err error, secret bool) {
	at := l.source
	var se *syntaxError
	if errors.As(err, &se) && at.Kind == FromFile {
		at.Line, at.Column = se.line, se.column
	}
	text := err.Error()
	if secret {
		text = "not YAML"
	}
	l.problems.add(&Problem{Origin: at, Path: path, Found: text})
}

// at is the origin of n.
func (l *loader) at(n *yaml.Node) Origin {
	o := l.source
	if o.Kind != FromFile {
		return o
	}
	o.Line, o.Column = n.Line, n.Column
	return o
}

func (l *loader) problem(n *yaml.Node, path, found, allowed string) {
	l.problems.add(&Problem{Origin: l.at(n), Path: path, Found: found, Allowed: allowed})
}

// resolve follows aliases to the node that holds the value.
func (l *loader) resolve(n *yaml.Node, path string) (*yaml.Node, bool) {
	if l.nodes++; l.nodes > maxNodes {
		l.problem(n, path, fmt.Sprintf("found more than %d values", maxNodes), "")
		return nil, false
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		l.problem(n, path, "found a tag", "values without tags")
		return nil, false
	}
	return n, true
}

// decode sets v, the value of f at path, from n.
func (l *loader) decode(f *field, v reflect.Value, n *yaml.Node, path string) {
	if l.problems.full() || strings.Count(path, ".") > 2*maxNesting {
		return
	}
	n, ok := l.resolve(n, path)
	if !ok {
		return
	}
	if kindOf(n) == nothing && l.layer && l.restore(v, path) {
		return
	}
	switch f.kind {
	case group:
		l.decodeGroup(f, v, n, path)
	case list:
		l.decodeList(f, v, n, path)
	case value:
		l.decodeValue(f, v, n, path)
	}
}

func (l *loader) decodeGroup(f *field, v reflect.Value, n *yaml.Node, path string) {
	if f.short != nil && f.isShort(n) {
		l.origins[path] = l.at(n)
		l.decode(f.short, f.short.of(v), n, join(path, f.short.name))
		return
	}
	if k := kindOf(n); k != mapping && k != nothing {
		l.problem(n, path, found(n, path != "" && f.holdsSecret()), "a group of keys: "+strings.Join(f.keys(), ", "))
		return
	}
	if path != "" {
		l.origins[path] = l.at(n)
	}
	first := map[string]Origin{}
	for key, value := range pairs(n) {
		if isMerge(key) {
			l.merge(f, v, key, value, n, path)
			continue
		}
		name, ok := keyText(key)
		if !ok {
			l.problem(key, path, "found a key that is not text", strings.Join(f.keys(), ", "))
			continue
		}
		if before, twice := first[name]; twice {
			l.problem(key, join(path, clip(name)), "given twice, first in line "+fmt.Sprint(before.Line), "")
			continue
		}
		first[name] = l.at(key)
		c := f.child(name)
		if c == nil {
			l.unknown(f, l.at(key), path, name)
			continue
		}
		l.decode(c, c.of(v), value, join(path, name))
	}
}

// isShort reports whether n is the short form of the group f: its one text, or where that is kept.
func (f *field) isShort(n *yaml.Node) bool {
	if isScalar(n) {
		return true
	}
	r, ok := secretReference(n)
	return ok && f.short.takesReference() && f.child(r.kind) == nil
}

// restore gives v, the value at path, its default. It reports false for what is within an entry of a list: the
// list has replaced another, and there is nothing to take back.
func (l *loader) restore(v reflect.Value, path string) bool {
	f, standard := l.root.at(l.defaults, path)
	if f == nil || path == "" {
		return false
	}
	v.Set(standard)
	l.forget(path)
	delete(l.origins, path)
	return true
}

// merge takes the keys of a value behind "<<" that are not among those written out in the group.
func (l *loader) merge(f *field, v reflect.Value, key, value, written *yaml.Node, path string) {
	base, ok := l.resolve(value, path)
	if !ok {
		return
	}
	if kindOf(base) != mapping {
		l.problem(key, path, found(base, path != "" && f.holdsSecret())+" after <<", "an alias of one group of keys")
		return
	}
	own := map[string]bool{}
	for k := range pairs(written) {
		if name, ok := keyText(k); ok {
			own[name] = true
		}
	}
	for k, below := range pairs(base) {
		name, ok := keyText(k)
		switch c := f.child(name); {
		case !ok:
			l.problem(k, path, "found a key that is not text", strings.Join(f.keys(), ", "))
		case own[name]:
		case c == nil:
			l.unknown(f, l.at(k), path, name)
		default:
			l.decode(c, c.of(v), below, join(path, name))
		}
	}
}

func (l *loader) unknown(f *field, at Origin, path, name string) {
	// What stands behind a colon without a space is a value, which may be a secret.
	name, _, joined := strings.Cut(name, ":")
	p := &Problem{Origin: at, Path: join(path, clip(name)), Found: "unknown key", Nearest: likely(name, f.keys())}
	switch keys := strings.Join(f.keys(), ", "); {
	case joined:
		p.Found, p.Nearest, p.Allowed = "found a colon without a space behind it", "", "a space behind the colon"
	case p.Nearest != "":
		p.Allowed = keys
	case path == "":
		p.Found += "; the configuration has " + keys
	default:
		p.Found += "; " + path + " has " + keys
	}
	l.problems.add(p)
}

func (l *loader) decodeList(f *field, v reflect.Value, n *yaml.Node, path string) {
	if kindOf(n) == nothing {
		return // a key whose entries are all commented out
	}
	if kindOf(n) != sequence {
		l.problem(n, path, found(n, f.holdsSecret()), f.listAllowed())
		return
	}
	if _, before := l.origins[path]; before {
		l.forget(path)
	}
	l.origins[path] = l.at(n)
	out := reflect.MakeSlice(f.typ, 0, min(len(n.Content), 1024))
	for i, n := range n.Content {
		e := f.newEntry()
		l.decode(f.elem, e, n, join(path, fmt.Sprint(i)))
		out = reflect.Append(out, e)
		if l.problems.full() {
			return
		}
	}
	v.Set(out)
}

func (f *field) listAllowed() string {
	switch {
	case f.elem.kind != group:
		return "a list such as [a, b]"
	case f.elem.short != nil:
		return "a list such as [a, b], or of groups of keys: " + strings.Join(f.elem.keys(), ", ")
	}
	return "a list of groups of keys: " + strings.Join(f.elem.keys(), ", ")
}

// forget drops the origins below path: the list there is replaced.
func (l *loader) forget(path string) {
	for p := range l.origins {
		if strings.HasPrefix(p, path+".") {
			delete(l.origins, p)
		}
	}
}

func (l *loader) decodeValue(f *field, v reflect.Value, n *yaml.Node, path string) {
	if r, ok := secretReference(n); ok && f.takesReference() {
		l.decodeReference(f, v, r, path)
		return
	}
	next := reflect.New(f.typ).Elem()
	if err := f.setNode(next, n); err != nil {
		l.problem(n, path, found(n, f.secret), f.refuse(err))
		return
	}
	if f.secret && next.Kind() == reflect.String {
		what := ""
		switch s := next.String(); {
		case s == hidden:
			what = "found " + hidden
		case strings.Contains(s, hidden) && strings.Contains(s, "://"):
			what = "found a URL with " + hidden
		}
		if what != "" {
			l.problem(n, path, what+", which is how secrets are shown", "the secret itself, or nothing here")
			return
		}
	}
	l.store(f, v, next, path, l.at(n), func() string { return found(n, f.secret) })
}

// hidden is what is shown of a secret.
const hidden = "***"

// store sets v to next if it is within the bounds of f; found tells what was found.
func (l *loader) store(f *field, v, next reflect.Value, path string, at Origin, found func() string) {
	if !f.within(next) {
		l.problems.add(&Problem{Origin: at, Path: path, Found: found(), Allowed: f.allowed()})
		return
	}
	v.Set(next)
	l.origins[path] = at
}

// clip makes an unknown key fit for a message.
func clip(name string) string {
	q := show(name, false)
	if keyPattern.MatchString(name) && len(name) <= 64 {
		return name
	}
	return q
}
