package httphls

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCredentials: requests of one viewer are alike, those with another key are not.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"key=a&_HLS_msn=1", "_HLS_msn=2&_HLS_part=3&key=a", true},
		{"_HLS_skip=YES", "", true},
		{"v=wrong", "", true},
		{"key=a", "", false},
		{"key=a", "key=b", false},
		{"token=x&key=a", "key=a", false},
	} {
		var got [2]string
		for i, q := range []string{c.a, c.b} {
			r := httptest.NewRequest(http.MethodGet, "/live/a/x.m3u8?"+q, nil)
			got[i] = credentials(r.URL.Query())
		}
		if (got[0] == got[1]) != c.same {
			t.Errorf("%q and %q: %q", c.a, c.b, got)
		}
	}
}
