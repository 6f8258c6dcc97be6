package weir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// layers is the policy: a folder may import, of ours, only the folders on its line and
// what lies below them, and of outside modules only those on its line. The line that
// applies is the one with the longest name that is the folder or above it. A line is
// not changed to make a build pass: a new import needs a reason in ARCHITECTURE.md.
var layers = []struct{ folder, ours, outside string }{
	// The library: anyone may import it.
	{"av", "", ""},
	{"amf", "", ""},
	{"codec/bits", "", ""},
	{"codec", "av codec", ""},
	{"format", "av codec amf", ""},
	{"format/mp4", "av codec format/fmp4", ""},
	{"rtmp", "amf", ""},

	// The server.
	{"internal/strictjson", "", ""},
	{"internal/statefile", "", "golang.org/x/sys"},
	{"internal/config", "internal/strictjson", "github.com/google/jsonschema-go go.yaml.in/yaml/v4"},
	{"internal/timeline", "", ""},
	{"internal/stream", "av codec internal/timeline", ""},
	{"internal/health", "av amf codec format/flv internal/stream", ""},
	{"internal/accessunit", "av codec internal/stream", ""},
	{"internal/fanout", "", "golang.org/x/sys"},
	{"internal/mux", "av internal/stream internal/fanout", ""},
	{"internal/hls", "av amf codec format internal/accessunit internal/stream", "golang.org/x/sys"},
	{"internal/session", "", "github.com/google/uuid"},
	{"internal/hook/deliver", "internal/admit internal/config internal/event internal/hook/. internal/session", "golang.org/x/sys"},
	{"internal/event", "internal/session internal/stream", ""},
	{"internal/hook", "internal/admit internal/event internal/session internal/version", ""},
	{"internal/hook/decide", "internal/admit internal/config internal/hook/. internal/session", ""},
	{"internal/admit", "internal/config internal/session internal/statefile", "github.com/MicahParks/keyfunc github.com/golang-jwt/jwt golang.org/x/crypto"},
	{"internal/metrics", "internal/session internal/stream internal/config internal/version", "github.com/prometheus/client_golang"},
	{"internal/trace", "internal/config", "go.opentelemetry.io/otel go.opentelemetry.io/proto/otlp google.golang.org/protobuf"},
	{"internal/intake", "", ""},
	{"internal/listen", "internal/config", "github.com/pires/go-proxyproto golang.org/x/sys"},
	{"internal/loglimit", "", ""},
	{"internal/version", "", ""},
	{"internal/freeport", "", ""}, // of tests alone
	{"internal/httpserver", "internal/httpserver/http1 internal/peer internal/protocol/. internal/session", ""},
	{"internal/httpserver/http1", "", ""},
	{"internal/admin", "av internal/event internal/session internal/stream internal/strictjson internal/version", "github.com/danielgtaylor/huma/v2"},
	{"internal/websocket", "", ""},
	{"internal/hops", "internal/session", ""},
	{"internal/reach", "rtmp internal/session", ""},
	{"internal/push", "av amf codec format/flv rtmp internal/accessunit internal/config internal/event internal/fetch internal/hops internal/reach internal/session internal/statefile internal/stream", ""},
	{"internal/peer", "av internal/admit internal/fanout internal/hops internal/intake internal/mux internal/session internal/stream", "golang.org/x/sys"},
	{"internal/ingest", "av amf format/flv internal/session internal/stream", ""},
	{"internal/flvbody", "av amf format/flv internal/accessunit internal/fanout internal/mux internal/stream", ""},
	{"internal/live", "internal/intake internal/mux internal/peer internal/protocol/. internal/session internal/stream internal/websocket", "github.com/coder/websocket"},
	// One line for every protocol: none imports another.
	{"internal/protocol", "av codec amf format rtmp internal/accessunit internal/admit internal/config internal/fanout internal/flvbody internal/hls internal/hops internal/ingest internal/intake internal/listen internal/live internal/mux internal/peer internal/protocol/. internal/session internal/stream internal/websocket", ""},
	// The suite runs protocols, and is imported by their tests alone.
	{"internal/protocol/protocoltest", "av internal/admit internal/fanout internal/httpserver internal/intake internal/listen internal/mux internal/peer internal/protocol/. internal/session internal/stream", "github.com/coder/websocket go.uber.org/goleak"},
	{"internal/pages", "av format/fmp4 internal/peer internal/protocol/. internal/stream", ""},
	{"internal/snapshot", "av format/fmp4 internal/peer internal/protocol/. internal/stream internal/session", ""},
	{"internal/fetch", "av amf format rtmp internal/hops internal/reach internal/session", "github.com/coder/websocket"},
	{"internal/record", "av codec format internal/accessunit internal/config internal/event internal/stream", "golang.org/x/sys"},
	{"internal/relay", "av codec amf format rtmp internal/fetch internal/timeline internal/session", ""},
	{"internal/pull", "av internal/admit internal/config internal/fetch internal/hops internal/ingest internal/peer internal/reach internal/session internal/statefile internal/stream", ""},
	{"internal/probe", "av codec amf format internal/health internal/timeline internal/fetch", ""},
	{"internal/archive", "format/fmp4 format/m3u8 format/mp4 internal/archive/clip internal/archive/s3 internal/event internal/peer internal/protocol/. internal/record internal/session", "modernc.org/sqlite"},
	{"internal/archive/clip", "format/fmp4 format/mp4", ""},
	{"internal/archive/s3", "internal/config", "github.com/minio/minio-go/v7"},
	{"internal/demo", "av codec format", ""},
	{"internal/server", "av codec amf format rtmp internal web", "github.com/fsnotify/fsnotify golang.org/x/sys"},

	{"web", "", ""},

	// What stands on top. "." is package weir itself.
	{".", "av internal", ""},
	{"bench", "av amf format rtmp bench", "github.com/coder/websocket golang.org/x/sys"},
	{"test", "av codec amf format rtmp", ""},
	{"cmd", ". av codec amf format rtmp bench internal/admit internal/config internal/demo internal/fetch internal/relay internal/probe internal/record internal/session internal/version", "github.com/alecthomas/kong github.com/lmittmann/tint golang.org/x/sys golang.org/x/term"},
}

