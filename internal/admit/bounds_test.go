package admit

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/session"
)

// TestKeyBounds: a rule has keys of up to 255 bytes, and 1,000 of them.
func TestKeyBounds(t *testing.T) {
	long := strings.Repeat("x", 255)
	thousand := slices.Repeat([]string{"k"}, 1000)
	for _, c := range []struct {
		name string
		rule Rule
		want string
	}{
		{"255 bytes", keys(long), ""},
		{"256 bytes", keys("fine", long+"x"), "a key longer than 255 bytes"},
		{"1,000 keys", keys(thousand...), ""},
		{"1,001 keys", keys(append(thousand, "k")...), "more than 1000 keys"},
		{"no text", keys(""), "an empty key; for no key write keys: []"},
		{"a space", keys("a b"), "a key with a space or a control character"},
		{"DEL", keys("a\x7f"), "a key with a space or a control character"},
		{"all but these", keys("!~\u00e9"), ""},
	} {
		err := c.rule.Validate()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestGivenKeyBound: a key of 255 bytes lets in, and a longer one is not even looked at: it
// costs the server nothing, and the address no guess.
func TestGivenKeyBound(t *testing.T) {
	long := strings.Repeat("x", 255)
	g := newGate(t, Entry{Match: "**", Publish: keys(long, long+"y")})
	if _, err := g.Admit(t.Context(), publish("live/a", "key="+long, "192.0.2.1")); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
	for range 100 {
		_, err := g.Admit(t.Context(), publish("live/a", "key="+long+"y", "192.0.2.1"))
		if session.ReasonOf(err) != session.BadKey {
			t.Fatalf("256 bytes: %v", err)
		}
	}
}

// TestThrottleNumbers: 20 wrong keys within a minute cost a minute, and each time it is twice as long,
// 16 minutes at most; half an hour of good behaviour begins anew.
func TestThrottleNumbers(t *testing.T) {
	var th throttle
	addr := netip.MustParseAddr("192.0.2.1")
	now := time.Unix(1e9, 0)
	fail := func(n int) time.Duration {
		for range n {
			th.failed(addr, now)
		}
		return th.blocked(addr, now)
	}
	if w := fail(19); w != 0 {
		t.Fatalf("19 wrong keys: %v", w)
	}
	now = now.Add(time.Minute - 1)
	if w := fail(1); w != time.Minute {
		t.Fatalf("the 20th within a minute: %v", w)
	}
	if w := th.blocked(netip.MustParseAddr("192.0.2.2"), now); w != 0 {
		t.Errorf("another address waits %v", w)
	}
	for _, want := range []time.Duration{2, 4, 8, 16, 16} {
		now = now.Add(th.blocked(addr, now) - 1)
		if fail(20) != 1 {
			t.Error("what came while it waited counted")
		}
		now = now.Add(1)
		if w := fail(19); w != 0 {
			t.Errorf("19 more: %v", w)
		}
		if w := fail(1); w != want*time.Minute {
			t.Errorf("20 more: %v, want %v minutes", w, int64(want))
		}
	}
	now = now.Add((16 + 32) * time.Minute) // exactly as long is not long enough
	if w := fail(20); w != 16*time.Minute {
		t.Errorf("after half an hour: %v", w)
	}
	now = now.Add((16+32)*time.Minute + 1)
	if w := fail(20); w != time.Minute {
		t.Errorf("after more than half an hour: %v", w)
	}
	// A minute that is over does not count.
	now = now.Add(time.Hour)
	fail(19)
	now = now.Add(time.Minute)
	if w := fail(19); w != 0 {
		t.Errorf("19 and 19 a minute later: %v", w)
	}
	if w := fail(1); w != time.Minute {
		t.Errorf("and one more: %v", w)
	}
}

// TestThrottleForgetsTheQuietest: 10,000 addresses are remembered, and the one whose last failure is
// the oldest gives way.
func TestThrottleForgetsTheQuietest(t *testing.T) {
	var th throttle
	now := time.Unix(1e9, 0)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range 10_000 {
		th.failed(addr(i), now)
	}
	if n := len(th.entries); n != 10_000 {
		t.Fatalf("%d are remembered", n)
	}
	th.failed(addr(0), now)
	th.failed(addr(10_000), now)
	if len(th.entries) != 10_000 || th.recent.Len() != 10_000 || th.entries[addr(0)] == nil || th.entries[addr(1)] != nil || th.entries[addr(2)] == nil {
		t.Errorf("%d are remembered; of the first three %v, %v, %v", len(th.entries),
			th.entries[addr(0)] != nil, th.entries[addr(1)] != nil, th.entries[addr(2)] != nil)
	}
}

// TestPatternBounds: patterns have up to 255 bytes, and there are up to 10,000.
func TestPatternBounds(t *testing.T) {
	many := slices.Repeat([]string{"live/a"}, 10_000)
	if _, err := NewMatcher(many); err != nil {
		t.Errorf("10,000: %v", err)
	}
	if _, err := NewMatcher(append(many, "live/a")); err == nil || err.Error() != "admit: more than 10000 patterns" {
		t.Errorf("10,001: %v", err)
	}
	long := "live/" + strings.Repeat("x", 250)
	if err := CheckPattern(long); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
	_, err := NewMatcher([]string{"live/a", long + "x"})
	var pe *PatternError
	if !errors.As(err, &pe) || pe.Index != 1 || pe.Pattern != long+"x" || errors.Unwrap(err).Error() != "is longer than 255 bytes" {
		t.Errorf("256 bytes: %v", err)
	}
	if _, err := NewRules([]Entry{{Match: ""}}, Entry{}, nil); !errors.As(err, &pe) || err.Error() != `admit: pattern "": is empty; ** is every stream` {
		t.Errorf("rules with a wrong pattern: %v", err)
	}
}
