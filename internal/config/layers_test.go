package config

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layered loads a main file and the layers over it.
func layered(main string, layers ...string) (*conf, *Loaded, error) {
	c := testConf()
	src := Source{File: "a.yml", Data: []byte(main), Environ: []string{"WEIR_LIMITS_SMALL=3"}, Sets: []string{"log.level=warn"}}
	for i, l := range layers {
		src.Layers = append(src.Layers, Layer{Name: string(rune('b'+i)) + ".yml", Data: []byte(l)})
	}
	loaded, err := Load(c, src)
	return c, loaded, err
}

// Groups are merged, lists and values replaced, null leaves the default, and the environment and --set stay above.
func TestLayers(t *testing.T) {
	c, l, err := layered("rtmp: {chunk_size: 1000, handshake_timeout: 3s}\nlimits: {connections: 7, small: 1}\nlog: {level: debug}\n"+
		"streams:\n  - {match: a/*, gop_cache: {max_bytes: 1MiB}}\n  - {match: b/*}\n",
		"rtmp:\n  chunk_size: 2000\nlog: {level: error}\nlimits: {small: 2}\nstreams:\n  - match: c/*\n",
		"rtmp: {handshake_timeout: null}\nlimits: null\n")
	if err != nil {
		t.Fatal(err)
	}
	d := testConf()
	if c.RTMP.ChunkSize != 2000 || c.RTMP.HandshakeTimeout != d.RTMP.HandshakeTimeout || c.Limits.Connections != d.Limits.Connections ||
		c.Limits.Small != 3 || c.Log.Level != "warn" || len(c.Streams) != 1 || c.Streams[0].Match != "c/*" || c.Streams[0].Cache.MaxBytes != 32<<20 {
		t.Errorf("%+v", c)
	}
	for path, want := range map[string]string{
		"rtmp.chunk_size": "b.yml:2", "rtmp.handshake_timeout": "default", "limits.connections": "default",
		"limits.small": "env WEIR_LIMITS_SMALL", "log.level": "--set", "streams.0.match": "b.yml:6", "streams.0.gop_cache.max_bytes": "default",
	} {
		if got := l.Origin(path).String(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	_, _, err = layered("", "rtmp: {chunksize: 1}\n", "streams:\n  - {match: null}\nlimits: {connections: x}\n")
	if err == nil || !strings.Contains(err.Error(), `b.yml:1:8: rtmp.chunksize: unknown key`) || !strings.Contains(err.Error(), "c.yml:2:13: streams.0.match: found nothing") ||
		!strings.Contains(err.Error(), "c.yml:3:23: limits.connections") {
		t.Error(err)
	}
	if _, _, err = layered("", `admin: {token: "https://***@host/?key=***"}`); err == nil || !strings.Contains(err.Error(), "b.yml:1:16: admin.token: found a URL with ***, which is how secrets are shown") {
		t.Error(err)
	}
	if _, _, err = layered("", `admin: {token: "***"}`); err == nil || !strings.Contains(err.Error(), "b.yml:1:16: admin.token: found ***, which is how secrets are shown") {
		t.Error(err)
	}
}

func TestLookup(t *testing.T) {
	src := Source{File: "a.yml", Data: []byte("reload: watch\nnonsense: 1\nadmin: {listen: ':1'}\n")}
	if got, err := Lookup(testConf(), src, "reload"); got != "watch" || err != nil {
		t.Error(got, err)
	}
	if got, err := Lookup(testConf(), src, "rtmp.listen"); got != ":1935" || err != nil {
		t.Error(got, err)
	}
	for _, path := range []string{"", "rtmp", "streams.0.match", "none"} {
		if _, err := Lookup(testConf(), src, path); err == nil {
			t.Errorf("%q is no key", path)
		}
	}
}

// A layer after several patches does what they do one after the other.
func TestAmend(t *testing.T) {
	layer := []byte("# by hand\nlog: {level: &l debug}\nadmin:\n  token: \"a: b\"\n")
	for _, c := range []struct{ patch, want string }{
		{`{"rtmp":{"chunk_size":1000,"listen":":1"}}`, "admin:\n  token: \"a: b\"\nlog:\n  level: \"debug\"\nrtmp:\n  chunk_size: 1000\n  listen: \":1\"\n"},
		{`{"admin":null,"log":{"level":null},"rtmp":{"listen":null}}`, "admin:\n  listen: null\n  open: null\n  ratio: null\n  token: null\nlog:\n  level: null\nrtmp:\n  chunk_size: 1000\n  listen: null\n"},
		{`{"admin":{"open":true,"ratio":1e-1},"rtmp":{"chunk_size":null}}`, "admin:\n  listen: null\n  open: true\n  ratio: 0.1\n  token: null\nlog:\n  level: null\nrtmp:\n  chunk_size: null\n  listen: null\n"},
		{
			`{"streams":[{"match":"a/*","publish":{"keys":["x","\u2028\"\\\n","é😀"],"allow":[]}},{}]}`,
			"admin:\n  listen: null\n  open: true\n  ratio: 0.1\n  token: null\nlog:\n  level: null\nrtmp:\n  chunk_size: null\n  listen: null\n" +
				"streams:\n  - match: \"a/*\"\n    publish:\n      allow: []\n      keys:\n        - \"x\"\n        - \"\\u2028\\\"\\\\\\n\"\n        - \"é😀\"\n  - {}\n",
		},
	} {
		next, err := Amend(testConf(), layer, []byte(c.patch))
		if err != nil {
			t.Fatalf("%s: %v", c.patch, err)
		}
		if diff := cmp.Diff(c.want, string(next)); diff != "" {
			t.Errorf("%s:\n%s", c.patch, diff)
		}
		layer = next
	}
	got, _, err := layered("admin: {token: t}\n", string(layer))
	if err != nil || got.Streams[0].Publish.Keys[1] != "\u2028\"\\\n" || got.Streams[0].Publish.Keys[2] != "é😀" || !got.Admin.Open || got.Admin.Ratio != 0.1 || got.Admin.Token != testConf().Admin.Token {
		t.Errorf("%+v, %v", got, err)
	}
	for patch, want := range map[string]string{
		"":                                "reading the patch: it is no JSON",
		"[]":                              "the patch is no JSON object",
		"{} {}":                           "something stands behind the JSON value",
		strings.Repeat(`{"a":`, 65) + "1": "nested more than 64 deep",
		`{"a":"` + strings.Repeat("b", 1<<20) + `"}`: "allowed: at most 1048576",
	} {
		if _, err := Amend(testConf(), nil, []byte(patch)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", patch, err)
		}
	}
	// A secret as it is shown stays what it is, also where the patch gives back what was shown.
	kept, err := Amend(testConf(), []byte("admin: {token: hunter2, open: false}\n"), []byte(`{"admin":{"token":"***","open":true}}`))
	if err != nil || string(kept) != "admin:\n  open: true\n  token: \"hunter2\"\n" {
		t.Errorf("%v\n%s", err, kept)
	}
	kept, err = Amend(testConf(), nil, []byte(`{"admin":{"token":"***"}}`))
	if err != nil || string(kept) != "admin: {}\n" {
		t.Errorf("%v\n%s", err, kept)
	}
	// What no configuration has is for Load to refuse.
	next, err := Amend(testConf(), nil, []byte(`{"<<":{"a":1},"log":5,"No":{"b":[[1,null]]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := layered("", string(next)); err == nil {
		t.Errorf("loads: %s", next)
	}
}

// TestVariableGivenTwice: the last one holds, as in a shell.
func TestVariableGivenTwice(t *testing.T) {
	c := testConf()
	if _, err := Load(c, Source{Environ: []string{"WEIR_LIMITS_SMALL=1", "WEIR_LIMITS_SMALL=2"}}); err != nil || c.Limits.Small != 2 {
		t.Error(c.Limits.Small, err)
	}
}

func TestOverridden(t *testing.T) {
	_, l, err := layered("")
	if err != nil {
		t.Fatal(err)
	}
	secret := testConf()
	env, err := Load(secret, Source{Environ: []string{"WEIR_ADMIN_TOKEN=hunter2", "WEIR_LIMITS={small: 3}"}})
	if err != nil {
		t.Fatal(err)
	}
	for patch, want := range map[string]string{
		`{"admin":{"token":{"file":"/run/token"}}}`: "admin.token", `{"admin":{"token":"x"}}`: "admin.token", `{"admin":{"tokn":{"file":"x"}}}`: "",
		`{"limits":{"connections":1}}`: "", `{"limits":{"small":1}}`: "limits.small",
	} {
		if path, _, found := env.Overridden([]byte(patch)); path != want || found != (want != "") {
			t.Errorf("%s: %q", patch, path)
		}
	}
	for patch, want := range map[string]string{
		`{"log":{"level":"info"}}`: "log.level --set", `{"log":null}`: "log.level --set", `{"limits":{"small":1}}`: "limits.small env WEIR_LIMITS_SMALL",
		`{"limits":{"connections":1}}`: "", `{}`: "",
	} {
		path, by, found := l.Overridden([]byte(patch))
		if got := strings.TrimSpace(path + " " + by.String()); found != (want != "") || found && got != want {
			t.Errorf("%s: %q", patch, got)
		}
	}
}

func TestWhen(t *testing.T) {
	type group struct {
		A string `yaml:"a" help:"h"`
		B string `yaml:"b" reload:"live" help:"h"`
		C struct {
			D string `yaml:"d" reload:"listener" help:"h"`
		} `yaml:"c"`
	}
	var c struct {
		E string   `yaml:"e" help:"h"`
		F group    `yaml:"f" reload:"restart"`
		G []group  `yaml:"g" reload:"new sessions" help:"h"`
		H []string `yaml:"h" reload:"listener" help:"h"`
	}
	keys, err := Keys(&c)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{
		{"e", Live},
		{"f.a", Restart},
		{"f.b", Live},
		{"f.c.d", Listener},
		{"g[].a", NewSessions},
		{"g[].b", Live},
		{"g[].c.d", Listener},
		{"h", Listener},
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Error(diff)
	}
	if bare, err := Undated(&c); err != nil || !slices.Equal(bare, []string{"e"}) {
		t.Errorf("%q %v", bare, err)
	}
	type entry struct {
		A string `yaml:"a" help:"h"`
		B string `yaml:"b" reload:"live" help:"h"`
	}
	live := struct { // that a list is live says nothing of what is in its entries
		L []entry `yaml:"l" reload:"live" help:"h"`
		M []entry `yaml:"m" help:"h"`
		N entry   `yaml:"n" reload:"live"`
	}{}
	if bare, err := Undated(&live); err != nil || !slices.Equal(bare, []string{"l[].a", "m", "m[].a", "n.a"}) {
		t.Errorf("%q %v", bare, err)
	}
	var b bytes.Buffer
	if err := WriteReference(&b, &c); err != nil || !strings.Contains(b.String(), "| `g[].a` | text | `\"\"` | new sessions | H. |") {
		t.Errorf("%v\n%s", err, b.String())
	}
	var bad struct {
		A string `yaml:"a" reload:"sometimes" help:"h"`
	}
	if _, err := Keys(&bad); err == nil || !strings.Contains(err.Error(), `config: a: the tag reload has "sometimes"`) {
		t.Error(err)
	}
}

func TestValues(t *testing.T) {
	_, l, err := layered("streams:\n  - match: a/*\n    publish: {keys: [k]}\n")
	if err != nil {
		t.Fatal(err)
	}
	values, err := l.Values()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, v := range values {
		got[v.Key] = string(v.Value) + " " + v.Origin.String()
	}
	for key, want := range map[string]string{
		"log.level": `"warn" --set`, "streams.0.match": `"a/*" a.yml:2`, "streams.0.publish.keys": `["***"] a.yml:3`,
		"rtmp.handshake_timeout": `"10s" default`, "streams.0.gop_cache.max_bytes": `"32MiB" default`,
	} {
		if got[key] != want {
			t.Errorf("%s: %s, want %s", key, got[key], want)
		}
	}
}
