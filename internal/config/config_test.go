package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

type tlsSection struct {
	Listen string `yaml:"listen" help:"address for TLS"`
	Cert   string `yaml:"cert" help:"file with the certificate"`
	Key    string `yaml:"key" help:"file with the private key"`
}

func (t *tlsSection) Validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return Errorf(&t.Cert, "set both cert and key, or neither")
	}
	return nil
}

type rtmpSection struct {
	Listen           string        `yaml:"listen" help:"address to listen on; empty is off"`
	TLS              tlsSection    `yaml:"tls" help:"RTMP over TLS"`
	ChunkSize        uint32        `yaml:"chunk_size" min:"128" max:"65536" help:"bytes in a chunk sent"`
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" min:"1s" help:"closes a peer that has not finished its handshake by then"`
}

type adminSection struct {
	Listen string  `yaml:"listen" help:"address of the console, the API and the metrics"`
	Token  string  `yaml:"token" secret:"true" help:"what a client must send to be let in"`
	Ratio  float64 `yaml:"ratio" min:"0" max:"1" help:"a number for the tests"`
	Open   bool    `yaml:"open" help:"a switch for the tests"`
}

func (a *adminSection) Validate() error {
	if a.Token == "" && !strings.HasPrefix(a.Listen, "127.") {
		return errors.Join(
			Errorf(&a.Listen, "an address other than loopback needs a token"),
			Errorf(&a.Token, "is empty"))
	}
	return nil
}

type publishPart struct {
	Keys  []string       `yaml:"keys" secret:"true" help:"keys that may publish; none: anybody may"`
	Allow []netip.Prefix `yaml:"allow" help:"addresses that may publish"`
}

type cachePart struct {
	MaxBytes int64 `yaml:"max_bytes" unit:"bytes" help:"bytes kept"`
}

// Embedded lends its keys to the entry.
type Embedded struct {
	Latency string `yaml:"latency" enum:"normal,low" help:"low serves at once"`
}

func (e *Embedded) Validate() error {
	if e.Latency == "low" {
		return Errorf(&e.Latency, "low is not for the tests")
	}
	return nil
}

type streamEntry struct {
	Match   string      `yaml:"match" reload:"new sessions" help:"which streams: * is one segment, ** any number"`
	Publish publishPart `yaml:"publish" help:"who may publish"`
	Embedded
	Cache  cachePart    `yaml:"gop_cache" help:"what a new player starts from"`
	Record []recordPart `yaml:"record" help:"what to record"`
	hidden int
}

type recordPart struct {
	Path  string `yaml:"path" help:"file to write"`
	Limit int64  `yaml:"limit" unit:"bitrate" help:"bit rate above which nothing is written"`
}

type conf struct {
	Log struct {
		Level string `yaml:"level" enum:"debug,info,warn,error" help:"how much to say"`
	} `yaml:"log" help:"what is logged"`
	RTMP    rtmpSection   `yaml:"rtmp" help:"RTMP and RTMPS" reload:"restart"`
	Admin   adminSection  `yaml:"admin"`
	Reload  string        `yaml:"reload" enum:"signal,watch" help:"when a changed file is applied"`
	Limits  limitsSection `yaml:"limits"`
	Streams []streamEntry `yaml:"streams" help:"settings of streams; the first entry that matches applies"`
}

type limitsSection struct {
	Connections   int   `yaml:"connections" min:"0" help:"connections at once; 0 is off"`
	StreamBitrate int64 `yaml:"stream_bitrate" unit:"bitrate" help:"bits per second of one stream; 0 is off"`
	Small         int8  `yaml:"small" help:"a small number for the tests"`
}

