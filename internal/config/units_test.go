package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// One table drives reading and writing: text is what is read, want what is written back.
var unitCases = []struct {
	text string
	into func() encoding.TextUnmarshaler
	want string // empty: refused
	is   any
}{
	{"10s", newOf[Duration], "10s", Duration(10 * time.Second)},
	{"0s", newOf[Duration], "0s", Duration(0)},
	{"90s", newOf[Duration], "1m30s", Duration(90 * time.Second)},
	{"1m", newOf[Duration], "1m", Duration(time.Minute)},
	{"12h", newOf[Duration], "12h", Duration(12 * time.Hour)},
	{"1h30m", newOf[Duration], "1h30m", Duration(90 * time.Minute)},
	{"1h0m5s", newOf[Duration], "1h0m5s", Duration(time.Hour + 5*time.Second)},
	{"1.5s", newOf[Duration], "1.5s", Duration(1500 * time.Millisecond)},
	{"200ms", newOf[Duration], "200ms", Duration(200 * time.Millisecond)},
	{"1µs", newOf[Duration], "1µs", Duration(time.Microsecond)},
	{"", newOf[Duration], "", nil},
	{"10", newOf[Duration], "", nil},
	{"0", newOf[Duration], "", nil},
	{"-1s", newOf[Duration], "", nil},
	{"+1s", newOf[Duration], "", nil},
	{"10 s", newOf[Duration], "", nil},
	{"1d", newOf[Duration], "", nil},
	{"9999999999h", newOf[Duration], "", nil},
	{"32MiB", newOf[Bytes], "32MiB", Bytes(32 << 20)},
	{"64KiB", newOf[Bytes], "64KiB", Bytes(64 << 10)},
	{"1GiB", newOf[Bytes], "1GiB", Bytes(1 << 30)},
	{"2tib", newOf[Bytes], "2TiB", Bytes(2 << 40)},
	{"1.5KiB", newOf[Bytes], "1536", Bytes(1536)},
	{"0.000000000KiB", newOf[Bytes], "0", Bytes(0)},
	{"1000", newOf[Bytes], "1000", Bytes(1000)},
	{"0", newOf[Bytes], "0", Bytes(0)},
	{"1024", newOf[Bytes], "1KiB", Bytes(1024)},
	{"9223372036854775807", newOf[Bytes], "9223372036854775807", Bytes(1<<63 - 1)},
	{"9223372036854775808", newOf[Bytes], "", nil},
	{"8388608TiB", newOf[Bytes], "", nil},
	{"8388607.999999999TiB", newOf[Bytes], "", nil},
	{"1.5", newOf[Bytes], "", nil},
	{"1.", newOf[Bytes], "", nil},
	{".5KiB", newOf[Bytes], "", nil},
	{"1MB", newOf[Bytes], "", nil},
	{"-1", newOf[Bytes], "", nil},
	{"KiB", newOf[Bytes], "", nil},
	{"", newOf[Bytes], "", nil},
	{"1 KiB", newOf[Bytes], "", nil},
	{"100Mbps", newOf[Bitrate], "100Mbps", Bitrate(100e6)},
	{"2500kbps", newOf[Bitrate], "2500kbps", Bitrate(25e5)},
	{"2.5mbps", newOf[Bitrate], "2500kbps", Bitrate(25e5)},
	{"1Gbps", newOf[Bitrate], "1Gbps", Bitrate(1e9)},
	{"300", newOf[Bitrate], "300bps", Bitrate(300)},
	{"300bps", newOf[Bitrate], "300bps", Bitrate(300)},
	{"0", newOf[Bitrate], "0", Bitrate(0)},
	{"0.0001kbps", newOf[Bitrate], "", nil},
	{"9223372037Gbps", newOf[Bitrate], "", nil},
	{"fast", newOf[Bitrate], "", nil},
	{"10.0.0.0/8", newOf[CIDR], "10.0.0.0/8", mustCIDR("10.0.0.0/8")},
	{"192.0.2.1", newOf[CIDR], "192.0.2.1/32", mustCIDR("192.0.2.1/32")},
	{"::1", newOf[CIDR], "::1/128", mustCIDR("::1/128")},
	{"::ffff:192.0.2.1", newOf[CIDR], "192.0.2.1/32", mustCIDR("192.0.2.1")},
	{"::ffff:10.0.0.0/104", newOf[CIDR], "10.0.0.0/8", mustCIDR("10.0.0.0/8")},
	{"0.0.0.0/0", newOf[CIDR], "0.0.0.0/0", mustCIDR("0.0.0.0/0")},
	{"10.0.0.1/8", newOf[CIDR], "", nil},
	{"10.0.0.0/33", newOf[CIDR], "", nil},
	{"fe80::1%eth0", newOf[CIDR], "", nil},
	{"fe80::1%eth0/64", newOf[CIDR], "", nil},
	{"localhost", newOf[CIDR], "", nil},
	{"", newOf[CIDR], "", nil},
}

func newOf[T any, P interface {
	*T
	encoding.TextUnmarshaler
}]() encoding.TextUnmarshaler {
	return P(new(T))
}

func TestUnits(t *testing.T) {
	for _, c := range unitCases {
		t.Run(fmt.Sprintf("%T %s", c.into(), c.text), func(t *testing.T) {
			u := c.into()
			err := u.UnmarshalText([]byte(c.text))
			d := u.(Described).Describe()
			if c.want == "" {
				if err == nil {
					t.Fatalf("read as %v", u)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile(d.Pattern).MatchString(c.text) {
				t.Errorf("the pattern does not allow it: %s", d.Pattern)
			}
			b, err := u.(encoding.TextMarshaler).MarshalText()
			if err != nil || string(b) != c.want || fmt.Sprint(u) != c.want {
				t.Errorf("written as %s %v, %v", b, u, err)
			}
			again := c.into()
			if err := again.UnmarshalText(b); err != nil || fmt.Sprint(again) != fmt.Sprint(u) || fmt.Sprint(c.is) != c.want {
				t.Errorf("read again as %v, %v", again, err)
			}
		})
	}
}

func TestCIDRContains(t *testing.T) {
	l := CIDRs{mustCIDR("10.0.0.0/8"), mustCIDR("fe80::/64")}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "fe80::1%eth0": true, "::1": false,
	} {
		a := netip.MustParseAddr(text)
		if l.Contains(a) != want || (l[0].Contains(a) || l[1].Contains(a)) != want {
			t.Errorf("%s: not %v", text, want)
		}
	}
	if CIDRs(nil).Contains(netip.MustParseAddr("::1")) || l.Contains(netip.Addr{}) {
		t.Error("an empty list or address matches")
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"", "abc", 3}, {"lisetn", "listen", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"listen", "listen", 0}} {
		if d := distance(c.a, c.b); d != c.d {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, d, c.d)
		}
		if d := distance(c.b, c.a); d != c.d {
			t.Errorf("%s %s: %d, want %d", c.b, c.a, d, c.d)
		}
	}
	if n, _ := nearest(strings.Repeat("x", 129), []string{"x"}); n != "" {
		t.Error(n)
	}
}
