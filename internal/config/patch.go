package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"weir/internal/strictjson"
)

// Amend returns the text of a layer that does what the layer in old did and then what patch does, a JSON merge
// patch (RFC 7396) of a configuration like conf, a pointer to a struct. A null in patch stays in the layer: it takes
// back what a file below says. Both are at most MaxFileSize; old is empty if there is no layer yet.
//
// Whether the keys exist and the values are allowed is for Load to say.
func Amend(conf any, old, patch []byte) ([]byte, error) {
	root, _, err := treeOf(conf)
	if err != nil {
		return nil, err
	}
	if len(patch) > MaxFileSize {
		return nil, fmt.Errorf("the patch has %d bytes, allowed: at most %d", len(patch), MaxFileSize)
	}
	change, err := parsePatch(patch)
	if err != nil {
		return nil, err
	}
	was, err := readPlain(old)
	if err != nil {
		return nil, err
	}
	amend(root, was, change)
	var b bytes.Buffer
	writeBlock(&b, was, "")
	if again, err := readPlain(b.Bytes()); err != nil || !reflect.DeepEqual(again, was) {
		return nil, errors.New("the patch has text that cannot be kept")
	}
	return b.Bytes(), nil
}

// Overridden returns the first key that patch, a JSON merge patch, changes in vain, because the environment or a --set has
// precedence, and where that is; false if there is none.
func (l *Loaded) Overridden(patch []byte) (path string, by Origin, found bool) {
	change, err := parsePatch(patch)
	if err != nil {
		return "", Origin{}, false
	}
	var walk func(m map[string]any, at string)
	walk = func(m map[string]any, at string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			p := join(at, k)
			f, _ := l.root.at(l.conf, p)
			if f.isShown(m[k]) {
				continue
			}
			if below, ok := m[k].(map[string]any); ok && (f == nil || f.kind != value) { // {file: NAME} is a secret's value
				walk(below, p)
				continue
			}
			for key, o := range l.origins {
				if !found && (o.Kind == FromEnv || o.Kind == FromSet) && (key == p || strings.HasPrefix(key, p+".")) {
					path, by, found = key, o, true
				}
			}
		}
	}
	walk(change, "")
	return path, by, found
}

// readPlain returns the groups of keys of a YAML document, none if it is empty.
func readPlain(data []byte) (map[string]any, error) {
	n, err := parse(data)
	if err != nil || n == nil {
		return map[string]any{}, err
	}
	r := &plainReader{}
	v, err := r.read(n, 0)
	if err != nil {
		return nil, err
	}
	if m, ok := v.(map[string]any); ok {
		return m, nil
	}
	return map[string]any{}, nil
}

// parsePatch reads a JSON object.
func parsePatch(patch []byte) (map[string]any, error) {
	if err := strictjson.Check(patch, maxNesting); err != nil {
		return nil, fmt.Errorf("reading the patch: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(patch))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("the patch is no JSON")
	}
	change, ok := plainNumbers(v).(map[string]any)
	if !ok {
		return nil, errors.New(`the patch is no JSON object, such as {"log": {"level": "debug"}}`)
	}
	return change, nil
}

// plainNumbers writes numbers without exponents: YAML readers differ about those.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), "eE") && math.Abs(f) < 1e18 {
			return json.Number(strconv.FormatFloat(f, 'f', -1, 64))
		}
	}
	return v
}

// amend changes a merge patch for the group f so that it does what change does, too.
func amend(f *field, patch, change map[string]any) {
	for k, v := range change {
		c := f.child(k)
		if c.isShown(v) {
			continue
		}
		if c == nil || c.kind != group {
			patch[k] = v
			continue
		}
		below, ok := expand(c, v).(map[string]any)
		if !ok {
			patch[k] = v // Load refuses it
			continue
		}
		own, ok := expand(c, patch[k]).(map[string]any)
		if _, there := patch[k]; !ok || !there {
			own = map[string]any{}
		}
		patch[k] = own
		amend(c, own, below)
	}
}

// isShown reports whether v is what is shown of the secret f, which therefore stays as it is.
func (f *field) isShown(v any) bool { return f != nil && f.kind == value && f.secret && v == hidden }

// expand returns v, the value of a group, with null, which takes the group back, as the same of each of its keys:
// so another patch can change some of them.
func expand(f *field, v any) any {
	if v != nil {
		return v
	}
	m := map[string]any{}
	for _, c := range f.fields {
		if m[c.name] = nil; c.kind == group {
			m[c.name] = expand(c, nil)
		}
	}
	return m
}

// plainReader makes plain values of a YAML document.
type plainReader struct{ nodes int }

func (r *plainReader) read(n *yaml.Node, depth int) (any, error) {
	if r.nodes++; r.nodes > maxNodes || depth > 2*maxNesting {
		return nil, errors.New("too many values, or nested too deep")
	}
	if n.Kind == yaml.AliasNode {
		return r.read(n.Alias, depth+1)
	}
	switch kindOf(n) {
	case nothing:
		return nil, nil
	case boolean:
		return strings.EqualFold(n.Value, "true"), nil
	case integer, number:
		return json.Number(n.Value), nil
	case sequence:
		list := make([]any, len(n.Content))
		for i, e := range n.Content {
			v, err := r.read(e, depth+1)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case mapping:
		m := map[string]any{}
		for key, value := range pairs(n) {
			name, ok := keyText(key)
			if !ok {
				return nil, errors.New("a key that is no text")
			}
			v, err := r.read(value, depth+1)
			if err != nil {
				return nil, err
			}
			m[name] = v
		}
		return m, nil
	}
	return n.Value, nil
}

// writeBlock writes a group, key by key in the order of their names.
func writeBlock(b *bytes.Buffer, m map[string]any, indent string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(indent + plainKey(k) + ":")
		writeBelow(b, m[k], indent)
	}
}

// writeBelow writes the value behind a key or dash at an indent.
func writeBelow(b *bytes.Buffer, v any, indent string) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteString("\n")
		writeBlock(b, v, indent+"  ")
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
		b.WriteString("\n")
		for _, e := range v {
			b.WriteString(indent + "  -")
			if m, ok := e.(map[string]any); ok && len(m) > 0 {
				var entry bytes.Buffer
				writeBlock(&entry, m, indent+"    ")
				b.WriteString(" " + strings.TrimPrefix(entry.String(), indent+"    "))
				continue
			}
			writeBelow(b, e, indent+"  ")
		}
	case nil:
		b.WriteString(" null\n")
	case string:
		b.WriteString(" " + quote(v) + "\n")
	case bool:
		b.WriteString(" " + strconv.FormatBool(v) + "\n")
	case json.Number:
		b.WriteString(" " + v.String() + "\n")
	}
}

// plainKey writes a key. One that no configuration has is quoted, for Load to refuse.
func plainKey(k string) string {
	if keyPattern.MatchString(k) {
		return k
	}
	return quote(k)
}
