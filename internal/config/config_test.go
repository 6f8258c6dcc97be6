package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
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
		return Atf("cert", "set both cert and key, or neither")
	}
	return nil
}

type rtmpSection struct {
	Listen           string     `yaml:"listen" help:"address to listen on; empty is off"`
	TLS              tlsSection `yaml:"tls" help:"RTMP over TLS"`
	ChunkSize        uint32     `yaml:"chunk_size" min:"128" max:"65536" help:"bytes in a chunk sent"`
	HandshakeTimeout Duration   `yaml:"handshake_timeout" min:"1s" help:"closes a peer that has not finished its handshake by then"`
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
			Atf("listen", "an address other than loopback needs a token"),
			Atf("token", "is empty"))
	}
	return nil
}

type publishPart struct {
	Keys  []string `yaml:"keys" secret:"true" help:"keys that may publish; none: anybody may"`
	Allow CIDRs    `yaml:"allow" help:"addresses that may publish"`
}

type cachePart struct {
	MaxBytes Bytes `yaml:"max_bytes" help:"bytes kept"`
}

// Embedded lends its keys to the entry.
type Embedded struct {
	Latency string `yaml:"latency" enum:"normal,low" help:"low serves at once"`
}

func (e *Embedded) Validate() error {
	if e.Latency == "low" {
		return Atf("latency", "low is not for the tests")
	}
	return nil
}

type streamEntry struct {
	Match   string      `yaml:"match" help:"which streams: * is one segment, ** any number"`
	Publish publishPart `yaml:"publish" help:"who may publish"`
	Embedded
	Cache  cachePart    `yaml:"gop_cache" help:"what a new player starts from"`
	Record []recordPart `yaml:"record" help:"what to record"`
	hidden int
}

type recordPart struct {
	Path  string  `yaml:"path" help:"file to write"`
	Limit Bitrate `yaml:"limit" help:"bit rate above which nothing is written"`
}

type conf struct {
	Log struct {
		Level string `yaml:"level" enum:"debug,info,warn,error" help:"how much to say"`
	}
	RTMP    rtmpSection
	Admin   adminSection
	Reload  string
	Limits  limitsSection
	Streams []streamEntry
}

type limitsSection struct {
	Connections   int     `yaml:"connections" min:"0" help:"connections at once; 0 is off"`
	StreamBitrate Bitrate `yaml:"stream_bitrate" help:"bits per second of one stream; 0 is off"`
	Small         int8    `yaml:"small" help:"a small number for the tests"`
}

func testSections() (*conf, []Section) {
	c := &conf{Reload: "signal"}
	c.Log.Level = "info"
	c.RTMP = rtmpSection{Listen: ":1935", ChunkSize: 65536, HandshakeTimeout: Duration(10 * time.Second), TLS: tlsSection{Listen: ":1936"}}
	c.Admin = adminSection{Listen: "127.0.0.1:8088", Ratio: 0.5}
	c.Limits = limitsSection{Connections: 20000, StreamBitrate: 100e6, Small: -3}
	entry := streamEntry{
		Match: "**", Publish: publishPart{Keys: []string{}, Allow: CIDRs{mustCIDR("0.0.0.0/0"), mustCIDR("::/0")}},
		Embedded: Embedded{"normal"}, Cache: cachePart{32 << 20}, hidden: 1,
	}
	c.Streams = []streamEntry{entry}
	return c, []Section{
		{Name: "log", Help: "what is logged", Value: &c.Log},
		{Name: "rtmp", Help: "RTMP and RTMPS", Value: &c.RTMP},
		{Name: "admin", Value: &c.Admin},
		{Name: "reload", Help: "when a changed file is applied", Value: &c.Reload, Tags: `enum:"signal,watch"`},
		{Name: "limits", Value: &c.Limits},
		{Name: "streams", Help: "settings of streams; the first entry that matches applies", Value: &c.Streams, Entry: &entry},
	}
}

