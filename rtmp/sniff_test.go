package rtmp

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/iotest"
)

func TestSniff(t *testing.T) {
	deadline := os.ErrDeadlineExceeded
	reset := &os.SyscallError{Syscall: "read", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		name string
		in   string
		end  error
		want error
	}{
		{"RTMP", "\x03", io.EOF, nil},
		{"C-008 encrypted", "\x06" + string(vector()), io.EOF, ErrEncrypted},
		{"C-008 encrypted, other versions", "\x08", io.EOF, ErrEncrypted},
		{"C-008 encrypted, other versions", "\x09", io.EOF, ErrEncrypted},
		{"C-009 version 0", "\x00", io.EOF, ErrVersion},
		{"C-009 version 255", "\xff", io.EOF, ErrVersion},
		{"C-009 version 2", "\x02", io.EOF, ErrVersion},
		{"C-010 GET", "GET / HTTP/1.1\r\n\r\n", io.EOF, ErrHTTP},
		{"C-010 POST", "POST / HTTP/1.1\r\n\r\n", io.EOF, ErrHTTP},
		{"C-010 PUT", "PUT", io.EOF, ErrHTTP},
		{"C-010 HEAD", "H", io.EOF, ErrHTTP},
		{"C-010 OPTIONS", "O", io.EOF, ErrHTTP},
		{"C-010 DELETE", "D", io.EOF, ErrHTTP},
		{"C-010 CONNECT", "C", io.EOF, ErrHTTP},
		{"C-010 one letter", "P", io.EOF, ErrHTTP},
		{"C-011 TLS", "\x16\x03\x01\x02\x00", io.EOF, ErrTLSOnPlain},
		{"C-013 health check", "", io.EOF, ErrProbe},
		{"C-014 health check that resets", "", reset, ErrProbe},
		{"C-015 silence", "", deadline, deadline},
		{"C-021 PROXY version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", io.EOF, ErrProxyHeader},
		{"C-021 PROXY version 2", "\r\n\r\n\x00\r\nQUIT\n", io.EOF, ErrProxyHeader},
	} {
		for _, one := range []bool{false, true} {
			src := io.MultiReader(bytes.NewReader([]byte(c.in)), errorReader{c.end})
			if one {
				src = iotest.OneByteReader(src)
			}
			b := new(readBuffer)
			b.init(src, 4096)
			if err := sniff(b); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	}
}

// Nothing but RTMP is answered by the handshake.
func TestSniff_NothingIsAnswered(t *testing.T) {
	for first := range 256 {
		answer, _, waited, err := accepted(bytes.NewReader(append([]byte{byte(first)}, vector()...)), 4096)
		if first != version && (answer != nil || waited || err == nil) {
			t.Errorf("first byte %#x: %d bytes, %v", first, len(answer), err)
		}
	}
}
