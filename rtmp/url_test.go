package rtmp

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("x", 250) // live/ + 250 = 255
	tests := []struct {
		name             string // case and what is special
		app, tcURL, key  string
		path, query      string
		vhost, fallback  string
		wantErr          bool
		wantQ            map[string]string
		wantApp, wantKey string
	}{
		{name: "plain", app: "live", tcURL: "rtmp://h/live", key: "cam", path: "live/cam", vhost: "h", wantApp: "live", wantKey: "cam"},
		{
			name: "C-141 two question marks", app: "live", key: "cam?a=1?b=2&c=3", path: "live/cam", query: "a=1?b=2&c=3",
			wantQ: map[string]string{"a": "1", "b": "2", "c": "3"},
		},
		{
			name: "C-142 query in the application", app: "live?token=x", key: "cam?y=1", path: "live/cam", query: "y=1&token=x",
			wantQ: map[string]string{"token": "x", "y": "1"},
		},
		{
			name: "C-142 the stream's keys win", app: "live?key=app", tcURL: "rtmp://h/live?key=url&z=3", key: "cam?key=stream",
			path: "live/cam", vhost: "h", query: "key=stream&z=3", wantQ: map[string]string{"key": "stream", "z": "3"},
		},
		{name: "C-143 instance", app: "live/_definst_", key: "cam", path: "live/cam"},
		{name: "C-143 slash behind", app: "live/", key: "cam", path: "live/cam"},
		{name: "C-143 slash before", app: "/live", key: "cam", path: "live/cam"},
		{name: "C-143 instance behind a query", app: "live?k=v/_definst_", key: "cam", path: "live/cam", query: "k=v"},
		{name: "C-144 app of two", app: "a/b", key: "c", path: "a/b/c"},
		{name: "C-144 name of two", app: "a", key: "b/c", path: "a/b/c"},
		{
			name: "C-145 vhost in the application", app: "live?vhost=x.org", tcURL: "rtmp://h/live", key: "cam", path: "live/cam",
			vhost: "x.org", query: "vhost=x.org",
		},
		{name: "C-145 vhost in the name", app: "live?vhost=a", key: "cam?vhost=B.", path: "live/cam", vhost: "b", query: "vhost=B."},
		{name: "C-145 domain", app: "live", key: "cam?domain=d", path: "live/cam", vhost: "d", query: "domain=d"},
		{name: "C-145 dots", app: "live...vhost...x", key: "cam", path: "live/cam", vhost: "x"},
		{
			name: "C-145 vhost as a file path", app: "live", key: "cam?vhost=../../etc", path: "live/cam", vhost: "../../etc",
			query: "vhost=../../etc",
		},
		{name: "C-146 IPv6 and port", app: "live", tcURL: "rtmp://[::1]:1935/live", key: "cam", path: "live/cam", vhost: "[::1]"},
		{
			name: "C-146 upper case, port, dot", app: "live", tcURL: "rtmp://Example.ORG.:1935/live", key: "cam", path: "live/cam",
			vhost: "example.org",
		},
		{name: "C-146 no scheme", app: "live", tcURL: "h/live", key: "cam", path: "live/cam"},
		{name: "C-146 user", app: "live", tcURL: "rtmp://u:p@h/live", key: "cam", path: "live/cam", vhost: "h"},
		{name: "C-147 escape", app: "live", key: "ca%6d", path: "live/cam"},
		{name: "C-147 escape decoded once", app: "live", key: "ca%256d", path: "live/ca%6d"},
		{name: "C-147 NUL", app: "live", key: "ca%00m", wantErr: true},
		{name: "C-147 escaped traversal", app: "live", key: "a%2F..%2Fb", wantErr: true},
		{name: "C-147 no escape", app: "live", key: "100%", path: "live/100%"},
		{name: "C-147 plus is literal", app: "live", key: "a+b", path: "live/a+b"},
		{name: "C-148 traversal", app: "live", key: "../../etc/x", wantErr: true},
		{name: "C-148 dot", app: "live", key: "./x", wantErr: true},
		{name: "C-148 backslash", app: "live", key: `..\\x`, wantErr: true},
		{name: "C-148 absolute", app: "live", key: "/abs", wantErr: true},
		{name: "C-148 empty segment", app: "live", key: "a//b", wantErr: true},
		{name: "C-148 empty last segment", app: "live", key: "a/", wantErr: true},
		{name: "C-148 device", app: "live", key: "CON", path: "live/CON"},
		{name: "C-148 colon", app: "live", key: "a:b", path: "live/a:b"},
		{name: "C-149 line break", app: "live", key: "a\r\n\x1b[31m", wantErr: true},
		{name: "C-149 override", app: "live", key: "a\u202eb", wantErr: true},
		{name: "C-149 not UTF-8", app: "live", key: "a\xff", wantErr: true},
		{name: "C-149 escaped C1 control", app: "live", key: "a%C2%85", wantErr: true},
		{name: "C-150 markup", app: "live", key: "<script>", path: "live/<script>"},
		{
			name: "C-151 token", app: "live", key: "cam?token=ab+/c%2B==&x", path: "live/cam", query: "token=ab+/c%2B==&x",
			wantQ: map[string]string{"token": "ab+/c+==", "x": ""},
		},
		{name: "C-140 255 bytes", app: "live", key: long, path: "live/" + long},
		{name: "C-140 256 bytes", app: "live", key: long + "x", wantErr: true},
		{name: "C-140 4 KiB", app: "live", key: strings.Repeat("n", 4096), wantErr: true},
		{name: "C-140 empty", app: "live", wantErr: true},
		{name: "C-140 only a query", app: "live", key: "?", wantErr: true},
		{name: "C-140 key in the application", app: "live/cam", key: "", path: "live/cam", wantApp: "live", wantKey: "cam"},
		{name: "C-140 key in the application, query in the name", app: "live/cam", key: "?k=1", path: "live/cam", query: "k=1"},
		{name: "C-140 17 segments", app: "live", key: strings.Repeat("a/", 15) + "a", wantErr: true},
		{name: "C-140 16 segments", app: "live", key: strings.Repeat("a/", 14) + "a", path: "live/" + strings.Repeat("a/", 14) + "a"},
		{name: "C-103 no application", app: "", tcURL: "rtmp://h/live", key: "cam", path: "live/cam", vhost: "h"},
		{name: "no application at all", key: "cam", wantErr: true},
		{name: "no application, two segments", key: "live/cam", path: "live/cam"},
		{name: "C-100 quoted tcUrl", app: "", tcURL: "'rtmp://h/live'", key: "cam", path: "live/cam", vhost: "h"},
		{name: "C-269 camera", app: "live", tcURL: "rtmp://h/live/", key: "cam", path: "live/cam", vhost: "h"},
		{name: "blanks and line end around", app: " live ", key: " cam\n", path: "live/cam"},
		{name: "C-202 prefix", app: "live", key: "mp4:cam", path: "live/mp4:cam", fallback: "live/cam"},
		{name: "C-202 extension", app: "live", key: "cam.flv", path: "live/cam.flv", fallback: "live/cam"},
		{name: "C-202 both", app: "live", key: "mp4:a/cam.mp4?x", path: "live/mp4:a/cam.mp4", fallback: "live/a/cam", query: "x"},
		{name: "C-202 nothing left", app: "live", key: "flv:", path: "live/flv:"},
		{name: "query of 65 parameters", app: "live", key: "cam?" + strings.Repeat("a&", 65), wantErr: true},
		{name: "query of 64 parameters", app: "live", key: "cam?" + strings.Repeat("a&", 63) + "a", path: "live/cam", query: strings.Repeat("a&", 63) + "a"},
		{name: "query of 4 KiB", app: "live", key: "cam?a=" + strings.Repeat("v", 4094), path: "live/cam", query: "a=" + strings.Repeat("v", 4094)},
		{name: "query of a byte more", app: "live", key: "cam?a=" + strings.Repeat("v", 4095), wantErr: true},
		{name: "query of a byte more in two places", app: "live?b=" + strings.Repeat("v", 2000), key: "cam?a=" + strings.Repeat("v", 2092), wantErr: true},
		{name: "vhost of 256 bytes", app: "live", tcURL: "rtmp://" + strings.Repeat("h", 256) + "/live", key: "cam", path: "live/cam", vhost: strings.Repeat("h", 255)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParsePath(tt.app, tt.tcURL, tt.key)
			if tt.wantErr {
				if !errors.Is(err, ErrBadPath) {
					t.Fatalf("path %q, error %v; want ErrBadPath", u.Path, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if u.Path != tt.path || u.RawQuery != tt.query || u.Vhost != tt.vhost || u.Fallback != tt.fallback {
				t.Errorf("path %q query %q vhost %q fallback %q", u.Path, u.RawQuery, u.Vhost, u.Fallback)
			}
			if tt.wantApp != "" && (u.App != tt.wantApp || u.Name != tt.wantKey) {
				t.Errorf("app %q name %q", u.App, u.Name)
			}
			for k, want := range tt.wantQ {
				if got, ok := u.Query.Lookup(k); !ok || got != want {
					t.Errorf("parameter %s = %q, want %q", k, got, want)
				}
			}
			if tt.wantQ != nil && len(u.Query) != len(tt.wantQ) {
				t.Errorf("query %v", u.Query)
			}
		})
	}
}

func TestC151_RawFormIsKept(t *testing.T) {
	u, err := ParsePath("live", "", "cam?token=a%2Bb")
	if err != nil || u.Query[0].Raw != "token=a%2Bb" || u.Query.Get("token") != "a+b" {
		t.Fatal(u.Query, err)
	}
}

// A path that was accepted is accepted again and stays the same, whatever was typed.
func FuzzParsePath(f *testing.F) {
	f.Add("live", "rtmp://h/live", "cam?a=1?b=2")
	f.Add("live...vhost...x/_definst_", "'rtmp://[::1]:1/live?x'", "mp4:a%2Fb.flv")
	f.Add("", "rtmp://h/a/b?domain=../x", "?")
	f.Fuzz(func(t *testing.T, app, tcURL, name string) {
		u, err := ParsePath(app, tcURL, name)
		if err != nil {
			return
		}
		if err := checkPath(u.Path); err != nil {
			t.Fatalf("%q: %v", u.Path, err)
		}
		if u.Fallback != "" && checkPath(u.Fallback) != nil {
			t.Fatalf("fallback %q", u.Fallback)
		}
		if len(u.RawQuery) > 4096 || len(u.Query) > 64 || len(u.Vhost) > 255 {
			t.Fatal("bounds")
		}
		escaped := strings.NewReplacer("%", "%25", "?", "%3F").Replace(u.Path)
		again, err := ParsePath("", "", escaped)
		if strings.TrimSpace(u.Path) == u.Path && (err != nil || again.Path != u.Path) {
			t.Fatalf("%q became %q: %v", u.Path, again.Path, err)
		}
	})
}

func BenchmarkParsePath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePath("live", "rtmp://example.org/live", "cam?key=0123456789abcdef"); err != nil {
			b.Fatal(err)
		}
	}
}
