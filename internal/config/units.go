package config

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// description says what values look like, for messages, the schema and the reference.
type description struct {
	name    string // "duration"
	allowed string // "a duration such as 10s, 1m30s or 0s"
	pattern string // a regular expression for all that is allowed; may be empty
	number  bool   // a bare number is allowed too
}

// form is how the values of a Go type are written where YAML has no scalar for them.
type form struct {
	description
	parse  func(v reflect.Value, text string) error
	format func(v reflect.Value) string
}

var (
	durationForm = &form{
		description: description{
			name:    "duration",
			allowed: "a duration such as 10s, 1m30s, 200ms or 0s",
			pattern: `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(h|m|s|ms|us|µs|ns)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(h|m|s|ms|us|µs|ns))*$`,
		},
		parse: func(v reflect.Value, text string) error {
			d, err := parseDuration(text)
			if err == nil {
				v.SetInt(int64(d))
			}
			return err
		},
		format: func(v reflect.Value) string { return formatDuration(time.Duration(v.Int())) },
	}
	prefixForm = &form{
		description: description{
			name:    "address range",
			allowed: "an address or a range such as 10.0.0.0/8 or 2001:db8::/32",
			pattern: `^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$`,
		},
		parse: func(v reflect.Value, text string) error {
			p, err := parsePrefix(text)
			if err == nil {
				v.Set(reflect.ValueOf(p))
			}
			return err
		},
		format: func(v reflect.Value) string { return fmt.Sprint(v.Interface()) },
	}
	timeForm = &form{
		description: description{
			name:    "time",
			allowed: "a date or a time such as 2027-01-31, 2027-01-31T18:00:00Z or 2027-01-31T18:00:00+02:00",
			pattern: `^([0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2}))?)?$`,
		},
		parse: func(v reflect.Value, text string) error {
			t, err := parseTime(text)
			if err == nil {
				v.Set(reflect.ValueOf(t))
			}
			return err
		},
		format: func(v reflect.Value) string { return formatTime(v.Interface().(time.Time)) }, //nolint:forcetypeassert // formOf
	}
	bytesForm = unitForm(description{
		name: "bytes", number: true,
		allowed: "a size such as 64KiB, 32MiB, 1GiB or a number of bytes",
		pattern: `^[0-9]+(\.[0-9]+)?([KkMmGgTt][Ii][Bb])?$`,
	}, []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}})
	bitrateForm = unitForm(description{
		name: "bitrate", number: true,
		allowed: "a bit rate such as 2500kbps, 100Mbps or a number of bits per second",
		pattern: `^[0-9]+(\.[0-9]+)?([KkMmGg]?[Bb][Pp][Ss])?$`,
	}, []unit{{"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}})
	listenForm = &form{
		description: description{name: "address to listen on", allowed: `HOST:PORT, :PORT, or "" to listen nowhere`},
		parse: func(v reflect.Value, text string) error {
			if text != "" {
				_, port, err := net.SplitHostPort(text)
				if err != nil {
					return errType
				}
				if _, err := strconv.ParseUint(port, 10, 16); err != nil {
					return &valueError{why: "the port is a number up to 65535"}
				}
			}
			v.SetString(text)
			return nil
		},
		format: reflect.Value.String,
	}
)

// formOf returns the form of values of a type; nil is YAML's own.
func formOf(t reflect.Type, tags reflect.StructTag) (*form, error) {
	elem := t
	if t.Kind() == reflect.Slice { // the tags are its entries'
		elem = t.Elem()
	}
	unit, format := tags.Get("unit"), tags.Get("format")
	switch {
	case unit == "" && format == "" && elem == reflect.TypeFor[time.Duration]():
		return durationForm, nil
	case unit == "" && format == "" && elem == reflect.TypeFor[time.Time]():
		return timeForm, nil
	case unit == "" && format == "" && elem == reflect.TypeFor[netip.Prefix]():
		return prefixForm, nil
	case unit == "bytes" && format == "" && elem == reflect.TypeFor[int64]():
		return bytesForm, nil
	case unit == "bitrate" && format == "" && elem == reflect.TypeFor[int64]():
		return bitrateForm, nil
	case unit == "" && format == "listen" && elem == reflect.TypeFor[string]():
		return listenForm, nil
	case unit != "":
		return nil, fmt.Errorf("a %s cannot have the unit %q", t, unit)
	case format != "":
		return nil, fmt.Errorf("a %s cannot have the format %q", t, format)
	}
	return nil, nil //nolint:nilnil // no form is a result
}

// formatDuration returns the shortest text that parseDuration reads back: 10s, 1m, 12h.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseDuration reads a span of time, never negative, with units: 10s, 1m30s, 0s.
func parseDuration(s string) (time.Duration, error) {
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, errType
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errType
	}
	if s == "0" {
		return 0, &valueError{why: "write 0s"}
	}
	return d, nil
}

// parseTime reads a time (RFC 3339), or a date, which is the moment that it begins at in UTC. No text is no time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errType
}

