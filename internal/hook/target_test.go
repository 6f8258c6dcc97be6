package hook

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		in, shown string
		private   bool
		err       string // a part of it
	}{
		{"https://auth.example.com/weir?token=SECRET", "https://auth.example.com", true, ""},
		{"http://auth.example.com:8000/weir", "http://auth.example.com:8000", false, ""},
		{"https://user:SECRET@auth.example.com/", "https://auth.example.com", true, ""},
		{"http://127.0.0.1:8000", "http://127.0.0.1:8000", true, ""},
		{"http://[::1]:8000/SECRET", "http://[::1]:8000", true, ""},
		{"http://localhost/SECRET", "http://localhost", true, ""},
		{"http://10.0.0.1/", "http://10.0.0.1", false, ""},
		{"unix:/run/hook.sock:/auth?x=SECRET", "unix:/run/hook.sock", true, ""},
		{"unix:/run/hook.sock", "unix:/run/hook.sock", true, ""},
		{"unix:/" + strings.Repeat("s", 106) + ":/", "unix:/" + strings.Repeat("s", 106), true, ""},
		{"unix:/" + strings.Repeat("s", 107) + ":/", "", false, "longer than 107 bytes"},
		{"unix:hook.sock:/auth", "", false, "begins with a slash"},
		{"unix:/run/hook.sock:auth", "", false, "no path"},
		{"", "", false, "no address"},
		{"auth.example.com/weir", "", false, "no URL"},
		{"auth.example.com:80/SECRET", "", false, "no URL"},
		{"rtmp://auth.example.com/SECRET", "", false, `are not called by "rtmp"`},
		{"ftp://auth.example.com/SECRET", "", false, "write https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH"},
		{"https:///SECRET", "", false, "the host is missing"},
		{"https://:443/SECRET", "", false, "the host is missing"},
		{"http://a b/SECRET", "", false, "no URL"},
		{"http://2f.unix/SECRET", "", false, "stand for sockets"},
		{"https://h/" + strings.Repeat("x", 2048-10), "https://h", true, ""},
		{"https://h/" + strings.Repeat("x", 2048-9), "", false, "longer than 2048 bytes"},
	} {
		got, err := ParseTarget(c.in)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "SECRET") || !got.IsZero() {
				t.Errorf("%s: %v, %v", c.in, got, err)
			}
			continue
		}
		if err != nil || got.IsZero() || got.String() != c.shown || got.Private() != c.private {
			t.Errorf("%s: %v, private %v, %v", c.in, got, got.Private(), err)
		}
	}
	if none := (Target{}); !none.IsZero() || none.String() != "" || !none.Private() {
		t.Error("the zero target")
	}
}
