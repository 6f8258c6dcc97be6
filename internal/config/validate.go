package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Validator is implemented by a struct of the configuration that has rules of its own. It
// is called after decoding, on structs whose keys were all good, inner ones first. Errors
// made with Errorf are shown at the position of their key; several are joined with
// errors.Join.
type Validator interface {
	Validate() error
}

// Checker is a Validator whose rules look further than the configuration itself, at files
// for example, or refuse what is of no use although a server can run with it. Check and
// Loaded.Check call it, Load does not.
type Checker interface {
	Check() error
}

// Warner is a Validator that also tells of what is allowed and most likely not meant. Loaded.Warnings calls it alone.
type Warner interface {
	Warn() error
}

// Errorf makes an error about one key of the struct whose Validate, Check or Warn returns it.
// field points to the key's value in that struct or anywhere below it: &c.TLS.Cert, or
// &c.Keys[3]. So no key is spelled a second time.
//
// An argument made by Place stands for another key, and becomes its path and place.
func Errorf(field any, format string, args ...any) error {
	return &fieldError{reflect.ValueOf(field), fmt.Errorf(format, args...), format, args}
}

type fieldError struct {
	field  reflect.Value
	err    error
	format string
	args   []any
}

// Place returns an argument for Errorf that names the key whose value field points to, in the struct whose
// Validate or Check returns the error: "streams.0.match (weir.yml:3:12)".
func Place(field any) fmt.Stringer { return &place{field: reflect.ValueOf(field)} }

type place struct {
	field reflect.Value
	text  string
}

// String implements fmt.Stringer.
func (p *place) String() string { return cmp.Or(p.text, "another key") }

// resolve returns the error with its places, which where tells of a path.
func (e *fieldError) resolve(f *field, v reflect.Value, path string, where func(path string) string) error {
	found := false
	for _, a := range e.args {
		p, ok := a.(*place)
		if !ok || p.field.Kind() != reflect.Pointer {
			continue
		}
		if at := f.pathOf(v, p.field, path); at != "" {
			p.text, found = strings.TrimSuffix(at+" ("+where(at)+")", " ()"), true
		}
	}
	if !found {
		return e.err
	}
	return fmt.Errorf(e.format, e.args...)
}

func (e *fieldError) Error() string { return e.err.Error() }
func (e *fieldError) Unwrap() error { return e.err }

// pathOf returns the path of the key below f whose value, in v, is pointed to by at; "" if there
// is none.
func (f *field) pathOf(v, at reflect.Value, path string) string {
	if v.CanAddr() && v.Type() == at.Type().Elem() && v.Addr().Pointer() == at.Pointer() {
		return path
	}
	switch f.kind {
	case group:
		for _, c := range f.fields {
			if p := c.pathOf(c.of(v), at, join(path, c.name)); p != "" {
				return p
			}
		}
	case list:
		for i := range v.Len() {
			if p := f.elem.pathOf(v.Index(i), at, join(path, fmt.Sprint(i))); p != "" {
				return p
			}
		}
	case value:
	}
	return ""
}

// eachError calls report for every error joined in err, with the path of the key that it is about,
// that of v if it is about none.
func (f *field) eachError(v reflect.Value, path string, err error, report reporter) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only a join is taken apart
		for _, e := range joined.Unwrap() {
			f.eachError(v, path, e, report)
		}
		return
	}
	var fe *fieldError
	if errors.As(err, &fe) && fe.field.Kind() == reflect.Pointer {
		if p := f.pathOf(v, fe.field, path); p != "" {
			report.problem(p, fe.resolve(f, v, path, report.where))
			return
		}
	}
	report.problem(path, err)
}

// reporter is told of the problems that rules find.
type reporter struct {
	problem func(path string, err error)
	where   func(path string) string // the place of a key, "" if there is none
}

// rule calls a Validator or a Checker. It returns nil for what is neither.
type rule func(v any) error

func validateRule(v any) error {
	if r, ok := v.(Validator); ok {
		return r.Validate()
	}
	return nil
}

func checkRule(v any) error {
	if r, ok := v.(Checker); ok {
		return r.Check()
	}
	return nil
}

func warnRule(v any) error {
	if r, ok := v.(Warner); ok {
		return r.Warn()
	}
	return nil
}