// formatTime returns the text that parseTime reads back.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// parsePrefix reads a range of addresses, or one address. A range whose address has bits
// beyond its length (10.0.0.1/8) is refused: it is usually meant to be something else.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, errType
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errType
	}
	p = unmapPrefix(p)
	if m := p.Masked(); m != p {
		return netip.Prefix{}, &valueError{why: "for this range write " + m.String(), quotes: true}
	}
	return p, nil
}

// unmapPrefix returns a range of IPv4 addresses that are mapped into IPv6 as one of IPv4.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// Contains reports whether any of the ranges contains a. An IPv4 address mapped into IPv6
// is taken as IPv4, in both; a zone is ignored.
func Contains(ranges []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range ranges {
		if unmapPrefix(p).Contains(a) {
			return true
		}
	}
	return false
}

// unit is a suffix and what it multiplies by.
type unit struct {
	name  string
	times int64
}

// unitForm is the form of whole numbers, never negative, with one of several units.
func unitForm(d description, units []unit) *form {
	return &form{
		description: d,
		parse: func(v reflect.Value, text string) error {
			n, err := parseUnit(text, units)
			if err == nil {
				v.SetInt(n)
			}
			return err
		},
		format: func(v reflect.Value) string { return formatUnit(v.Int(), units) },
	}
}

// formatUnit writes v in the largest unit that leaves it whole: 32MiB; 0 has none.
func formatUnit(v int64, units []unit) string {
	for _, u := range units {
		if v != 0 && v%u.times == 0 {
			return strconv.FormatInt(v/u.times, 10) + u.name
		}
	}
	return strconv.FormatInt(v, 10)
}

// parseUnit reads digits, perhaps a fraction, perhaps a unit in any case. The result
// must be whole: 1.5KiB is, 1.5 is not.
func parseUnit(s string, units []unit) (int64, error) {
	times := int64(1)
	for _, u := range units {
		if n := len(s) - len(u.name); n > 0 && strings.EqualFold(s[n:], u.name) {
			s, times = s[:n], u.times
			break
		}
	}
	whole, fraction, dot := strings.Cut(s, ".")
	if !digits(whole) || dot && !digits(fraction) || len(fraction) > 9 {
		return 0, errType
	}
	v, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || v > math.MaxInt64/times {
		return 0, &valueError{why: "it is too large"}
	}
	if fraction == "" {
		return v * times, nil
	}
	part, err := strconv.ParseInt(fraction, 10, 64)
	if err != nil {
		return 0, errType
	}
	// part/scale in lowest terms: the unit must be a multiple of what remains of scale.
	scale := int64(math.Pow10(len(fraction)))
	for _, prime := range []int64{2, 5} {
		for scale%prime == 0 && part%prime == 0 {
			scale, part = scale/prime, part/prime
		}
	}
	if times%scale != 0 {
		return 0, &valueError{why: "it is not a whole number"}
	}
	if part = times / scale * part; part > math.MaxInt64-v*times {
		return 0, &valueError{why: "it is too large"}
	}
	return v*times + part, nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
