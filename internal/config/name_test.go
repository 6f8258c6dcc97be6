package config

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "main-2_b": true, strings.Repeat("a", 40): true, strings.Repeat("a", 41): false, "": false, "A": false, "a b": false, "ä": false, "a/b": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestExpand(t *testing.T) {
	unknown := errors.New("unknown")
	for text, want := range map[string]string{"": "", "a": "a", "{x}": "1", "a{x}{x}b": "a11b", "}": "}", "{x": "!a { has no }", "{": "!a { has no }", "{y}": "!unknown", "{{x}}": "!unknown"} {
		got, err := Expand(text, func(word string) (string, error) {
			if word != "x" {
				return "", unknown
			}
			return "1", nil
		})
		if err != nil {
			got = "!" + err.Error()
		}
		if got != want {
			t.Errorf("%q: %q instead of %q", text, got, want)
		}
	}
}
