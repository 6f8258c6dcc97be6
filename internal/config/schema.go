package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema returns the JSON Schema (draft 2020-12) of a configuration file. It is a
// little wider than Load: it does not know the bounds of values with units, nor the
// rules of Validate.
func Schema(conf any) (*jsonschema.Schema, error) {
	root, v, err := treeOf(conf)
	if err != nil {
		return nil, err
	}
	s, err := root.schema(v)
	if err != nil {
		return nil, err
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "Weir configuration"
	return s, nil
}

// schema describes f; v, its default, may be invalid.
func (f *field) schema(v reflect.Value) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{Description: f.help}
	switch f.kind {
	case group:
		s.Types = []string{"object", "null"}
		if f.short != nil {
			s.Types = append(s.Types, "string")
		}
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}} // false
		s.Properties = map[string]*jsonschema.Schema{}
		s.PropertyOrder = f.keys()
		for _, c := range f.fields {
			p, err := c.schema(c.of(v))
			if err != nil {
				return nil, err
			}
			s.Properties[c.name] = p
		}
		return s, nil
	case list:
		s.Types = []string{"array", "null"}
		var entry reflect.Value // an entry that is not a group has no default
		if f.elem.kind == group {
			entry = f.newEntry()
		}
		items, err := f.elem.schema(entry)
		if err != nil {
			return nil, err
		}
		s.Items = items
	case value:
		f.scalarSchema(s)
	}
	if v.IsValid() {
		var b bytes.Buffer
		if err := writeJSON(&b, f, v, true); err != nil {
			return nil, err
		}
		s.Default = json.RawMessage(b.Bytes())
	}
	return s, nil
}

func (f *field) scalarSchema(s *jsonschema.Schema) {
	d := f.describe()
	switch d.name {
	case "bool":
		s.Type = "boolean"
	case "integer", "number":
		s.Type = d.name
		s.Minimum, s.Maximum = numberOf(f.min), numberOf(f.max)
		if s.Minimum == nil && reflect.Zero(f.typ).CanUint() {
			s.Minimum = new(float64)
		}
	default:
		s.Type = "string"
		if d.number {
			s.Type, s.Types = "", []string{"string", "integer"}
		}
		s.Pattern = d.pattern
		if d.name != "text" {
			s.Description = strings.TrimPrefix(s.Description+"; "+f.allowed(), "; ")
		}
	}
	if f.enum != nil {
		s.Description = f.help
		for _, e := range f.enum {
			s.Enum = append(s.Enum, e)
		}
	}
	s.WriteOnly = f.secret
	if f.takesReference() {
		s.Type, s.Types = "", []string{"string", "object"}
		s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}} // false
		s.PropertyOrder = []string{"file", "env"}
		s.Properties = map[string]*jsonschema.Schema{
			"file": {Type: "string", Description: "the file that holds the secret"},
			"env":  {Type: "string", Description: "the environment variable that holds the secret"},
		}
	}
}

func numberOf(v reflect.Value) *float64 {
	var n float64
	switch {
	case !v.IsValid():
		return nil
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	default:
		n = v.Float()
	}
	return &n
}
