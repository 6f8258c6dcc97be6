package rtmp

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

// Errors of connections that do not speak RTMP, wrapped in a HandshakeError.
var (
	// ErrProbe is a connection that was closed before its first byte: a health check.
	ErrProbe = errors.New("closed before the first byte")
	// ErrHTTP is an HTTP request; a server answers it with status 400.
	ErrHTTP = errors.New("HTTP on the RTMP port")
	// ErrTLSOnPlain is a TLS ClientHello on a port without TLS.
	ErrTLSOnPlain = errors.New("TLS on the plain RTMP port: use the RTMPS port")
	// ErrEncrypted is RTMPE, by versions 6, 8 and 9, which is not supported.
	ErrEncrypted = errors.New("encrypted RTMP (RTMPE) is not supported: use RTMPS")
	// ErrProxyHeader is a PROXY protocol header, which is not enabled.
	ErrProxyHeader = errors.New("PROXY protocol header")
	// ErrVersion is any other first byte.
	ErrVersion = errors.New("unsupported RTMP version")
)

// sniff reads the first byte of a connection, which over RTMP is the version (RTMP 1.0 §5.2.2).
func sniff(b *readBuffer) error {
	p, err := b.peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return ErrProbe
		}
		return err
	}
	switch p[0] {
	case version:
		b.discard(1)
		return nil
	case 0x16:
		return ErrTLSOnPlain
	case 6, 8, 9:
		return fmt.Errorf("%w (version %d)", ErrEncrypted, p[0])
	case '\r':
		return ErrProxyHeader
	case 'G', 'H', 'O', 'D', 'C':
		return ErrHTTP
	case 'P':
		if p, err = b.peek(2); err == nil && p[1] == 'R' {
			return ErrProxyHeader
		}
		return ErrHTTP
	}
	return fmt.Errorf("%w %d", ErrVersion, p[0])
}
