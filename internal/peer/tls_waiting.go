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
	drained bool // the last read left no bytes; for the reader only
}

// NewWaitingTLS makes one from nc. Sink takes it like what WrapTLS makes.
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

// Publishing says that the peer publishes: from now on it is read in large pieces, and cannot wait
// without a goroutine any more.
func (c *WaitingTLS) Publishing() { c.records.single = false }

// Await is like intake.Conn's. It also reports false while bytes may have been read that the caller
// has not asked for.
func (c *WaitingTLS) Await(ready func()) bool {
	w, ok := any(c.records.Conn).(interface{ Await(ready func()) bool })
	return ok && c.drained && c.records.single && w.Await(ready)
}

// records returns one TLS record at a time (RFC 8446 §5.1), so that no bytes wait in tls.Conn: the
// connection alone then tells whether there are more.
type records struct {
	*intake.Conn
	single bool // otherwise reads are passed on unchanged
	head   [5]byte
	have   int // bytes of head
	left   int // bytes of the record to come, once its head is complete
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

// tlsOf returns nc as a TLS connection, nil if it is none.
func tlsOf(nc net.Conn) *tls.Conn {
	switch c := nc.(type) {
	case *tls.Conn:
		return c
	case *WaitingTLS:
		return c.Conn
	}
	return nil
}
