package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxReason     = 200 // characters
	maxRetryAfter = time.Hour
	// maxCache bounds how long an answer holds; a longer time is taken as this one.
	maxCache = time.Hour
)

// allowed is an answer that allows and says no more.
func allowed() *Answer { return &Answer{Allow: true} }

// denied returns the denial that a status is, nil if it is none.
func denied(r *Reply) *Answer {
	a := &Answer{Status: r.Status}
	switch r.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusGone:
	case http.StatusTooManyRequests:
		a.RetryAfter = RetryAfter(r.Header.Get("Retry-After"), time.Now())
	default:
		return nil
	}
	return a
}

// gone reports whether a status says that a proxy did not reach the service.
func gone(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// unexpected is the error of a status that decides nothing.
func unexpected(r *Reply) error {
	if r.Status >= 300 && r.Status < 400 {
		return fmt.Errorf("status %d: redirects are not followed, give the address that they lead to", r.Status)
	}
	return fmt.Errorf("status %d", r.Status)
}

// RetryAfter reads the header field of that name: seconds or a date. It returns an hour at most.
func RetryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(strings.TrimSpace(s)); err == nil {
		d = time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// reason makes a service's text fit for a peer: printable, in one line, at most 200 characters.
func reason(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if r == '\n' || r == '\t' {
			r = ' '
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		if n++; n > maxReason {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// span is a duration in JSON: "1m30s", or a number of seconds.
type span time.Duration

// UnmarshalJSON implements json.Unmarshaler.
func (s *span) UnmarshalJSON(b []byte) error {
	const allowed = "is a duration such as \"30s\", or a number of seconds"
	const most = 366 * 24 * time.Hour
	var text string
	var d time.Duration
	if json.Unmarshal(b, &text) == nil {
		if text != "" {
			var err error
			if d, err = time.ParseDuration(text); err != nil {
				return errors.New(allowed)
			}
		}
	} else {
		var n float64
		if json.Unmarshal(b, &n) != nil || n != n || n > most.Seconds() {
			return errors.New(allowed)
		}
		d = time.Duration(n * float64(time.Second))
	}
	if d < 0 || d > most {
		return errors.New(allowed + ", from 0 to a year")
	}
	*s = span(d)
	return nil
}

// rate is a bit rate in JSON: "8Mbps", or a number of bits per second.
type rate int64

// maxRate is the highest bit rate that is taken, in bits per second.
const maxRate = 1e12

// UnmarshalJSON implements json.Unmarshaler.
func (r *rate) UnmarshalJSON(b []byte) error {
	times := 1.0
	text := string(bytes.Trim(b, `"`))
	for _, u := range []struct {
		name  string
		times float64
	}{{"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}} {
		if n := len(text) - len(u.name); n > 0 && strings.EqualFold(text[n:], u.name) {
			text, times = text[:n], u.times
			break
		}
	}
	if text == "" || text == "null" {
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0 && n*times <= maxRate) {
		return errors.New("is a bit rate such as \"8Mbps\", or a number of bits per second")
	}
	*r = rate(n * times)
	return nil
}

// moment is a time in JSON: RFC 3339, or a number of Unix seconds.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		if text == "" {
			return nil
		}
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			m.Time = t
			return nil
		}
	} else if n, err := strconv.ParseInt(string(b), 10, 64); err == nil && n > 0 && n < 1<<40 {
		m.Time = time.Unix(n, 0)
		return nil
	}
	return errors.New("is a time such as \"2026-11-27T08:00:00Z\", or a number of Unix seconds")
}
