package main

import (
	"flag"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// bind makes a flag of each field of the structure that conf points to, by the same tags
// that the weir command reads: help and default, and arg for the URL, which is returned.
func bind(fs *flag.FlagSet, conf any) (args []*string, err error) {
	v := reflect.ValueOf(conf).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("kong") == "-" {
			continue
		}
		name, def, help := flagName(f.Name), f.Tag.Get("default"), f.Tag.Get("help")
		switch p := v.Field(i).Addr().Interface().(type) {
		case *string:
			if _, ok := f.Tag.Lookup("arg"); ok {
				args = append(args, p)
				continue
			}
			fs.StringVar(p, name, def, help)
		case *int:
			fs.IntVar(p, name, 0, help)
		case *bool:
			fs.BoolVar(p, name, false, help)
		case *time.Duration:
			fs.DurationVar(p, name, 0, help)
		default:
			return nil, fmt.Errorf("field %s has a type that no flag has", f.Name)
		}
		if def != "" {
			if err := fs.Set(name, def); err != nil {
				return nil, fmt.Errorf("field %s: default: %w", f.Name, err)
			}
			fs.Lookup(name).DefValue = def
		}
	}
	return args, nil
}

// flagName is a field's name with hyphens: SlowRate is slow-rate.
func flagName(field string) string {
	var b strings.Builder
	for i, r := range field {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
