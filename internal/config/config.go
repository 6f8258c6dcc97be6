// Package config reads Weir's configuration: one YAML file, the environment and
// --set options, laid over the defaults that each section brings along. It is
// generic: a section is a name and a pointer to a tagged struct that lives beside
// the code that uses it, and this package knows none of them.
//
// The same struct tags make the decoder, the JSON Schema, the commented default
// file and the reference page, so these never disagree:
//
//	yaml:"read_timeout"   the key (lower case words joined by _); "-" leaves a field out;
//	                      an embedded struct without a tag lends its keys to its parent
//	help:"closes a …"     what it does, unit, bound, what 0 means; every key must have one
//	enum:"skip,close"     the words allowed
//	min:"1s" max:"1m"     the bounds of a number, Duration, Bytes or Bitrate
//	secret:"true"         printed as ***, on a group for everything below it
//
// A field is a bool, an integer, a float, a string, a type with UnmarshalText (such
// as Duration, Bytes, Bitrate, CIDR), a struct, or a slice of these. A list given
// anywhere replaces the default list as a whole.
//
// Order of precedence, the last wins: defaults, file, environment, --set.
// A key a.b_c is the environment variable WEIR_A_B_C; list entries are counted from 0
// (streams.0.publish.keys, WEIR_STREAMS_0_PUBLISH_KEYS), and the index after the last
// one appends. A text value is taken as it stands, everything else is YAML: [a, b].
//
// Not supported: maps with free keys, YAML tags, several documents in one file,
// including other files.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
)

// Section is one top-level key of the configuration.
type Section struct {
	// Name is the key, for example "rtmp".
	Name string
	// Help is what the section is for; it heads the section in the default file, the
	// schema and the reference.
	Help string
	// Value points to the defaults. Load writes the effective values there, so every
	// Load needs values of its own. Usually a struct; any type a field may have will do.
	Value any
	// Entry, for a Value that points to a slice of structs, points to the defaults of one
	// entry; each entry of the file starts as a copy of it. Nil: the zero value.
	Entry any
	// Tags are the struct tags of a Value that is no struct: `enum:"signal,watch"`.
	Tags reflect.StructTag
}

// Source is what Load reads besides the defaults.
type Source struct {
	File    string   // name of the file for messages; empty if there is none
	Data    []byte   // its content, at most MaxFileSize
	Environ []string // NAME=value, as from os.Environ; only names that begin with WEIR_ count
	Sets    []string // path=value, as given to --set
}

// MaxFileSize is the largest configuration file that Load accepts, in bytes.
const MaxFileSize = 1 << 20

// Loaded is an effective configuration and where each of its values came from.
// It does not change after Load.
type Loaded struct {
	file     string
	sections []Section
	root     *field
	origins  map[string]Origin
}

// Load lays src over the defaults in sections, which then hold the effective
// values. It reports every mistake it finds, as Errors (at most MaxProblems); the
// defaults are then as they were. Any other error is a mistake in the sections
// themselves: an unsupported type, a missing or doubled tag.
func Load(sections []Section, src Source) (*Loaded, error) {
	root, err := newTree(sections)
	if err != nil {
		return nil, err
	}
	before := make([]reflect.Value, len(root.fields))
	for i, f := range root.fields {
		before[i] = reflect.New(f.typ).Elem()
		before[i].Set(f.root)
	}
	l := &loader{root: root, file: src.File, origins: map[string]Origin{}}
	l.readFile(src.Data)
	l.readEnviron(src.Environ)
	l.readSets(src.Sets)
	l.validate()
	if err := l.problems.err(); err != nil {
		for i, f := range root.fields {
			f.root.Set(before[i])
		}
		return nil, err
	}
	return &Loaded{file: src.File, sections: slices.Clone(sections), root: root, origins: l.origins}, nil
}

// Section returns the Value of the section called name, or nil.
func (l *Loaded) Section(name string) any {
	for _, s := range l.sections {
		if s.Name == name {
			return s.Value
		}
	}
	return nil
}

// Origin says where the value at path (such as "rtmp.listen" or
// "streams.0.publish.keys") came from. A value that nothing set, and a path that does
// not exist, came from the defaults.
func (l *Loaded) Origin(path string) Origin { return l.origins[path] }

// Problem makes err, found at path by a check across sections, look like the errors
// of Load: with the position of path or of the nearest group around it.
func (l *Loaded) Problem(path string, err error) error {
	return problemAt(l.origins, l.file, path, err)
}

// Diff names the sections whose values differ between two configurations loaded
// from the same sections, in their order. A section that only one of them has differs.
func Diff(before, after *Loaded) []string {
	var names []string
	for _, s := range before.sections {
		other := after.Section(s.Name)
		if other == nil || !reflect.DeepEqual(s.Value, other) {
			names = append(names, s.Name)
		}
	}
	for _, s := range after.sections {
		if before.Section(s.Name) == nil {
			names = append(names, s.Name)
		}
	}
	return names
}

// Validator is implemented by a section's struct, or any struct below it, that has
// rules of its own. It is called after decoding, on structs whose keys were all good,
// inner ones first. Errors made with At or Atf are shown at the position of that key;
// several are joined with errors.Join.
type Validator interface {
	Validate() error
}

// At says that err is about the key at path, relative to the struct whose Validate
// returns it: "tls.cert". It returns nil if err is nil.
func At(path string, err error) error {
	if err == nil {
		return nil
	}
	return &pathError{path: path, err: err}
}

// Atf is At with a formatted error.
func Atf(path, format string, args ...any) error {
	return &pathError{path: path, err: fmt.Errorf(format, args...)}
}

type pathError struct {
	path string
	err  error
}

func (e *pathError) Error() string { return e.path + ": " + e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

// eachPathError calls f for every error joined in err, with its path below base.
func eachPathError(base string, err error, f func(path string, err error)) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only a join is taken apart
		for _, e := range joined.Unwrap() {
			eachPathError(base, e, f)
		}
		return
	}
	var pe *pathError
	if errors.As(err, &pe) {
		eachPathError(join(base, pe.path), pe.err, f)
		return
	}
	f(base, err)
}