// fails reports whether any struct below f breaks the rule r. It is apply without the paths, which cost more than the rules.
func (f *field) fails(r rule, v reflect.Value) bool {
	switch f.kind {
	case value:
		return false
	case list:
		for i := range v.Len() {
			if f.elem.fails(r, v.Index(i)) {
				return true
			}
		}
		return false
	case group:
		for _, c := range f.fields {
			if c.hasStructs() && c.fails(r, c.of(v)) {
				return true
			}
		}
	}
	for _, at := range f.inlined {
		if r(v.FieldByIndex(at).Addr().Interface()) != nil {
			return true
		}
	}
	return r(v.Addr().Interface()) != nil
}

// apply calls r on every struct below f in which nothing was wrong, inner ones first.
func (f *field) apply(r rule, v reflect.Value, path string, bad func(path string) bool, report reporter) {
	switch f.kind {
	case value:
		return
	case list:
		for i := range v.Len() {
			f.elem.apply(r, v.Index(i), join(path, fmt.Sprint(i)), bad, report)
		}
		return
	case group:
		for _, c := range f.fields {
			if c.hasStructs() {
				c.apply(r, c.of(v), join(path, c.name), bad, report)
			}
		}
	}
	if bad(path) {
		return
	}
	for _, at := range append(slices.Clone(f.inlined), nil) {
		target := v
		if at != nil {
			target = v.FieldByIndex(at)
		}
		if err := r(target.Addr().Interface()); err != nil {
			f.eachError(v, path, err, report)
		}
	}
}

// hasStructs reports whether f is a struct or a list of some: nothing else has rules.
func (f *field) hasStructs() bool { return f.kind == group || f.kind == list && f.elem.hasStructs() }

// checkBounds reports every value below f that is not among those allowed.
func (f *field) checkBounds(v reflect.Value, path string, report func(p *Problem)) {
	switch f.kind {
	case group:
		for _, c := range f.fields {
			c.checkBounds(c.of(v), join(path, c.name), report)
		}
	case list:
		for i := range v.Len() {
			f.elem.checkBounds(v.Index(i), join(path, fmt.Sprint(i)), report)
		}
	case value:
		if f.form != nil { // as it would be written
			again := reflect.New(f.typ).Elem()
			if err := f.form.parse(again, f.format(v)); err != nil {
				report(&Problem{Path: path, Found: "found " + show(f.format(v), f.secret), Allowed: f.refuse(err)})
				return
			}
		}
		if !f.within(v) {
			report(&Problem{Path: path, Found: "found " + show(f.format(v), f.secret), Allowed: f.allowed()})
		}
	}
}

// Validate holds a configuration that a program has written, a pointer to a struct, to
// everything that Load asks of a file: the words and bounds allowed, and every Validate.
// It reports every mistake, as Errors.
func Validate(conf any) error { return validate(conf, validateRule) }

// Check is Validate, and calls every Checker too.
func Check(conf any) error { return validate(conf, validateRule, checkRule) }

func validate(conf any, rules ...rule) error {
	root, v, err := treeOf(conf)
	if err != nil {
		return err
	}
	var ps problems
	add := func(p *Problem) {
		p.Origin.Kind = FromProgram
		ps.add(p)
	}
	root.checkBounds(v, "", add)
	for _, r := range rules {
		root.apply(r, v, "", ps.under, reporter{
			problem: func(path string, err error) { add(&Problem{Path: path, Found: err.Error(), Err: err}) },
			where:   func(string) string { return "" },
		})
	}
	return ps.err()
}

// Check calls every Checker of the configuration. It reports every mistake, with its
// place, as Errors.
func (l *Loaded) Check() error {
	if !l.root.fails(checkRule, l.conf) {
		return nil
	}
	var ps problems
	l.root.apply(checkRule, l.conf, "", ps.under, ps.reporter(l.origins, l.file))
	return ps.err()
}

// Warnings calls every Warner of the configuration, and returns all that they say, with its place, at most MaxProblems.
func (l *Loaded) Warnings() Errors {
	if !l.root.fails(warnRule, l.conf) {
		return nil
	}
	var ps problems
	all := func(string) bool { return false } // one warning keeps no other back
	l.root.apply(warnRule, l.conf, "", all, ps.reporter(l.origins, l.file))
	return ps.list
}