// module is the module's name, the beginning of the path of each of our packages.
const module = "weir"

// TestLayers holds the sources to the policy. It reads them itself: a test that
// shells out to "go list" is answered from go test's cache when only they have changed.
func TestLayers(t *testing.T) {
	eachFile(t, parser.ImportsOnly, func(name string, _ *token.FileSet, f *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if why := refuse(path.Dir(name), p); why != "" {
				t.Errorf("%s imports %s: %s", name, p, why)
			}
		}
	})
}

// refuse says why the package in a folder may not import p; "" if it may.
func refuse(folder, p string) string {
	line := -1
	for i, l := range layers {
		if under(folder, l.folder) && (line < 0 || len(l.folder) > len(layers[line].folder)) {
			line = i
		}
	}
	if line < 0 {
		return folder + " has no line in layers"
	}
	l := layers[line]
	in, ours := strings.CutPrefix(p+"/", module+"/")
	if in = strings.TrimSuffix(in, "/"); in == "" {
		in = "."
	}
	if !ours {
		host, _, _ := strings.Cut(p, "/")
		if !strings.Contains(host, ".") { // the standard library
			return ""
		}
		for m := range strings.FieldsSeq(l.outside) {
			if under(p, m) {
				return ""
			}
		}
		return l.folder + " may not use this module"
	}
	for m := range strings.FieldsSeq(l.ours) {
		if only, ok := strings.CutSuffix(m, "/."); ok && in == only || !ok && under(in, m) {
			return ""
		}
	}
	return l.folder + " may not use this folder"
}

// under reports whether p is prefix or lies below it. Nothing lies below ".".
func under(p, prefix string) bool { return p == prefix || strings.HasPrefix(p, prefix+"/") }

// protocolTable is the one file outside the protocols' folders that names them.
const protocolTable = "internal/server/protocols.go"

