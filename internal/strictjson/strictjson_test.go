package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat(`]}`, n/2) }
	for text, want := range map[string]string{
		`{}`: "", `[]`: "", ` null `: "", `"a"`: "", `1`: "",
		`{"a":1,"b":{"a":1,"c":[{"a":1},{"a":2}]},"A":2}`: "",
		`{"a":"a","b":"a"}`:                "",
		`["a","a",["a","a"]]`:              "",
		`{"a":1,"a":1}`:                    `the key "a" is given twice`,
		`{"x":[{"a":{},"b":[],"a":null}]}`: `the key "a" is given twice`,
		`{"a":1,"\u0061":1}`:               `the key "a" is given twice`,
		`{"":1,"":1}`:                      `the key "" is given twice`,
		deep(64):                           "",
		deep(66):                           "it is nested more than 64 deep",
		deep(20000):                        "it is nested more than 64 deep",
		strings.Repeat("[", 1<<20):         "it is nested more than 64 deep",
		``:                                 "it is no JSON",
		`{`:                                "it is no JSON",
		`{"a" 1}`:                          "it is no JSON",
		`{"a":1}}`:                         "it is no JSON",
		`{} {}`:                            "something stands behind the JSON value",
		`{"` + strings.Repeat("k", 100) + `":1,"` + strings.Repeat("k", 100) + `":1}`: `the key "` + strings.Repeat("k", 64) + `"… is given twice`,
	} {
		got := ""
		if err := Check([]byte(text), 64); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.60s: %q, want %q", text, got, want)
		}
	}
}

// FuzzCheck: it never panics, and passes nothing that is no JSON.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}]}`, `{"a":1,"a":2}`, `]`, `{]`, `[}`, `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if Check([]byte(s), 64) == nil && !json.Valid([]byte(s)) {
			t.Errorf("passed %q", s)
		}
	})
}