// SetDefaults implements Defaulter.
func (e *streamEntry) SetDefaults() {
	*e = streamEntry{
		Match: "**", Publish: publishPart{Keys: []string{}, Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
		Embedded: Embedded{"normal"}, Cache: cachePart{32 << 20}, hidden: 1,
	}
}

func testConf() *conf {
	c := &conf{Reload: "signal"}
	c.Log.Level = "info"
	c.RTMP = rtmpSection{Listen: ":1935", ChunkSize: 65536, HandshakeTimeout: 10 * time.Second, TLS: tlsSection{Listen: ":1936"}}
	c.Admin = adminSection{Listen: "127.0.0.1:8088", Ratio: 0.5}
	c.Limits = limitsSection{Connections: 20000, StreamBitrate: 100e6, Small: -3}
	c.Streams = make([]streamEntry, 1)
	c.Streams[0].SetDefaults()
	return c
}

// TestFiles loads each testdata/*.yml and compares what comes out, the errors or the
// effective configuration, with the .txt beside it. Lines "# env NAME=value" and
// "# set path=value" of the file are given to Load too.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := loadText(t, data)
			golden := strings.TrimSuffix(file, ".yml") + ".txt"
			compareFile(t, golden, got)
		})
	}
}

func loadText(t *testing.T, data []byte) string {
	src := Source{File: "weir.yml", Data: data}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if e, ok := strings.CutPrefix(line, "# env "); ok {
			src.Environ = append(src.Environ, e)
		}
		if s, ok := strings.CutPrefix(line, "# set "); ok {
			src.Sets = append(src.Sets, s)
		}
	}
	c, before := testConf(), testConf()
	loaded, err := Load(c, src)
	if err != nil {
		if diff := cmp.Diff(before, c, cmp.AllowUnexported(streamEntry{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("a failed load changed the defaults:\n%s", diff)
		}
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	if err := loaded.WriteEffective(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compareFile(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestGeneratedFiles(t *testing.T) {
	var defaults, reference bytes.Buffer
	if err := WriteDefaults(&defaults, testConf()); err != nil {
		t.Fatal(err)
	}
	if err := WriteReference(&reference, testConf()); err != nil {
		t.Fatal(err)
	}
	s, err := Schema(testConf())
	if err != nil {
		t.Fatal(err)
	}
	schema, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareFile(t, "testdata/generated/defaults.yml", defaults.String())
	compareFile(t, "testdata/generated/reference.md", reference.String())
	compareFile(t, "testdata/generated/schema.json", string(schema)+"\n")

	// The default file gives the defaults.
	got := &conf{}
	loaded, err := Load(got, Source{File: "defaults.yml", Data: defaults.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Origin("streams.0.match").Kind != FromFile {
		t.Error("the default file leaves out a key")
	}
	gotJSON, _ := json.Marshal(loaded)
	ref, err := Load(testConf(), Source{})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, _ := json.Marshal(ref)
	if diff := cmp.Diff(string(wantJSON), string(gotJSON)); diff != "" {
		t.Error(diff)
	}
	if want := testConf(); got.RTMP != want.RTMP || got.Limits != want.Limits {
		t.Errorf("got %+v", got)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var instance any
	if err := json.Unmarshal(gotJSON, &instance); err != nil {
		t.Fatal(err)
	}
	if err := resolved.Validate(instance); err != nil {
		t.Errorf("the defaults do not fit the schema: %v", err)
	}
	for _, bad := range []string{`{"rtmq":{}}`, `{"rtmp":{"chunk_size":1}}`, `{"rtmp":{"handshake_timeout":"10"}}`, `{"reload":"never"}`, `{"streams":[{"publish":{"keys":"a"}}]}`} {
		if err := json.Unmarshal([]byte(bad), &instance); err != nil {
			t.Fatal(err)
		}
		if resolved.Validate(instance) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
}

func TestOrigin(t *testing.T) {
	load := func(data string, sets ...string) *Loaded {
		t.Helper()
		l, err := Load(testConf(), Source{File: "a.yml", Data: []byte(data), Sets: sets, Environ: []string{"WEIR_LOG_LEVEL=warn", "PATH=/bin"}})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a := load("rtmp:\n  listen: ':1'\n", "limits.connections=5")
	for path, want := range map[string]string{
		"rtmp.listen": "a.yml:2", "rtmp.chunk_size": "default", "log.level": "env WEIR_LOG_LEVEL",
		"limits.connections": "--set", "no.such.key": "default",
	} {
		if got := a.Origin(path).String(); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestDiff(t *testing.T) {
	a, b := testConf(), testConf()
	b.RTMP.TLS.Listen, b.Limits.Connections, b.Streams[0].Match = ":2", 5, "a/b"
	changes, err := Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{"rtmp.tls.listen", Restart}, {"limits.connections", Live}, {"streams.0.match", NewSessions}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if changes, err := Diff(a, testConf()); changes != nil || err != nil {
		t.Error(changes, err)
	}
	c := *a
	if err := CopyLive(&c, b); err != nil {
		t.Fatal(err)
	}
	if c.RTMP != a.RTMP || c.Limits != b.Limits || c.Streams[0].Match != "a/b" {
		t.Errorf("the keys that need no restart, and only they: got %+v", c)
	}
	a.Streams, b.Streams = nil, []streamEntry{} // both mean no entries
	b.RTMP.TLS.Listen, b.Limits.Connections = a.RTMP.TLS.Listen, a.Limits.Connections
	if changes, err := Diff(a, b); changes != nil || err != nil {
		t.Error(changes, err)
	}
}

// A configuration that a program has written is held to the same rules as a file.
func TestValidateWhatAProgramWrote(t *testing.T) {
	if err := Validate(testConf()); err != nil {
		t.Error(err)
	}
	c := testConf()
	c.RTMP.HandshakeTimeout, c.RTMP.TLS.Key = -time.Second, "key.pem"
	c.Admin.Listen = ":8088"
	c.Limits.StreamBitrate = -1
	c.Streams = append(c.Streams, streamEntry{Match: "x"})
	want := `configuration: rtmp.handshake_timeout: found "-1s", allowed: a duration such as 10s, 1m30s, 200ms or 0s, at least 1s
configuration: limits.stream_bitrate: found "-1bps", allowed: a bit rate such as 2500kbps, 100Mbps or a number of bits per second
configuration: streams.1.latency: found "", allowed: normal, low
configuration: rtmp.tls.cert: set both cert and key, or neither
configuration: admin.listen: an address other than loopback needs a token
configuration: admin.token: is empty`
	if err := Validate(c); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestStructMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		conf any
		says string
	}{
		"no pointer": {conf{}, "config.conf is not a pointer to a struct"},
		"no struct":  {new(int), "*int is not a pointer to a struct"},
		"nil":        {(*conf)(nil), "*config.conf is not a pointer to a struct"},
		"twice": {&struct {
			A int `yaml:"a" help:"h"`
			B int `yaml:"a" help:"h"`
		}{}, "a: declared twice"},
		"upper": {&struct {
			A int `yaml:"A" help:"h"`
		}{}, `A: "A" is not a lower-case key`},
		"no help": {&struct {
			A struct {
				B int `yaml:"b"`
			} `yaml:"a"`
		}{}, "a.b: no help tag"},
		"no tag": {&struct {
			A struct{ B int } `yaml:"a"`
		}{}, "a: field B has no yaml tag"},
		"map": {&struct {
			B map[string]int `yaml:"b" help:"h"`
		}{}, "b: a field cannot be a map[string]int"},
		"itself": {&recursive{}, "nested more than 16 deep"},
		"bad bound": {&struct {
			B int `yaml:"b" help:"h" min:"x"`
		}{}, "b: min: "},
		"text bound": {&struct {
			B string `yaml:"b" help:"h" min:"x"`
		}{}, "b: min: a string has no order"},
		"unit of a number": {&struct {
			B int `yaml:"b" help:"h" unit:"bytes"`
		}{}, `b: a int cannot have the unit "bytes"`},
		"unknown unit": {&struct {
			B int64 `yaml:"b" help:"h" unit:"parsec"`
		}{}, `b: a int64 cannot have the unit "parsec"`},
		"unknown format": {&struct {
			B []string `yaml:"b" help:"h" format:"poem"`
		}{}, `b: a []string cannot have the format "poem"`},
		"environment": {&struct {
			B struct {
				C int `yaml:"c" help:"h"`
			} `yaml:"b"`
			BC int `yaml:"b_c" help:"h"`
		}{}, "b.c and b_c have the same environment name WEIR_B_C"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(c.conf, Source{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want %s", err, c.says)
			}
			var e Errors
			if errors.As(err, &e) {
				t.Fatalf("blames the configuration: %v", err)
			}
		})
	}
}

type recursive struct {
	Below []recursive `yaml:"below" help:"h"`
}

func TestErrorsUnwrap(t *testing.T) {
	_, err := Load(testConf(), Source{File: "a.yml", Data: []byte("admin: {listen: ':1'}\n")})
	var p *Problem
	if !errors.As(err, &p) || p.Path != "admin.listen" || p.Origin.Line != 1 || p.Err == nil {
		t.Fatalf("%v %+v", err, p)
	}
}

func TestManyMistakes(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "k%d: 1\n", i)
	}
	_, err := Load(testConf(), Source{File: "a.yml", Data: []byte(b.String())})
	var e Errors
	if !errors.As(err, &e) || len(e) != 20 {
		t.Fatalf("%d: %v", len(e), err)
	}
}

func TestHostileFiles(t *testing.T) {
	for name, data := range map[string]string{
		"too large": strings.Repeat("#", 1<<20+1),
		"brackets":  strings.Repeat("[", 100000),
		"braces":    strings.Repeat("{a: ", 100000),
		"dashes":    strings.Repeat("- ", 100000),
		"laughs":    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nstreams: [*c]\n",
		"itself":    "streams: &x [*x]\n",
		"NUL":       "log: {level: \x00}",
		"not UTF-8": "log: {level: \xff}",
		"two":       "log:\n---\nlog:\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(testConf(), Source{File: "a.yml", Data: []byte(data)})
			var e Errors
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			if len(err.Error()) > 10000 {
				t.Errorf("%d bytes of message", len(err.Error()))
			}
		})
	}
	t.Run("laughs that fit", func(t *testing.T) {
		var c struct {
			V [][][][]string `yaml:"v" help:"h"`
		}
		doc := "a: &a [x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x]\n" // not a key here: reported, and still bounded
		doc += "v: [[[*a,*a,*a,*a,*a,*a,*a,*a,*a,*a],[*a,*a]]]\n"
		_, err := Load(&c, Source{Data: []byte(doc)})
		if err == nil || c.V != nil {
			t.Fatal(err, c.V)
		}
	})
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "rtmp.listen=:1", "WEIR_LOG_LEVEL=info")
	}
	f.Add([]byte("a: *x"), "streams.0.publish.keys=[a, b]", "WEIR_STREAMS_1_MATCH=x")
	f.Add([]byte("<<: [*x]\n"), "streams={", "WEIR_STREAMS=[{}]")
	f.Fuzz(func(t *testing.T, data []byte, set, env string) {
		if len(data) > 1<<12 {
			return
		}
		loaded, err := Load(testConf(), Source{File: "a.yml", Data: data, Sets: []string{set}, Environ: []string{env}})
		if err != nil {
			var e Errors
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			return
		}
		// What is in force survives being written and read again.
		p := &printer{}
		p.sections(loaded.root, loaded.conf)
		reread, err := Load(testConf(), Source{File: "b.yml", Data: p.Bytes()})
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Bytes())
		}
		var before, after bytes.Buffer
		if err := errors.Join(writeJSON(&before, loaded.root, loaded.conf, false), writeJSON(&after, reread.root, reread.conf, false)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.String(), after.String()); diff != "" {
			t.Fatalf("%s\n%s", diff, p.Bytes())
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	var file bytes.Buffer
	if err := WriteDefaults(&file, testConf()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(testConf(), Source{File: "a.yml", Data: file.Bytes()}); err != nil {
			b.Fatal(err)
		}
	}
}
