package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

type user struct {
	Name     string    `yaml:"name" help:"of the user"`
	Password string    `yaml:"password" secret:"true" short:"true" help:"of the user"`
	Until    time.Time `yaml:"until" help:"when it ends"`
}

type secretConf struct {
	Token string `yaml:"token" secret:"true" help:"a secret of its own"`
	Name  string `yaml:"name" help:"no secret"`
	Users []user `yaml:"users" help:"groups that have a short form"`
}

func loadSecrets(t *testing.T, data string, env []string, sets ...string) (secretConf, *Loaded, error) {
	t.Helper()
	var c secretConf
	l, err := Load(&c, Source{File: "a.yml", Data: []byte(data), Environ: env, Sets: sets})
	return c, l, err
}

func TestShortForm(t *testing.T) {
	day := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, data string
		env, sets  []string
		want       []user
	}{
		{"texts", "users: [a, 'b: c']\n", nil, nil, []user{{Password: "a"}, {Password: "b: c"}}},
		{"groups", "users:\n  - {name: x, password: p, until: 2027-01-31}\n  - q\n", nil, nil, []user{{"x", "p", day}, {Password: "q"}}},
		{"a time", "users: [{until: '2027-01-31T02:00:00+02:00'}]\n", nil, nil, []user{{Until: day}}},
		{"an alias", "users: [&a {name: x}, *a]\n", nil, nil, []user{{Name: "x"}, {Name: "x"}}},
		{"--set of the list", "", nil, []string{"users=[a, {name: b}]"}, []user{{Password: "a"}, {Name: "b"}}},
		{"--set of one", "users: [a]\n", nil, []string{"users.1=b: c", "users.0.name=x", "users.2={name: d}"}, []user{{"x", "a", time.Time{}}, {Password: "b: c"}, {Name: "d"}}},
		{"the environment", "", []string{"WEIR_USERS_0=123", "WEIR_USERS_0_UNTIL=2027-01-31"}, nil, []user{{Password: "123", Until: day}}},
	} {
		got, l, err := loadSecrets(t, c.data, c.env, c.sets...)
		if err != nil || !reflect.DeepEqual(got.Users, c.want) {
			t.Errorf("%s: %+v, %v", c.name, got.Users, err)
			continue
		}
		var b bytes.Buffer
		if err := l.WriteEffective(&b); err != nil || strings.Contains(b.String(), "b: c") {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
	}
	_, _, err := loadSecrets(t, "users: [5, hunter2]\nname: {file: x}\n", nil)
	want := `a.yml:1:9: users.0.password: found the number ***, allowed: text (write it in quotes)
a.yml:2:7: name: found a group of keys, allowed: text`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if _, _, err := loadSecrets(t, "users: [{until: tomorrow}]\n", nil); err == nil || !strings.Contains(err.Error(), `users.0.until: found text "tomorrow", allowed: a date or a time such as 2027-01-31`) {
		t.Error(err)
	}
}

// TestTextForAList: a secret in the place of the list or group that it belongs into is not shown, and the message says how it is
// written there.
func TestTextForAList(t *testing.T) {
	for data, want := range map[string]string{
		"users: hunter2\n":             "a.yml:1:8: users: found text ***, allowed: a list such as [a, b], or of groups of keys: name, password, until",
		"users: {password: hunter2}\n": "a.yml:1:8: users: found a group of keys, allowed: a list such as [a, b], or of groups of keys: name, password, until",
		"users: [{name: [hunter2]}]\n": "a.yml:1:16: users.0.name: found a list, allowed: text",
		"<<: hunter2\n":                "a.yml:1:1: found text \"hunter2\" after <<, allowed: an alias of one group of keys",
		// A text that is all of the file belongs nowhere.
		"hunter2\n":                       "a.yml:1:1: found text \"hunter2\", allowed: a group of keys: token, name, users",
		"users: [a, b]\nname: [hunter]\n": "a.yml:2:7: name: found a list, allowed: text",
	} {
		if _, _, err := loadSecrets(t, data, nil); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", data, err, want)
		}
	}
}

