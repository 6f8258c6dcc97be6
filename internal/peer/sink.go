package peer

import (
	"crypto/tls"
	"net"

	"weir/internal/fanout"
)

// WrapTLS makes a TLS server connection that Sink can hand to the engine's workers.
func WrapTLS(nc net.Conn, conf *tls.Config, portable bool) net.Conn {
	return wrapTLS(nc, conf, portable)
}

func wrapTLS(nc net.Conn, conf *tls.Config, portable bool) *tls.Conn {
	if !portable {
		if raw, ok := fanout.NewTLSConn(nc); ok {
			return tls.Server(raw, conf)
		}
	}
	return tls.Server(nc, conf)
}

// Sink returns the sink of a connection, which is plain or made by WrapTLS or NewWaitingTLS, after its set-up.
func Sink(e *fanout.Engine, nc net.Conn, portable bool) fanout.Sink {
	t := tlsOf(nc)
	if t == nil {
		return e.Socket(nc, portable)
	}
	if raw, ok := t.NetConn().(*fanout.TLSConn); ok {
		return e.TLS(t, raw)
	}
	return e.Portable(nc)
}
