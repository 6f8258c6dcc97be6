package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const envPrefix = "WEIR_"

// envName is the environment variable of a path.
func envName(path string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// readEnviron applies the variables that begin with WEIR_, in the order of their
// names, so that a list comes before its entries.
func (l *loader) readEnviron(environ []string) {
	values := map[string]string{}
	var names []string
	for _, e := range environ {
		name, text, ok := strings.Cut(e, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) {
			continue
		}
		if _, twice := values[name]; !twice {
			names = append(names, name)
		}
		values[name] = text
	}
	slices.Sort(names)
	for _, name := range names {
		l.source = Origin{Kind: FromEnv, Name: name}
		path, ok := matchEnv(l.root, name[len(envPrefix):])
		if !ok {
			known := l.root.leaves("0")
			for i, p := range known {
				known[i] = envName(p)
			}
			p := &Problem{Origin: l.source, Found: "unknown variable"}
			if near, d := nearest(name, known); d <= max(1, len(name)/8) { // most of a name is its section's
				p.Nearest = near
			} else {
				p.Allowed = "the keys of the configuration, such as " + known[0]
			}
			l.problems.add(p)
			continue
		}
		l.set(path, values[name])
	}
}

// matchEnv finds the path that rest, a variable without its prefix, stands for. Keys
// contain _ themselves: the longest key that leads to a match wins.
func matchEnv(f *field, rest string) ([]string, bool) {
	switch f.kind {
	case value:
		return nil, false
	case list:
		digits, below, more := strings.Cut(rest, "_")
		if !isIndex(digits) {
			return nil, false
		}
		if !more {
			return []string{digits}, true
		}
		path, ok := matchEnv(f.elem, below)
		return append([]string{digits}, path...), ok
	}
	fields := slices.Clone(f.fields)
	slices.SortStableFunc(fields, func(a, b *field) int { return len(b.name) - len(a.name) })
	for _, c := range fields {
		after, ok := strings.CutPrefix(rest, strings.TrimPrefix(envName(c.name), envPrefix))
		if !ok {
			continue
		}
		if after == "" {
			return []string{c.name}, true
		}
		if below, ok := strings.CutPrefix(after, "_"); ok {
			if path, ok := matchEnv(c, below); ok {
				return append([]string{c.name}, path...), true
			}
		}
	}
	return nil, false
}

// readSets applies path=value options in their order.
func (l *loader) readSets(sets []string) {
	for _, s := range sets {
		path, text, ok := strings.Cut(s, "=")
		l.source = Origin{Kind: FromSet, Name: clipPath(path)}
		if !ok {
			l.problems.add(&Problem{Origin: l.source, Found: "found no =", Allowed: "key=value, such as rtmp.listen=:1935"})
			continue
		}
		l.set(strings.Split(path, "."), text)
	}
}

// set gives the value at path the value that text stands for.
func (l *loader) set(path []string, text string) {
	l.setBelow(l.root, l.conf, path, "", text)
}

func (l *loader) setBelow(f *field, v reflect.Value, rest []string, path, text string) {
	if len(rest) == 0 {
		l.setTo(f, v, path, text)
		return
	}
	switch f.kind {
	case group:
		c := f.child(rest[0])
		if c == nil {
			l.unknown(f, l.source, path, rest[0])
			return
		}
		l.setBelow(c, c.of(v), rest[1:], join(path, rest[0]), text)
	case list:
		i, err := strconv.Atoi(rest[0])
		if !isIndex(rest[0]) || err != nil || i > v.Len() {
			l.problems.add(&Problem{
				Origin: l.source, Path: path, Found: "found the index " + show(rest[0], false),
				Allowed: fmt.Sprintf("0 to %d", v.Len()),
			})
			return
		}
		// A new slice: the old one may be shared with the defaults.
		entries := reflect.MakeSlice(f.typ, 0, v.Len()+1)
		entries = reflect.AppendSlice(entries, v)
		if i == v.Len() {
			entries = reflect.Append(entries, f.newEntry())
		}
		v.Set(entries)
		at := join(path, rest[0])
		if _, ok := l.origins[at]; !ok {
			l.origins[at] = l.source
		}
		if _, known := l.origins[path]; !known || f.elem.kind == value {
			l.origins[path] = l.source
		}
		l.setBelow(f.elem, v.Index(i), rest[1:], at, text)
	case value:
		l.problems.add(&Problem{Origin: l.source, Path: join(path, clip(rest[0])), Found: "there are no keys below " + path})
	}
}

func (l *loader) setTo(f *field, v reflect.Value, path, text string) {
	if f.kind == value {
		next := reflect.New(f.typ).Elem()
		if err := f.setText(next, text); err != nil {
			l.problems.add(&Problem{Origin: l.source, Path: path, Found: "found " + show(text, f.secret), Allowed: f.refuse(err)})
			return
		}
		l.store(f, v, next, path, l.source, func() string { return "found " + show(text, f.secret) })
		return
	}
	if f.short != nil && !strings.HasPrefix(text, "{") {
		l.setTo(f.short, f.short.of(v), join(path, f.short.name), text)
		return
	}
	n, err := parse([]byte(text))
	if err != nil {
		l.syntax(path, err, f.holdsSecret())
		return
	}
	if n == nil {
		p := &Problem{Origin: l.source, Path: path, Found: "found nothing"}
		if f.kind == list {
			p.Allowed = f.listAllowed()
		} else {
			p.Allowed = "a group of keys such as {" + f.fields[0].name + ": …}"
		}
		l.problems.add(p)
		return
	}
	l.nodes = 0
	l.decode(f, v, n, path)
}

// holdsSecret reports whether f or anything below it is secret.
func (f *field) holdsSecret() bool {
	if f.secret || f.elem != nil && f.elem.holdsSecret() {
		return true
	}
	return slices.ContainsFunc(f.fields, (*field).holdsSecret)
}

func isIndex(s string) bool {
	if s == "" || len(s) > 4 || len(s) > 1 && s[0] == '0' {
		return false
	}
	return strings.Trim(s, "0123456789") == ""
}

// clipPath makes the path of a --set fit for a message.
func clipPath(path string) string {
	keys := strings.Split(path, ".")
	for i, k := range keys {
		if !isIndex(k) {
			keys[i] = clip(k)
		}
	}
	if s := strings.Join(keys, "."); len(s) <= 256 {
		return s
	}
	return show(path, false)
}
