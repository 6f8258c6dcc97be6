package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestFileBound: a file has 1 MiB at most, and so has a patch.
func TestFileBound(t *testing.T) {
	for n, want := range map[int]string{1 << 20: "", 1<<20 + 1: "found 1048577 bytes, allowed: at most 1048576"} {
		_, err := Load(testConf(), Source{File: "a.yml", Data: []byte(strings.Repeat("#", n))})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes: %v, want %q", n, err, want)
		}
	}
}

// TestNestingBound: the values of a document are nested 64 deep at most.
func TestNestingBound(t *testing.T) {
	for n, want := range map[int]string{65: "", 66: "nested more than 64 deep"} { // the outermost is at depth 0
		_, err := parse([]byte(strings.Repeat("[", n) + strings.Repeat("]", n)))
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%d lists: %v, want %q", n, err, want)
		}
	}
}

// TestDepthBound: the types of a configuration are nested 16 deep at most.
func TestDepthBound(t *testing.T) {
	for n, want := range map[int]string{15: "", 16: "nested more than 16 deep"} { // the field of the lists is at depth 1
		list := reflect.TypeFor[string]()
		for range n {
			list = reflect.SliceOf(list)
		}
		conf := reflect.New(reflect.StructOf([]reflect.StructField{{Name: "V", Type: list, Tag: `yaml:"v" help:"h"`}})).Interface()
		_, err := Load(conf, Source{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d lists: %v, want %q", n, err, want)
		}
	}
}

// TestValuesBound: a document has 100,000 values at most, those counted again that aliases repeat.
func TestValuesBound(t *testing.T) {
	for n, want := range map[int]string{100_000: "", 100_001: "found more than 100000 values"} {
		var c struct {
			V []string `yaml:"v" help:"h"`
		}
		_, err := Load(&c, Source{Data: fmt.Appendf(nil, "v: [%s]\n", strings.Repeat("a,", n-2))}) // the group and the list are values too
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d values: %.200v, want %q", n, err, want)
		}
		list := &yaml.Node{Kind: yaml.SequenceNode, Content: make([]*yaml.Node, n-1)}
		for i := range list.Content {
			list.Content[i] = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "a"}
		}
		var r plainReader
		if _, err := r.read(list, 0); (err == nil) != (want == "") {
			t.Errorf("%d values of a patched file: %v", n, err)
		}
	}
}