func mustCIDR(s string) CIDR {
	c, err := ParseCIDR(s)
	if err != nil {
		panic(err)
	}
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
	c, sections := testSections()
	before, _ := testSections()
	loaded, err := Load(sections, src)
	if err != nil {
		if diff := cmp.Diff(before, c, cmp.AllowUnexported(streamEntry{}), cmp.Comparer(func(a, b CIDR) bool { return a == b })); diff != "" {
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
	_, sections := testSections()
	var defaults, reference bytes.Buffer
	if err := WriteDefaults(&defaults, sections); err != nil {
		t.Fatal(err)
	}
	if err := WriteReference(&reference, sections); err != nil {
		t.Fatal(err)
	}
	s, err := Schema(sections)
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
	want, _ := testSections()
	got, again := testSections()
	*got = conf{}
	for i := range got.Streams {
		got.Streams[i] = streamEntry{}
	}
	loaded, err := Load(again, Source{File: "defaults.yml", Data: defaults.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Origin("streams.0.match").Kind != FromFile {
		t.Error("the default file leaves out a key")
	}
	gotJSON, _ := json.Marshal(loaded)
	_, fresh := testSections()
	ref, err := Load(fresh, Source{})
	if err != nil {
		t.Fatal(err)
	}
	wantJSON, _ := json.Marshal(ref)
	if diff := cmp.Diff(string(wantJSON), string(gotJSON)); diff != "" {
		t.Error(diff)
	}
	if got.RTMP != want.RTMP || got.Limits != want.Limits {
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

func TestOriginAndDiff(t *testing.T) {
	load := func(data string, sets ...string) *Loaded {
		t.Helper()
		_, sections := testSections()
		l, err := Load(sections, Source{File: "a.yml", Data: []byte(data), Sets: sets, Environ: []string{"WEIR_LOG_LEVEL=warn", "PATH=/bin"}})
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
	b := load("rtmp:\n  listen: ':2'\nstreams: [{match: a/b}]\n", "limits.connections=5")
	if diff := cmp.Diff([]string{"rtmp", "streams"}, Diff(a, b)); diff != "" {
		t.Error(diff)
	}
	if d := Diff(a, a); d != nil {
		t.Error(d)
	}
	if _, ok := b.Section("rtmp").(*rtmpSection); !ok || b.Section("x") != nil {
		t.Error("Section")
	}
	if got := b.Problem("streams.0.publish.keys", errors.New("bad")).Error(); got != "a.yml:3:12: streams.0.publish.keys: bad" {
		t.Error(got)
	}
}

func TestSectionMistakes(t *testing.T) {
	str := "x"
	for name, s := range map[string][]Section{
		"no pointer": {{Name: "a", Help: "h", Value: 1}},
		"nil":        {{Name: "a", Help: "h", Value: (*rtmpSection)(nil)}},
		"twice":      {{Name: "a", Help: "h", Value: &str}, {Name: "a", Help: "h", Value: &str}},
		"upper":      {{Name: "A", Help: "h", Value: &str}},
		"no help":    {{Name: "a", Value: &str}},
		"field help": {{Name: "a", Value: &struct {
			B int `yaml:"b"`
		}{}}},
		"no tag": {{Name: "a", Value: &struct{ B int }{}}},
		"map": {{Name: "a", Value: &struct {
			B map[string]int `yaml:"b" help:"h"`
		}{}}},
		"itself": {{Name: "a", Value: &recursive{}}},
		"bad bound": {{Name: "a", Value: &struct {
			B int `yaml:"b" help:"h" min:"x"`
		}{}}},
		"text bound": {{Name: "a", Value: &struct {
			B string `yaml:"b" help:"h" min:"x"`
		}{}}},
		"environment": {{Name: "a", Value: &struct {
			B struct {
				C int `yaml:"c" help:"h"`
			} `yaml:"b"`
			BC int `yaml:"b_c" help:"h"`
		}{}}},
		"entry type":    {{Name: "a", Help: "h", Value: &[]recordPart{}, Entry: &str}},
		"entry no list": {{Name: "a", Help: "h", Value: &str, Entry: &str}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(s, Source{})
			if err == nil {
				t.Fatal("no error")
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
	_, sections := testSections()
	_, err := Load(sections, Source{File: "a.yml", Data: []byte("admin: {listen: ':1'}\n")})
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
	_, sections := testSections()
	_, err := Load(sections, Source{File: "a.yml", Data: []byte(b.String())})
	var e Errors
	if !errors.As(err, &e) || len(e) != MaxProblems {
		t.Fatalf("%d: %v", len(e), err)
	}
}

func TestHostileFiles(t *testing.T) {
	for name, data := range map[string]string{
		"too large": strings.Repeat("#", MaxFileSize+1),
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
			_, sections := testSections()
			_, err := Load(sections, Source{File: "a.yml", Data: []byte(data)})
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
		var v [][][][]string
		doc := "a: &a [x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x,x]\n" // not a key here: reported, and still bounded
		doc += "v: [[[*a,*a,*a,*a,*a,*a,*a,*a,*a,*a],[*a,*a]]]\n"
		_, err := Load([]Section{{Name: "v", Help: "h", Value: &v}}, Source{Data: []byte(doc)})
		if err == nil || v != nil {
			t.Fatal(err, v)
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
		_, sections := testSections()
		loaded, err := Load(sections, Source{File: "a.yml", Data: data, Sets: []string{set}, Environ: []string{env}})
		if err != nil {
			var e Errors
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			return
		}
		// What is in force survives being written and read again.
		p := &printer{}
		p.sections(loaded.root)
		_, again := testSections()
		reread, err := Load(again, Source{File: "b.yml", Data: p.Bytes()})
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Bytes())
		}
		var before, after bytes.Buffer
		if err := errors.Join(writeJSON(&before, loaded.root, reflect.Value{}, false), writeJSON(&after, reread.root, reflect.Value{}, false)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.String(), after.String()); diff != "" {
			t.Fatalf("%s\n%s", diff, p.Bytes())
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	_, sections := testSections()
	var file bytes.Buffer
	if err := WriteDefaults(&file, sections); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, sections := testSections()
		if _, err := Load(sections, Source{File: "a.yml", Data: file.Bytes()}); err != nil {
			b.Fatal(err)
		}
	}
}
