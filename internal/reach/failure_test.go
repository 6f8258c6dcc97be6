package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"weir/internal/session"
	"weir/rtmp"
)

// TestExplain: each failure has its reason, a sentence with the host, and says whether to wait or to act.
func TestExplain(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	for _, c := range []struct {
		err     error
		lasting bool
		reason  session.Reason
		text    string
	}{
		{ErrPin, true, session.Handshake, "the server's certificate is not the one whose fingerprint is in pin"},
		{x509.UnknownAuthorityError{}, true, session.Handshake, "nobody that this machine trusts vouches for the certificate of h.test: if it is your own server, trust it"},
		{x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a.test", "b.test"}}, Host: "h.test"}, true, session.Handshake, "is for a.test, b.test and not for h.test"},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h.test"}, true, session.Handshake, "is for no host and not for h.test"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, true, session.Handshake, "certificate of h.test has expired"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, true, session.Handshake, "certificate of h.test is not valid"},
		{&tls.CertificateVerificationError{Err: errors.New("odd")}, true, session.Handshake, "cannot be verified: odd"},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: no application protocol")}, true, session.Handshake, "h.test refuses the TLS connection: tls: no application"},
		{tls.RecordHeaderError{}, true, session.Handshake, "does not speak TLS at this port"},
		{errors.New("tls: server selected unsupported protocol version 301"), true, session.Handshake, "no TLS of version 1.2"},
		{dial(&net.DNSError{IsNotFound: true}), false, session.Unreachable, "the name h.test is not known"},
		{dial(&net.DNSError{IsTimeout: true}), false, session.Timeout, "no answer from DNS"},
		{dial(&net.DNSError{Err: "server misbehaving"}), false, session.Unreachable, "could not be looked up: server misbehaving"},
		{&rtmp.TimeoutError{Stage: rtmp.StageTLS}, false, session.Timeout, "does not go on with the TLS handshake"},
		{&rtmp.TimeoutError{Stage: rtmp.StageConnect}, false, session.Timeout, "h.test has not answered: timeout waiting for "},
		{&rtmp.HandshakeError{Err: io.EOF}, false, session.Handshake, "does not answer as a server of RTMP does"},
		{errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x03"`), false, session.Handshake, "h.test does not answer as a server of HTTP does: look at the port"},
		{dial(syscall.ECONNREFUSED), false, session.Unreachable, "h.test refuses the connection"},
		{fmt.Errorf("tls handshake: %w", io.EOF), false, session.Handshake, "closes the connection within the TLS handshake"},
		{dial(syscall.EHOSTUNREACH), false, session.Unreachable, "no way to h.test"},
		{dial(syscall.ENETUNREACH), false, session.Unreachable, "no way to h.test"},
		{fmt.Errorf("%w: %w", rtmp.ErrClosedByPeer, io.EOF), false, session.EOF, "h.test has closed the connection"},
		{fmt.Errorf("%w: %w", rtmp.ErrNotConnected, rtmp.ErrClosedByPeer), false, session.EOF, "h.test has closed the connection instead of letting it into the application: look at the path of the URL"},
		{syscall.ECONNRESET, false, session.EOF, "h.test has closed the connection"},
		{syscall.EPIPE, false, session.EOF, "h.test has closed the connection"},
		{context.DeadlineExceeded, false, session.Timeout, "h.test cannot be reached: no answer in time"},
	} {
		f := Explain(fmt.Errorf("open: %w", c.err), "h.test", "trust it")
		if f == nil || f.Lasting != c.lasting || f.Reason != c.reason || !strings.Contains(f.Text, c.text) || !errors.Is(f, c.err) && !errors.As(f, new(x509.UnknownAuthorityError)) &&
			!errors.As(f, new(x509.HostnameError)) && !errors.As(f, new(tls.RecordHeaderError)) {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
	if f := Explain(errors.New("anything else"), "h.test", ""); f != nil {
		t.Errorf("%+v", f)
	}
}
