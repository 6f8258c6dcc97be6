package config

import (
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// One table drives reading and writing: text is what is read, want what is written back.
var unitCases = []struct {
	text string
	form *form
	want string // empty: refused
	is   any
}{
	{"10s", durationForm, "10s", time.Duration(10 * time.Second)},
	{"0s", durationForm, "0s", time.Duration(0)},
	{"90s", durationForm, "1m30s", time.Duration(90 * time.Second)},
	{"1m", durationForm, "1m", time.Duration(time.Minute)},
	{"12h", durationForm, "12h", time.Duration(12 * time.Hour)},
	{"1h30m", durationForm, "1h30m", time.Duration(90 * time.Minute)},
	{"1h0m5s", durationForm, "1h0m5s", time.Duration(time.Hour + 5*time.Second)},
	{"1.5s", durationForm, "1.5s", time.Duration(1500 * time.Millisecond)},
	{"200ms", durationForm, "200ms", time.Duration(200 * time.Millisecond)},
	{"1µs", durationForm, "1µs", time.Duration(time.Microsecond)},
	{"", durationForm, "", nil},
	{"10", durationForm, "", nil},
	{"0", durationForm, "", nil},
	{"-1s", durationForm, "", nil},
	{"+1s", durationForm, "", nil},
	{"10 s", durationForm, "", nil},
	{"1d", durationForm, "", nil},
	{"9999999999h", durationForm, "", nil},
	{"32MiB", bytesForm, "32MiB", int64(32 << 20)},
	{"64KiB", bytesForm, "64KiB", int64(64 << 10)},
	{"1GiB", bytesForm, "1GiB", int64(1 << 30)},
	{"2tib", bytesForm, "2TiB", int64(2 << 40)},
	{"1.5KiB", bytesForm, "1536", int64(1536)},
	{"0.000000000KiB", bytesForm, "0", int64(0)},
	{"1000", bytesForm, "1000", int64(1000)},
	{"0", bytesForm, "0", int64(0)},
	{"1024", bytesForm, "1KiB", int64(1024)},
	{"9223372036854775807", bytesForm, "9223372036854775807", int64(1<<63 - 1)},
	{"9223372036854775808", bytesForm, "", nil},
	{"8388608TiB", bytesForm, "", nil},
	{"8388607.999999999TiB", bytesForm, "", nil},
	{"1.5", bytesForm, "", nil},
	{"1.", bytesForm, "", nil},
	{".5KiB", bytesForm, "", nil},
	{"1MB", bytesForm, "", nil},
	{"-1", bytesForm, "", nil},
	{"KiB", bytesForm, "", nil},
	{"", bytesForm, "", nil},
	{"1 KiB", bytesForm, "", nil},
	{"100Mbps", bitrateForm, "100Mbps", int64(100e6)},
	{"2500kbps", bitrateForm, "2500kbps", int64(25e5)},
	{"2.5mbps", bitrateForm, "2500kbps", int64(25e5)},
	{"1Gbps", bitrateForm, "1Gbps", int64(1e9)},
	{"300", bitrateForm, "300bps", int64(300)},
	{"300bps", bitrateForm, "300bps", int64(300)},
	{"0", bitrateForm, "0", int64(0)},
	{"0.0001kbps", bitrateForm, "", nil},
	{"9223372037Gbps", bitrateForm, "", nil},
	{"fast", bitrateForm, "", nil},
	{"10.0.0.0/8", prefixForm, "10.0.0.0/8", netip.MustParsePrefix("10.0.0.0/8")},
	{"192.0.2.1", prefixForm, "192.0.2.1/32", netip.MustParsePrefix("192.0.2.1/32")},
	{"::1", prefixForm, "::1/128", netip.MustParsePrefix("::1/128")},
	{"::ffff:192.0.2.1", prefixForm, "192.0.2.1/32", netip.MustParsePrefix("192.0.2.1/32")},
	{"::ffff:10.0.0.0/104", prefixForm, "10.0.0.0/8", netip.MustParsePrefix("10.0.0.0/8")},
	{"0.0.0.0/0", prefixForm, "0.0.0.0/0", netip.MustParsePrefix("0.0.0.0/0")},
	{"10.0.0.1/8", prefixForm, "", nil},
	{"10.0.0.0/33", prefixForm, "", nil},
	{"fe80::1%eth0", prefixForm, "", nil},
	{"fe80::1%eth0/64", prefixForm, "", nil},
	{"localhost", prefixForm, "", nil},
	{"", prefixForm, "", nil},
	{":1935", listenForm, ":1935", ":1935"},
	{"127.0.0.1:0", listenForm, "127.0.0.1:0", "127.0.0.1:0"},
	{"[::1]:80", listenForm, "[::1]:80", "[::1]:80"},
	{"1935", listenForm, "", nil},
	{"::1:80", listenForm, "", nil},
	{":65536", listenForm, "", nil},
	{":http", listenForm, "", nil},
}

func TestUnits(t *testing.T) {
	for _, c := range unitCases {
		t.Run(c.form.name+" "+c.text, func(t *testing.T) {
			typ := reflect.TypeFor[string]()
			switch c.form {
			case durationForm:
				typ = reflect.TypeFor[time.Duration]()
			case bytesForm, bitrateForm:
				typ = reflect.TypeFor[int64]()
			case prefixForm:
				typ = reflect.TypeFor[netip.Prefix]()
			}
			v := reflect.New(typ).Elem()
			err := c.form.parse(v, c.text)
			if c.want == "" {
				if err == nil {
					t.Fatalf("read as %v", v)
				}
				if !v.IsZero() {
					t.Errorf("refused, and yet set to %v", v)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if v.Interface() != c.is {
				t.Errorf("read as %v, want %v", v, c.is)
			}
			if !regexp.MustCompile(c.form.pattern).MatchString(c.text) {
				t.Errorf("the pattern does not allow it: %s", c.form.pattern)
			}
			text := c.form.format(v)
			if text != c.want {
				t.Errorf("written as %s", text)
			}
			again := reflect.New(typ).Elem()
			if err := c.form.parse(again, text); err != nil || again.Interface() != c.is {
				t.Errorf("read again as %v, %v", again, err)
			}
		})
	}
}

func TestContains(t *testing.T) {
	l := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/64"), netip.MustParsePrefix("::ffff:172.16.0.0/108")}
	for text, want := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "11.0.0.1": false, "fe80::1%eth0": true, "::1": false,
		"172.17.0.1": true, "::ffff:172.17.0.1": true, "172.32.0.1": false,
	} {
		if got := Contains(l, netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if Contains(nil, netip.MustParseAddr("::1")) || Contains(l, netip.Addr{}) {
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

// TestLikely suggests what is near for its length alone.
func TestLikely(t *testing.T) {
	keys := []string{"listen", "tls", "cors", "index", "trusted_proxies"}
	for word, want := range map[string]string{
		"port": "", "lsiten": `"listen"`, "lisen": `"listen"`, "tsl": `"tls"`, "core": `"cors"`, "host": "", "x": "", "proxies": "", "trusted_proxy": `"trusted_proxies"`,
	} {
		if got := likely(word, keys); got != want {
			t.Errorf("%s: %s, want %s", word, got, want)
		}
	}
}
