package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time, never negative, written with units: 10s, 1m30s, 0s.
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns the shortest form that UnmarshalText reads back: 10s, 1m, 12h.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" || s[0] == '-' || s[0] == '+' {
		return errType
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return errType
	}
	if s == "0" {
		return &valueError{why: "write 0s"}
	}
	*d = Duration(v)
	return nil
}

// Describe implements Described.
func (d *Duration) Describe() Description {
	return Description{
		Name:    "duration",
		Allowed: "a duration such as 10s, 1m30s, 200ms or 0s",
		Pattern: `^([0-9]+(\.[0-9]*)?|\.[0-9]+)(h|m|s|ms|us|µs|ns)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(h|m|s|ms|us|µs|ns))*$`,
	}
}

// unit is a suffix and what it multiplies by.
type unit struct {
	name  string
	times int64
}

// Bytes is a number of bytes, written 32MiB, 64KiB, 1GiB or as a plain number.
type Bytes int64

var byteUnits = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String returns the largest whole unit: 32MiB, or a plain number.
func (b Bytes) String() string { return unitString(int64(b), byteUnits) }

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := parseUnit(string(text), byteUnits)
	if err != nil {
		return err
	}
	*b = Bytes(v)
	return nil
}

// Describe implements Described.
func (b *Bytes) Describe() Description {
	return Description{
		Name: "bytes", Number: true,
		Allowed: "a size such as 64KiB, 32MiB, 1GiB or a number of bytes",
		Pattern: `^[0-9]+(\.[0-9]+)?([KkMmGgTt][Ii][Bb])?$`,
	}
}

// Bitrate is a number of bits per second, written 100Mbps, 2500kbps or as a plain number.
type Bitrate int64

var bitrateUnits = []unit{{"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}}

// String returns the largest whole unit: 100Mbps; 0 for none.
func (b Bitrate) String() string {
	if b == 0 {
		return "0"
	}
	return unitString(int64(b), bitrateUnits)
}

// MarshalText implements encoding.TextMarshaler.
func (b Bitrate) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bitrate) UnmarshalText(text []byte) error {
	v, err := parseUnit(string(text), bitrateUnits)
	if err != nil {
		return err
	}
	*b = Bitrate(v)
	return nil
}

// Describe implements Described.
func (b *Bitrate) Describe() Description {
	return Description{
		Name: "bitrate", Number: true,
		Allowed: "a bit rate such as 2500kbps, 100Mbps or a number of bits per second",
		Pattern: `^[0-9]+(\.[0-9]+)?([KkMmGg]?[Bb][Pp][Ss])?$`,
	}
}

func unitString(v int64, units []unit) string {
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
