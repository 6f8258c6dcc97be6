package peer

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/fanout"
	"weir/internal/session"
)

// Network returns a function for session.SetNetwork that asks the kernel about a TCP connection
// (TCP_INFO), over which there may be TLS; nil if nc is none.
func Network(nc net.Conn) func() (session.Network, bool) {
	if t := tlsOf(nc); t != nil {
		nc = t.NetConn()
	}
	if t, ok := nc.(*fanout.TLSConn); ok {
		nc = t.Conn
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return func() (n session.Network, ok bool) {
		err := raw.Control(func(fd uintptr) { n, ok = tcpInfo(int(fd)) })
		return n, ok && err == nil
	}
}

// tcpInfo reads TCP_INFO of a descriptor. An old kernel leaves the newer fields at 0.
func tcpInfo(fd int) (session.Network, bool) {
	i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return session.Network{}, false
	}
	return session.Network{
		RTT: time.Duration(i.Rtt) * time.Microsecond, RTTVariance: time.Duration(i.Rttvar) * time.Microsecond,
		Retransmits: uint64(i.Total_retrans), OutOfOrder: uint64(i.Rcv_ooopack),
		Unsent: uint64(i.Notsent_bytes), Rate: 8 * i.Delivery_rate,
	}, true
}