func TestSecretsKeptElsewhere(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, env := file("good", "hunter2 \n"), []string{"HUNTER=hunter3", "NOTHING="}
	c, l, err := loadSecrets(t, "token: {file: "+good+"}\nusers: [{env: HUNTER}, {name: n, password: {file: "+file("crlf", "p\r\n")+"}}]\n", env)
	if err != nil || c.Token != "hunter2 " || c.Users[0] != (user{Password: "hunter3"}) || c.Users[1] != (user{Name: "n", Password: "p"}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if o := l.Origin("token"); o.String() != "a.yml:1" {
		t.Error(o)
	}
	shown, err := json.Marshal(l)
	if err != nil || strings.Contains(string(shown), "hunter") {
		t.Errorf("%s, %v", shown, err)
	}
	c, _, err = loadSecrets(t, "users: []\n", env, "users.0={env: HUNTER}", "token={env: HUNTER}")
	if err != nil || c.Users[0].Password != "hunter3" || c.Token != "{env: HUNTER}" {
		t.Errorf("a --set of a text is taken as it stands: %+v, %v", c, err)
	}
	for data, want := range map[string]string{
		"{file: " + filepath.Join(dir, "none") + "}":                "a.yml:1:15: token: the file that is to hold this secret cannot be read: open " + filepath.Join(dir, "none") + ": no such file or directory",
		"{file: " + file("empty", "\n") + "}":                       "which is to hold this secret, is empty",
		"{file: " + file("binary", "hunter2\xff") + "}":             "which is to hold this secret, is no text",
		"{file: " + file("nul", "hunter2\x00") + "}":                "that is none, allowed: text (it is not UTF-8)",
		"{file: " + file("large", strings.Repeat("h", 65537)) + "}": "which is to hold this secret, has more than 64 KiB",
		"{env: NOTHING}":    `a.yml:1:14: token: the environment variable "NOTHING", which is to hold this secret, is not set`,
		"{env: hunt}":       `the environment variable "hunt", which is to hold this secret, is not set`,
		"{env: [hunter2]}":  "found a list as the env of a secret, allowed: {file: NAME} or {env: NAME}",
		"{file: ''}":        `found text "" as the file of a secret, allowed: {file: NAME} or {env: NAME}`,
		"{file: a, env: b}": "a.yml:1:8: token: found a group of keys, allowed: text",
		"{fil: a}":          "a.yml:1:8: token: found a group of keys, allowed: text",
	} {
		_, _, err := loadSecrets(t, "token: "+data+"\n", env)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s:\n%v\nwant\n%s", data, err, want)
		}
	}
	if _, _, err := loadSecrets(t, "token: {file: "+file("bound", strings.Repeat("h", 65536))+"}\n", nil); err != nil {
		t.Error(err)
	}
}

func TestSchemaOfShortFormsAndSecrets(t *testing.T) {
	s, err := Schema(&secretConf{})
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for data, good := range map[string]bool{
		`{"users":["a",{"name":"b","password":{"env":"B"},"until":"2027-01-31T00:00:00Z"}],"token":{"file":"t"}}`: true,
		`{"users":[{"until":"2027-01-31"},{"until":""}],"token":"t"}`:                                             true,
		`{"users":[5]}`:                false,
		`{"users":[{"until":"soon"}]}`: false,
		`{"token":{"files":"t"}}`:      false,
		`{"token":5}`:                  false,
		`{"name":{"file":"t"}}`:        false,
	} {
		var instance any
		if err := json.Unmarshal([]byte(data), &instance); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(instance); (err == nil) != good {
			t.Errorf("%s: %v", data, err)
		}
	}
	var b bytes.Buffer
	if err := WriteReference(&b, &secretConf{}); err != nil || !strings.Contains(b.String(), "| `users` | list of: text (secret), or groups | none |") {
		t.Errorf("%v\n%s", err, b.String())
	}
	for name, conf := range map[string]any{
		"two": &struct {
			A struct {
				B string `yaml:"b" short:"true" help:"h"`
				C string `yaml:"c" short:"true" help:"h"`
			} `yaml:"a"`
		}{},
		"a number": &struct {
			A struct {
				B int `yaml:"b" short:"true" help:"h"`
			} `yaml:"a"`
		}{},
	} {
		if _, err := Load(conf, Source{}); err == nil || !strings.Contains(err.Error(), "only one plain text of a group can be its short form") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
