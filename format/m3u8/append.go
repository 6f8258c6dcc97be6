package m3u8

import (
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// list writes an attribute list: names and values with commas between them.
type list struct {
	b    []byte
	some bool
}

func tag(b []byte, name string) *list { return &list{b: append(append(b, name...), ':')} }

func (l *list) end() []byte { return append(l.b, '\n') }

func (l *list) name(n string) {
	if l.some {
		l.b = append(l.b, ',')
	}
	l.some = true
	l.b = append(append(l.b, n...), '=')
}

// quoted writes a quoted string unless it is empty.
func (l *list) quoted(name, v string) {
	if v != "" {
		l.name(name)
		l.b = append(appendText(append(l.b, '"'), v, true), '"')
	}
}

// enum writes a word unless it is empty.
func (l *list) enum(name, v string) {
	if v != "" {
		l.name(name)
		l.b = appendText(l.b, v, false)
	}
}

func (l *list) yes(name string, v bool) {
	if v {
		l.enum(name, "YES")
	}
}

func (l *list) integer(name string, v uint64) {
	l.name(name)
	l.b = strconv.AppendUint(l.b, v, 10)
}

// positive writes a number unless it is 0.
func (l *list) positive(name string, v int64) {
	if v > 0 {
		l.integer(name, uint64(v))
	}
}

func (l *list) seconds(name string, d time.Duration) {
	l.name(name)
	l.b = appendSeconds(l.b, d)
}

// positiveSeconds writes a duration unless it is 0.
func (l *list) positiveSeconds(name string, d time.Duration) {
	if d > 0 {
		l.seconds(name, d)
	}
}

func (l *list) decimal(name string, v float64) {
	if v > 0 {
		l.name(name)
		l.b = strconv.AppendFloat(l.b, v, 'f', -1, 64)
	}
}

func (l *list) hex(name string, v []byte) {
	if len(v) > 0 {
		l.name(name)
		l.b = append(l.b, "0x"...)
		l.b = append(l.b, strings.ToUpper(hex.EncodeToString(v))...)
	}
}

func (l *list) date(name string, t time.Time) {
	if !t.IsZero() {
		l.name(name)
		l.b = append(appendTime(append(l.b, '"'), t), '"')
	}
}

// quotedRange writes a byte range as EXT-X-PART and EXT-X-MAP have it.
func (l *list) quotedRange(r ByteRange) {
	if r.Length > 0 {
		l.name("BYTERANGE")
		l.b = append(appendRange(append(l.b, '"'), r), '"')
	}
}

func appendRange(b []byte, r ByteRange) []byte {
	b = strconv.AppendInt(b, r.Length, 10)
	if r.Offset >= 0 {
		b = strconv.AppendInt(append(b, '@'), r.Offset, 10)
	}
	return b
}

// appendText writes a string without what would end its line or, if it is quoted, its quotes.
func appendText(b []byte, s string, quoted bool) []byte {
	for i := range len(s) {
		if c := s[i]; c >= ' ' && c != 0x7f && (c != '"' || !quoted) {
			b = append(b, c)
		}
	}
	return b
}

// appendSeconds writes a duration as decimal seconds, with at least one decimal.
func appendSeconds(b []byte, d time.Duration) []byte {
	if d < 0 {
		b, d = append(b, '-'), -max(d, -1<<63+1)
	}
	b = append(strconv.AppendInt(b, int64(d/time.Second), 10), '.')
	fraction := int64(d % time.Second)
	for unit := int64(time.Second / 10); ; unit /= 10 {
		b = append(b, byte('0'+fraction/unit))
		if fraction %= unit; fraction == 0 {
			return b
		}
	}
}

// appendTime writes a time in UTC, in milliseconds unless it is finer.
func appendTime(b []byte, t time.Time) []byte {
	layout := "2006-01-02T15:04:05.000Z07:00"
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		layout = time.RFC3339Nano
	}
	return t.UTC().AppendFormat(b, layout)
}

func appendLine(b []byte, name string) []byte { return append(append(b, name...), '\n') }

func appendUint(b []byte, name string, v uint64) []byte {
	b = append(append(b, name...), ':')
	return append(strconv.AppendUint(b, v, 10), '\n')
}

func appendURI(b []byte, uri string) []byte { return append(appendText(b, uri, false), '\n') }

func appendHead(b []byte, version int, independent bool) []byte {
	b = appendLine(b, "#EXTM3U")
	if version > 0 {
		b = appendUint(b, "#EXT-X-VERSION", uint64(version))
	}
	if independent {
		b = appendLine(b, "#EXT-X-INDEPENDENT-SEGMENTS")
	}
	return b
}

// Append appends the tag as a line; nothing for nil.
func (s *Start) Append(b []byte) []byte {
	if s == nil {
		return b
	}
	l := tag(b, "#EXT-X-START")
	l.seconds("TIME-OFFSET", s.Offset)
	l.yes("PRECISE", s.Precise)
	return l.end()
}
