package session

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

var redactCases = []struct{ in, want string }{
	{"", ""},
	{"live/cam", "live/cam"},
	{"cam?key=hunter2", "cam?key=***"},
	{"rtmp://h/live/cam?key=hunter2&codec=legacy", "rtmp://h/live/cam?key=***&codec=legacy"},
	{"rtmp://user:hunter2@h:1935/live", "rtmp://***@h:1935/live"},
	{"rtmp://user:hun?ter2@h/live", "rtmp://***@h/live"},
	{"rtmp://user:hunter2@@h/a@b", "rtmp://***@h/a@b"},
	{"cam?hunter2", "cam?***"},
	{"cam?aHVudGVyMg==", "cam?***"},
	{"cam?a=hunter2?key=hunter2", "cam?a=***"},
	{"live?token=x/cam?key=hunter2", "live?token=***"},
	{"cam%3Fkey=hunter2", "cam?key=***"},
	{"cam%253fkey=hunter2", "cam?key=***"},
	{"cam?codec=h264;key=hunter2", "cam?codec=***"},
	{"cam?key=a&&x", "cam?key=***&&***"},
	{"cam#hunter2", "cam#***"},
	{"cam?key=a#hunter2", "cam?key=***"},
	{"cam?\x00=hunter2", "cam?***=***"},
	{"a\r\nlevel=INFO", `a\r\nlevel=INFO`},
	{"a\u202eb\x1b[31m\xff\u0085", `a\u202eb\x1b[31m\xff\u0085`},
	{"日本", "日本"},
	{" ~\x7f", ` ~\x7f`},
	{"rtmp:///user@h", "rtmp:///user@h"},
	{"rtmp://user@h", "rtmp://***@h"},
	{"rtmp://@h", "rtmp://***@h"},
	{"cam?x%3fkey=hunter2", "cam?***=***"},
	{"cam?codec=" + strings.Repeat("c", 32), "cam?codec=" + strings.Repeat("c", 32)},
	{"cam?codec=" + strings.Repeat("c", 33), "cam?codec=***"},
	{"cam?" + strings.Repeat("n", 32) + "=v", "cam?" + strings.Repeat("n", 32) + "=***"},
	{"cam?" + strings.Repeat("n", 33) + "=v", "cam?***=***"},
	{"cam%3f", "cam?"},
	{"cam%3", "cam%3"},
	{"cam#", "cam"},
	{strings.Repeat("é", 256), strings.Repeat("é", 256)},
	{strings.Repeat("é", 257), strings.Repeat("é", 254) + "…"},
	{strings.Repeat("a", 512), strings.Repeat("a", 512)},
	{strings.Repeat("a", 513), strings.Repeat("a", 509) + "…"},
	{strings.Repeat("\x00", 4096), strings.Repeat(`\x00`, 127) + "…"},
}

func TestC120_Redact(t *testing.T) {
	for _, c := range redactCases {
		if got := Redact(c.in); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	if long := Redact("a?" + strings.Repeat("key=hunter2&", 1<<16)); len(long) > 512 || strings.Contains(long, "hunter") {
		t.Errorf("%d bytes", len(long))
	}
}

// TestRedactEveryCredential: no query parameter in which peers send keys, tokens or signatures shows its value.
func TestRedactEveryCredential(t *testing.T) {
	for _, name := range []string{
		"key", "token", "jwt", "access_token", "sig", "signature", "kid", "exp", "policy", "user", "pass", "password", "secret", "auth", "auth_key",
		"md5", "expires", "txSecret", "txTime", "hdnts", "hdnea", "response", "challenge", "opaque", "nonce", "cnonce", "streamkey", "v", "ip",
	} {
		for _, in := range []string{"rtmp://h/live/cam?x=1&" + name + "=hunter2", "live/cam?" + name + "=hunter2&codec=legacy", "cam%3F" + name + "=hunter2"} {
			if got := Redact(in); strings.Contains(got, "hunter") || !strings.Contains(got, name+"=***") {
				t.Errorf("%s: %s", in, got)
			}
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, c := range redactCases {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Redact(s)
		if len(got) > 512 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\r\n\x1b\x7f") {
			t.Fatalf("%q", got)
		}
		const secret = "hunter2!hunter2"
		for _, in := range []string{s + "?key=" + secret, "rtmp://u:" + secret + "@" + s, s + "?" + secret, s + "?a=1&key=" + url.QueryEscape(secret)} {
			if !strings.Contains(s, "hunter") && strings.Contains(Redact(in), "hunter2") {
				t.Fatalf("%q: %q", in, Redact(in))
			}
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Redact("rtmp://example.org/live/cam?key=hunter2&codec=legacy")
	}
}

// TestErrorText: errors that were joined are one line, and what a peer has in it ends no line.
func TestErrorText(t *testing.T) {
	err := errors.Join(errors.New("one\x1b"), errors.New("two"), errors.New("three"))
	if got := ErrorText(err, 100); got != `one\x1b; two; three` {
		t.Error(got)
	}
	if got := ErrorText(err, 9); got != `one\x1b…` && len(got) > 9 {
		t.Error(got)
	}
}
