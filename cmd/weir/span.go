package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a duration that a flag is given, which may be in days: 30d, 12h, 1h30m.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler, for the parser of flags.
func (s *span) UnmarshalText(text []byte) error {
	t := string(text)
	days := time.Duration(0)
	if d, rest, ok := strings.Cut(t, "d"); ok {
		n, err := strconv.ParseUint(d, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no duration: write 30d, 12h or 1h30m", t)
		}
		days = time.Duration(n) * 24 * time.Hour
		if t = rest; t == "" {
			*s = span(days)
			return nil
		}
	}
	d, err := time.ParseDuration(t)
	if err != nil {
		return fmt.Errorf("%q is no duration: write 30d, 12h or 1h30m", string(text))
	}
	*s = span(days + d)
	return nil
}
