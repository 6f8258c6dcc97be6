package session

import (
	"slices"
	"testing"
)

// TestMask: what is secret in a URL is found in what a server says, whichever way it is written, the longest first, and words that are
// no secrets stay.
func TestMask(t *testing.T) {
	for _, c := range []struct{ url, says, want string }{
		{"rtmp://host/live/cam?key=s3cret", "Failed to play cam?key=s3cret; stream not found.", "Failed to play cam?key=***; stream not found."},
		{"rtmp://host/live/cam?t=abcdefgh&key=abcd", "abcdefgh, abcd", "***, ***"},
		{"https://u5er:pa%20ss@host/x", `"pa ss" of u5er, pa%20ss`, `"***" of ***, ***`},
		{"https://host/x?s3cret==", "no s3cret==", "no ***"},
		{"https://host/x%3fkey=s3cret", "no s3cret", "no ***"},
		{"https://host/x?key=a+b+c", "a b c and a+b+c", "*** and ***"},
		{"https://host/x?key=abc", "abc", "abc"},
		{"rtmp://host/live/cam?key=wrong", "wrong: wrongly, the 'wrong' or wrong_", "***: wrongly, the '***' or ***_"},
		{"rtmp://host/live/cam?key=s3cretse", "as3cretseb", "a***b"},
		{"https://host/a/b", "host, a, b", "host, a, b"},
	} {
		if got := Mask(c.says, Secrets(c.url)); got != c.want {
			t.Errorf("%s: %q, want %q", c.url, got, c.want)
		}
	}
	list := []string{"abcd", "abcdefgh"}
	if Mask("abcdefgh", list) != "***" || !slices.Equal(list, []string{"abcd", "abcdefgh"}) {
		t.Error("a secret within another one is replaced first, or the list is changed")
	}
}
