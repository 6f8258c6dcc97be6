// Package config reads Weir's configuration: one YAML file, the environment and
// --set options, laid over defaults. It is generic: the configuration is a struct, each
// section of it a struct that lives beside the code that uses it, and this package knows
// none of them.
//
// The same struct tags make the decoder, the JSON Schema, the commented default
// file and the reference page, so these never disagree:
//
//	yaml:"read_timeout"   the key (lower case words joined by _); "-" leaves a field out;
//	                      an embedded struct without a tag lends its keys to its parent
//	help:"closes a …"     what it does, unit, bound, what 0 means; every key must have one
//	enum:"skip,close"     the words allowed
//	min:"1s" max:"1m"     the bounds of a number or duration
//	unit:"bytes"          of an int64: 32MiB, 64KiB or a plain number
//	unit:"bitrate"        of an int64, in bits per second: 100Mbps, 2500kbps or a plain number
//	format:"listen"       of a string: HOST:PORT, :PORT or nothing
//	secret:"true"         printed as ***, on a group for everything below it; a text may be kept
//	                      elsewhere: {file: NAME} is a file's content without its last line end,
//	                      {env: NAME} an environment variable
//	short:"true"          of a text in a group: it may stand for the whole group, so that a list of
//	                      groups may be written [a, b]
//	reload:"restart"      when a change applies (see When); on a group for everything below
//	                      it that has no such tag itself, but for "live", which each key says
//	                      itself; every key must have one (see Undated)
//
// A field is a bool, an integer, a float, a string, a time.Duration (10s, 1m30s), a
// time.Time (2027-01-31, 2027-01-31T18:00:00Z), a netip.Prefix (10.0.0.0/8, or one address), a struct, or a slice of these. A list given
// anywhere replaces the default list as a whole.
//
// Order of precedence, the last wins: defaults, file, layers over it, environment, --set.
// A key a.b_c is the environment variable WEIR_A_B_C; list entries are counted from 0
// (streams.0.publish.keys, WEIR_STREAMS_0_PUBLISH_KEYS), and the index after the last
// one appends. A text value is taken as it stands, everything else is YAML: [a, b].
//
// Not supported: maps with free keys, YAML tags, several documents in one file,
// including other files.
package config

import (
	"fmt"
	"reflect"
)

// Source is what Load reads besides the defaults.
type Source struct {
	File    string   // name of the file for messages; empty if there is none
	Data    []byte   // its content, at most MaxFileSize
	Layers  []Layer  // files that are laid over it, one after the other
	Environ []string // NAME=value, as from os.Environ; only names that begin with WEIR_ count
	Sets    []string // path=value, as given to --set
	// Needs, if not nil, says which secrets that are kept elsewhere are looked up, by the path of their key. Where others are
	// left out the values are not checked against one another: some are missing.
	Needs func(path string) bool
}

// Layer is a file that is laid over the main one as a merge patch (RFC 7396) is: groups of keys are
// merged, a list or value takes the place of the one below, and null leaves the default.
type Layer struct {
	Name string // for messages
	Data []byte // at most MaxFileSize
}

// MaxFileSize is the largest configuration file that Load accepts, in bytes.
const MaxFileSize = 1 << 20

// Loaded is an effective configuration and where each of its values came from.
// It does not change after Load.
type Loaded struct {
	file    string
	root    *field
	conf    reflect.Value
	origins map[string]Origin
}

// Load lays src over the defaults in conf, a pointer to a struct, which then holds the
// effective values. It reports every mistake it finds, as Errors (at most MaxProblems); the
// defaults are then as they were. Any other error is a mistake in the struct itself: an
// unsupported type, a missing or doubled tag.
func Load(conf any, src Source) (*Loaded, error) {
	root, v, err := treeOf(conf)
	if err != nil {
		return nil, err
	}
	before := reflect.New(root.typ).Elem()
	before.Set(v)
	l := &loader{root: root, conf: v, defaults: before, file: src.File, environ: src.Environ, needs: src.Needs, origins: make(map[string]Origin, len(src.Data)/32)}
	l.read(src)
	if !l.unread && !l.partial && (len(l.problems.list) > 0 || root.fails(validateRule, v)) {
		root.apply(validateRule, v, "", l.problems.under, l.problems.reporter(l.origins, l.file))
	}
	if err := l.problems.err(); err != nil {
		v.Set(before)
		return nil, err
	}
	return &Loaded{file: src.File, root: root, conf: v, origins: l.origins}, nil
}

// Lookup returns the text that src gives the key at path, or its default, whatever mistakes src has
// elsewhere: a program needs it of the key that says where the layers are. conf, a pointer to a struct
// with the defaults, is of no use afterwards.
func Lookup(conf any, src Source, path string) (string, error) {
	root, v, err := treeOf(conf)
	if err != nil {
		return "", err
	}
	before := reflect.New(root.typ).Elem()
	before.Set(v)
	l := &loader{root: root, conf: v, defaults: before, file: src.File, environ: src.Environ, origins: make(map[string]Origin, len(src.Data)/32)}
	l.read(src)
	f, v := root.at(v, path)
	if f == nil || f.kind != value {
		return "", fmt.Errorf("config: there is no key %s", path)
	}
	return f.format(v), nil
}

// Origin says where the value at path (such as "rtmp.listen" or
// "streams.0.publish.keys") came from. A value that nothing set, and a path that does
// not exist, came from the defaults.
func (l *Loaded) Origin(path string) Origin { return l.origins[path] }
