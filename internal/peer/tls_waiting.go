package peer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"

	"weir/internal/intake"
	"weir/internal/session"
)

// WaitingTLS is a TLS server connection that can wait for its peer without a goroutine, as
// intake.Conn can.
type WaitingTLS struct {
	*tls.Conn
	records *records
	drained bool // the last read left nothing behind; the reader's
}

// NewWaitingTLS makes one of nc, for Sink as WrapTLS does.
func NewWaitingTLS(nc *intake.Conn, conf *tls.Config, portable bool) *WaitingTLS {
	r := &records{Conn: nc, single: true}
	return &WaitingTLS{Conn: wrapTLS(r, conf, portable), records: r, drained: true}
}

// Read implements net.Conn.
func (c *WaitingTLS) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.drained = n < len(b)
	if err != nil && c.ConnectionState().HandshakeComplete {
		err = tlsFault(err)
	}
	return n, err
}

// tlsFault gives an error of a TLS connection its reason: what is not the network's is the peer's
// breach of the protocol, such as a bad record or one key update after the other.
func tlsFault(err error) error {
	if local, ok := errors.AsType[*net.OpError](err); ok && local.Op == "local error" || session.ReasonOf(err) == session.Internal {
		return session.Because(session.ProtocolError, err)
	}
	return err
}

// Publishing says that the peer publishes: it is read in large pieces from now on, and
// never waits without a goroutine again.
func (c *WaitingTLS) Publishing() { c.records.single = false }

// Await is intake.Conn's. It reports false also while something may have been read and
// not yet been asked for.
func (c *WaitingTLS) Await(ready func()) bool {
	w, ok := any(c.records.Conn).(interface{ Await(ready func()) bool })
	return ok && c.drained && c.records.single && w.Await(ready)
}

// records hands out one TLS record at a time (RFC 8446 §5.1), so that nothing waits in
// tls.Conn when it has been read empty: the connection alone tells whether there is more.
type records struct {
	*intake.Conn
	single bool // else reads are not looked at
	head   [5]byte
	have   int // bytes of head
	left   int // of the record, once its head is complete
}

// Read implements net.Conn.
func (r *records) Read(b []byte) (int, error) {
	if !r.single {
		return r.Conn.Read(b)
	}
	if r.left > 0 {
		n, err := r.Conn.Read(b[:min(len(b), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.Conn.Read(b[:min(len(b), len(r.head)-r.have)])
	copy(r.head[r.have:], b[:n])
	if r.have += n; r.have == len(r.head) {
		r.have, r.left = 0, int(binary.BigEndian.Uint16(r.head[3:]))
	}
	return n, err
}

// tlsOf returns the TLS connection that nc is, nil if it is none.
func tlsOf(nc net.Conn) *tls.Conn {
	switch c := nc.(type) {
	case *tls.Conn:
		return c
	case *WaitingTLS:
		return c.Conn
	}
	return nil
}
