package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// valueError says why a value was refused, where that adds to what is allowed.
type valueError struct {
	why    string
	quotes bool // why repeats the value or part of it
}

func (e *valueError) Error() string { return e.why }

var errType = &valueError{}

// setNode sets v, a value of f, from a scalar node, strictly by type: 123 is not text, "123" not a number.
func (f *field) setNode(v reflect.Value, n *yaml.Node) error {
	kind := kindOf(n)
	if f.form != nil && v.Kind() != reflect.String {
		switch kind {
		case text, integer, number:
			return f.form.parse(v, n.Value)
		}
		return errType
	}
	plain := strings.ReplaceAll(n.Value, "_", "")
	switch k := v.Kind(); {
	case k == reflect.String:
		switch kind {
		case text:
		case integer, number, boolean:
			return &valueError{why: "write it in quotes"}
		default:
			return errType
		}
		if f.form != nil {
			return f.form.parse(v, n.Value)
		}
		v.SetString(n.Value)
	case k == reflect.Bool && kind == boolean:
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.CanFloat() && kind == number:
		x, err := strconv.ParseFloat(plain, 64)
		if err != nil || math.IsInf(x, 0) || v.OverflowFloat(x) {
			return errType
		}
		v.SetFloat(x)
	case kind == integer:
		return setInteger(v, plain)
	default:
		return errType
	}
	return nil
}

// setInteger sets v, a number, from text such as 12, -1 or 0x1f.
func setInteger(v reflect.Value, text string) error {
	text, neg := strings.CutPrefix(strings.TrimPrefix(text, "+"), "-")
	abs, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return errType
	}
	switch {
	case v.CanFloat():
		f := float64(abs)
		if neg {
			f = -f
		}
		v.SetFloat(f)
	case v.CanUint() && !neg && !v.OverflowUint(abs):
		v.SetUint(abs)
	case v.CanInt() && !neg && abs <= math.MaxInt64 && !v.OverflowInt(int64(abs)):
		v.SetInt(int64(abs))
	case v.CanInt() && neg && abs <= math.MaxInt64 && !v.OverflowInt(-int64(abs)):
		v.SetInt(-int64(abs))
	default:
		return errType
	}
	return nil
}

// setText sets v, a value of f, from text as it stands in the environment, in a --set or in a tag.
func (f *field) setText(v reflect.Value, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return &valueError{why: "it is not UTF-8"}
	}
	if f.form != nil {
		return f.form.parse(v, text)
	}
	if v.Kind() == reflect.String {
		v.SetString(text)
		return nil
	}
	n, err := parse([]byte(text))
	if err != nil || n == nil {
		return errType
	}
	return f.setNode(v, n)
}

// format writes v, a value of f, as it would stand in a file, without quotes.
func (f *field) format(v reflect.Value) string {
	if f.form != nil {
		return f.form.format(v)
	}
	return fmt.Sprint(v.Interface())
}

// describe returns what a value of f looks like.
func (f *field) describe() description {
	if f.form != nil {
		return f.form.description
	}
	switch k := f.typ.Kind(); k {
	case reflect.Bool:
		return description{name: "bool", allowed: "true or false"}
	case reflect.String:
		return description{name: "text", allowed: "text"}
	case reflect.Float32, reflect.Float64:
		return description{name: "number", allowed: "a number", number: true}
	case reflect.Int, reflect.Int64:
		return description{name: "integer", allowed: "a whole number", number: true}
	case reflect.Uint, reflect.Uint64:
		return description{name: "integer", allowed: "a whole number from 0", number: true}
	default:
		low, high := "0", strconv.FormatUint(1<<f.typ.Bits()-1, 10)
		if k >= reflect.Int && k <= reflect.Int64 {
			low, high = strconv.FormatInt(-1<<(f.typ.Bits()-1), 10), strconv.FormatInt(1<<(f.typ.Bits()-1)-1, 10)
		}
		return description{name: "integer", allowed: "a whole number from " + low + " to " + high, number: true}
	}
}

// allowed says in words what f accepts.
func (f *field) allowed() string {
	if f.enum != nil {
		return strings.Join(f.enum, ", ")
	}
	text := f.describe().allowed
	if b := f.bounds(); b != "" {
		if f.describe().name == "integer" {
			text = "a whole number" // its own bounds are narrower than those of its type
		}
		text += ", " + b
	}
	return text
}

// refuse is allowed with the reason of a valueError, unless that would show a secret.
func (f *field) refuse(err error) string {
	if reason := (*valueError)(nil); errors.As(err, &reason) && reason.why != "" && !(f.secret && reason.quotes) {
		return f.allowed() + " (" + reason.why + ")"
	}
	return f.allowed()
}

// bounds says in words what min and max say; empty without them.
func (f *field) bounds() string {
	switch {
	case f.min.IsValid() && f.max.IsValid():
		return "from " + f.format(f.min) + " to " + f.format(f.max)
	case f.min.IsValid():
		return "at least " + f.format(f.min)
	case f.max.IsValid():
		return "at most " + f.format(f.max)
	}
	return ""
}

// within reports whether v keeps to the enum and the bounds of f.
func (f *field) within(v reflect.Value) bool {
	if f.enum != nil && !slices.Contains(f.enum, f.format(v)) {
		return false
	}
	if f.min.IsValid() {
		if c, ok := compare(v, f.min); !ok || c < 0 {
			return false
		}
	}
	if f.max.IsValid() {
		if c, ok := compare(v, f.max); !ok || c > 0 {
			return false
		}
	}
	return true
}

// compare orders two values of one numeric type.
func compare(a, b reflect.Value) (int, bool) {
	less, more := false, false
	switch {
	case a.CanInt():
		less, more = a.Int() < b.Int(), a.Int() > b.Int()
	case a.CanUint():
		less, more = a.Uint() < b.Uint(), a.Uint() > b.Uint()
	case a.CanFloat():
		less, more = a.Float() < b.Float(), a.Float() > b.Float()
	default:
		return 0, false
	}
	switch {
	case less:
		return -1, true
	case more:
		return 1, true
	}
	return 0, true
}
