package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// maxHead bounds the head of a response.
const maxHead = 16 << 10

// feeder follows bytes.
type feeder interface{ feed(b []byte) error }

// httpFollower reads the head of a response, and then follows its body: as it is, in
// chunks (RFC 9112 §7.1), or the frames of a WebSocket.
type httpFollower struct {
	body    feeder // what the body is followed by
	upgrade bool   // 101 is wanted, not 200
	head    []byte
	through bool
}

// feed follows b.
func (f *httpFollower) feed(b []byte) error {
	if f.through {
		return f.body.feed(b)
	}
	f.head = append(f.head, b...)
	end := bytes.Index(f.head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(f.head) > maxHead {
			return fmt.Errorf("%w: a response head over %d bytes", errFraming, maxHead)
		}
		return nil
	}
	first, fields, _ := strings.Cut(string(f.head[:end]), "\r\n")
	_, status, _ := strings.Cut(first, " ")
	want := "200"
	if f.upgrade {
		want = "101"
	}
	if !strings.HasPrefix(first, "HTTP/1.") || !strings.HasPrefix(status, want) {
		return &refusal{strings.TrimSpace("http " + status)}
	}
	if strings.Contains(strings.ToLower(fields), "transfer-encoding: chunked") {
		f.body = &chunkedFollower{body: f.body}
	}
	rest := f.head[end+4:]
	f.head, f.through = nil, true
	return f.body.feed(rest)
}

// chunkedFollower follows a body in chunks.
type chunkedFollower struct {
	body feeder
	line []byte
	left uint64
	skip int // bytes of the line's end behind a chunk
}

// feed follows b.
func (f *chunkedFollower) feed(b []byte) error {
	for len(b) > 0 {
		switch {
		case f.left > 0:
			n := min(f.left, uint64(len(b)))
			if err := f.body.feed(b[:n]); err != nil {
				return err
			}
			f.left -= n
			b = b[n:]
			if f.left == 0 {
				f.skip = 2
			}
		case f.skip > 0:
			n := min(f.skip, len(b))
			f.skip -= n
			b = b[n:]
		default:
			f.line = append(f.line, b[0])
			b = b[1:]
			if n := len(f.line); f.line[n-1] == '\n' {
				size, _, _ := strings.Cut(strings.TrimSpace(string(f.line)), ";")
				left, err := strconv.ParseUint(size, 16, 32)
				if err != nil {
					return fmt.Errorf("%w: chunk size %q", errFraming, size)
				}
				f.left, f.line = left, f.line[:0]
				if left == 0 {
					return errStreamEnd
				}
			} else if n > 64 {
				return fmt.Errorf("%w: a chunk without a size", errFraming)
			}
		}
	}
	return nil
}
