package hook

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSign holds signatures to the example that the libraries of Standard Webhooks are tested with.
func TestSign(t *testing.T) {
	secret, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := ParseSecret("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24)))
	at := time.Unix(1614265330, 999)
	h := Sign([]Secret{secret, other}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`))
	first, second, ok := strings.Cut(h.Get(HeaderSignature), " ")
	if first != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || !ok || !strings.HasPrefix(second, "v1,") || second == first {
		t.Error(h.Get(HeaderSignature))
	}
	if h.Get(HeaderID) != "msg_p5jXN8AQM9LWM0D4loKWxJek" || h.Get(HeaderTimestamp) != "1614265330" || len(h) != 3 {
		t.Error(h)
	}
	if h := Sign(nil, "x", at, nil); h.Get(HeaderSignature) != "" || len(h) != 2 {
		t.Error(h)
	}
}

func TestParseSecret(t *testing.T) {
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, c := range []struct {
		in string
		ok bool
	}{
		{of(24), true},
		{of(64), true},
		{of(23), false},
		{of(65), false},
		{"", false},
		{"whsec_", false},
		{"hunter2hunter2hunter2hunter2", false},
		{"whsec_hunter2!hunter2!hunter2!hunter2!", false},
		{of(24)[6:], false},
	} {
		s, err := ParseSecret(c.in)
		if (err == nil) != c.ok || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", c.in, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s); err == nil && strings.Trim(shown, `*" `) != "" {
			t.Errorf("shown as %s", shown)
		}
	}
}