// TestNothingNamesAProtocol holds the sources to the rule that a protocol is one folder and one line: every
// folder has a line in the table, and nothing else imports one or uses its section of the configuration.
func TestNothingNamesAProtocol(t *testing.T) {
	folders, inTable, sections := map[string]bool{}, map[string]bool{}, map[string]bool{}
	const prefix = module + "/internal/protocol/"
	eachFile(t, parser.SkipObjectResolution, func(name string, _ *token.FileSet, f *ast.File) {
		if folder, ok := strings.CutPrefix(path.Dir(name), "internal/protocol/"); ok && !strings.HasSuffix(folder, "test") {
			folders[strings.Split(folder, "/")[0]] = true
		}
		if name != protocolTable {
			return
		}
		for _, im := range f.Imports {
			if p, _ := strconv.Unquote(im.Path.Value); strings.HasPrefix(p, prefix) {
				inTable[strings.TrimPrefix(p, prefix)] = true
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.Name == "Protocols" {
				for _, field := range spec.Type.(*ast.StructType).Fields.List {
					sections[field.Names[0].Name] = true
				}
			}
			return true
		})
	})
	if len(sections) == 0 || !maps.Equal(folders, inTable) {
		t.Errorf("%s has the folders %v and the lines %v; there are %v", protocolTable, inTable, sections, folders)
	}
	eachFile(t, parser.SkipObjectResolution, func(name string, fset *token.FileSet, f *ast.File) {
		own, _, _ := strings.Cut(strings.TrimPrefix(name, "internal/protocol/"), "/")
		if strings.HasSuffix(name, "_test.go") || name == protocolTable || strings.HasPrefix(name, "internal/protocol/") && folders[own] {
			return
		}
		packages := map[string]bool{}
		for _, im := range f.Imports {
			p, _ := strconv.Unquote(im.Path.Value)
			if strings.HasPrefix(p, prefix) && folders[strings.TrimPrefix(p, prefix)] {
				t.Errorf("%s imports %s: only %s does", name, p, protocolTable)
			}
			if packages[path.Base(p)] = true; im.Name != nil {
				packages[im.Name.Name] = true
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sections[sel.Sel.Name] {
				if x, ok := sel.X.(*ast.Ident); !ok || !packages[x.Name] {
					t.Errorf("%v: .%s is a protocol's section: only its folder knows it", fset.Position(n.Pos()), sel.Sel.Name)
				}
			}
			return true
		})
	})
}

// TestLayersRefuse holds the policy's reader to a few imports of known verdict.
func TestLayersRefuse(t *testing.T) {
	for _, c := range []struct {
		folder, path string
		may          bool
	}{
		{"rtmp", "net/http", true},
		{"rtmp", "weir/amf", true},
		{"rtmp", "weir/av", false},
		{"rtmp", "weir", false},
		{"rtmp", "go.opentelemetry.io/otel", false},
		{"internal/server", "go.opentelemetry.io/otel/trace", false},
		{"internal/trace", "go.opentelemetry.io/otel/sdk/trace", true},
		{"codec/h264", "weir/codec/bits", true},
		{"internal/protocol/rtmp", "weir/internal/protocol", true},
		{"internal/protocol/rtmp", "weir/internal/protocol/httpflv", false},
		{"internal/protocol/new", "weir/internal/protocol/rtmp", false},
		{"internal/stream", "weir/internal/streamer", false},
		{"internal/fanout", "golang.org/x/sys/unix", true},
		{"internal/fanout", "golang.org/x/term", false},
		{"cmd/weir", "weir", true},
		{".", "weir/internal/server", true},
		{".", "weir/cmd/weir", false},
		{"elsewhere", "fmt", false},
	} {
		if why := refuse(c.folder, c.path); (why == "") != c.may {
			t.Errorf("%s importing %s: got %q, may is %v", c.folder, c.path, why, c.may)
		}
	}
}

// eachFile parses every Go file of this module, tests included, and calls f with its
// slashed name relative to the root.
func eachFile(t *testing.T, mode parser.Mode, f func(name string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	n := 0
	root := os.DirFS(".")
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p == "." {
				return nil
			}
			if b := path.Base(p); strings.HasPrefix(b, ".") || b == "testdata" || b == "node_modules" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(p, "go.mod")); err == nil { // another module
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, p, nil, mode)
		if err != nil {
			return err
		}
		n++
		f(p, fset, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		t.Fatal("found no Go files")
	}
}
