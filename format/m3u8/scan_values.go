package m3u8

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// parseInteger reads a decimal-integer: 1 to 20 digits, less than 2^64.
func parseInteger(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || !isDigits(s) {
		return 0, syntax("%.40q is not a number", s)
	}
	return n, nil
}

// parseSeconds reads decimal seconds. Digits beyond nanoseconds are dropped.
func parseSeconds(s string) (time.Duration, error) {
	number, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(number, ".")
	n, err := parseInteger(whole)
	if err != nil || n > maxSeconds || point && !isDigits(fraction) {
		return 0, syntax("%.40q is not a number of seconds", s)
	}
	d := time.Duration(n) * time.Second
	for i, unit := 0, time.Second/10; i < len(fraction) && unit > 0; i, unit = i+1, unit/10 {
		d += time.Duration(fraction[i]-'0') * unit
	}
	if negative {
		d = -d
	}
	return d, nil
}

// parseTime reads an ISO 8601 time, and returns it in UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 || t.IsZero() {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, syntax("%.40q is not a time", s)
}

// parseRange reads a byte range: n[@o].
func parseRange(s string) (ByteRange, error) {
	length, offset, at := strings.Cut(s, "@")
	n, err := strconv.ParseInt(length, 10, 64)
	r := ByteRange{Length: n, Offset: -1}
	bad := err != nil || !isDigits(length) || n == 0
	if at {
		r.Offset, err = strconv.ParseInt(offset, 10, 64)
		bad = bad || err != nil || !isDigits(offset) || r.Offset+r.Length < 0
	}
	if bad {
		return ByteRange{}, syntax("%.40q is not a byte range", s)
	}
	return r, nil
}

// hexadecimal reads 0x and digits.
func (a *attributes) hexadecimal(name string) []byte {
	v := a.enum(name)
	if v == "" {
		return nil
	}
	digits, ok := strings.CutPrefix(strings.Replace(v, "0X", "0x", 1), "0x")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) == 0 {
		a.fail(syntax("%s is not a hexadecimal sequence", name))
		return nil
	}
	return b
}

// resolution reads WxH.
func (a *attributes) resolution(name string) (w, h int) {
	v := a.enum(name)
	if v == "" {
		return 0, 0
	}
	ws, hs, _ := strings.Cut(v, "x")
	wn, err1 := strconv.ParseUint(ws, 10, 16)
	hn, err2 := strconv.ParseUint(hs, 10, 16)
	if err1 != nil || err2 != nil || wn == 0 || hn == 0 {
		a.fail(syntax("%s is not a resolution", name))
		return 0, 0
	}
	return int(wn), int(hn)
}
