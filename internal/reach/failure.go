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

	"weir/internal/session"
	"weir/rtmp"
)

// Failure is why a server cannot be reached, or why its connection was lost, for whoever wrote its URL.
type Failure struct {
	// Lasting: trying again soon is of no use, somebody must change something.
	Lasting bool
	Reason  session.Reason
	Text    string // what happened, and what to do: part of a sentence
	Err     error  // what it is made of
}

// Error implements error.
func (f *Failure) Error() string { return f.Text }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// CloseReason implements session.Reasoner.
func (f *Failure) CloseReason() session.Reason { return f.Reason }

// Explain says what an error of the network, of TLS or of RTMP's handshake with a host means; nil if it is none of these. trust is
// what to do if nobody vouches for the host's certificate, and it is the operator's own: "use --insecure".
func Explain(err error, host, trust string) *Failure {
	f := explainTLS(err, host, trust)
	if f == nil {
		f = explainNetwork(err, host)
	}
	if f != nil {
		f.Err = err
	}
	return f
}

func explainTLS(err error, host, trust string) *Failure {
	lasting := func(format string, args ...any) *Failure {
		return &Failure{Lasting: true, Reason: session.Handshake, Text: fmt.Sprintf(format, args...)}
	}
	if errors.Is(err, ErrPin) {
		return lasting("%v", ErrPin)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		names := strings.Join(e.Certificate.DNSNames, ", ")
		if names == "" {
			names = "no host"
		}
		return lasting("the server's certificate is for %s and not for %s: look at the host of the URL", names, host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if e.Reason == x509.Expired {
			return lasting("the certificate of %s has expired or is not valid yet: its operator must renew it, or this machine's clock is wrong", host)
		}
		return lasting("the certificate of %s is not valid: %v", host, e)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return lasting("nobody that this machine trusts vouches for the certificate of %s: if it is your own server, %s", host, trust)
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return lasting("the certificate of %s cannot be verified: %v", host, e.Err)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" { // an alert
		return lasting("%s refuses the TLS connection: %v", host, e.Err)
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return lasting("%s does not speak TLS at this port: write the URL's scheme without the s, or look at the port", host)
	}
	if strings.Contains(err.Error(), "tls: server selected unsupported protocol version") {
		return lasting("%s has no TLS of version 1.2 or newer: its operator must update it", host)
	}
	return nil
}

// explainNetwork is for failures that pass.
func explainNetwork(err error, host string) *Failure {
	again := func(r session.Reason, format string, args ...any) *Failure {
		return &Failure{Reason: r, Text: fmt.Sprintf(format, args...)}
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return again(session.Unreachable, "the name %s is not known: look at the host of the URL", host)
		case e.IsTimeout:
			return again(session.Timeout, "the name %s could not be looked up: no answer from DNS", host)
		}
		return again(session.Unreachable, "the name %s could not be looked up: %s", host, e.Err)
	}
	if e, ok := errors.AsType[*rtmp.TimeoutError](err); ok {
		if e.Stage == rtmp.StageTLS {
			return again(session.Timeout, "%s does not go on with the TLS handshake", host)
		}
		return again(session.Timeout, "%s has not answered: timeout waiting for %s", host, e.Stage)
	}
	if _, ok := errors.AsType[*rtmp.HandshakeError](err); ok {
		return again(session.Handshake, "%s does not answer as a server of RTMP does: look at the port, and at rtmp:// or rtmps://", host)
	}
	switch {
	case strings.Contains(err.Error(), "malformed HTTP "):
		return again(session.Handshake, "%s does not answer as a server of HTTP does: look at the port", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return again(session.Unreachable, "%s refuses the connection: nothing listens at that port, or a firewall is in between", host)
	case strings.Contains(err.Error(), "tls handshake: ") && errors.Is(err, io.EOF):
		return again(session.Handshake, "%s closes the connection within the TLS handshake: look at the port, and at whether it speaks TLS there", host)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return again(session.Unreachable, "there is no way to %s: the network here or there is down", host)
	case errors.Is(err, rtmp.ErrNotConnected):
		return again(session.EOF, "%s has closed the connection instead of letting it into the application: look at the path of the URL", host)
	case errors.Is(err, rtmp.ErrClosedByPeer), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return again(session.EOF, "%s has closed the connection", host)
	}
	timeout, isNet := errors.AsType[net.Error](err)
	if errors.Is(err, context.DeadlineExceeded) || isNet && timeout.Timeout() {
		return again(session.Timeout, "%s cannot be reached: no answer in time", host)
	}
	return nil
}
