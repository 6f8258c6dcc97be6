package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

const (
	pumpBuffer  = 64 << 10
	slowReceive = 32 << 10 // the receive buffer of slow players
	slowPause   = 20 * time.Millisecond
	writeLimit  = 10 * time.Second
)

// dial opens the player's connection.
func (p *player) dial(ctx context.Context, conf *tls.Config) (raw *net.TCPConn, c net.Conn, err error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", p.target.addr)
	if err != nil {
		return nil, nil, err
	}
	raw = nc.(*net.TCPConn)
	if p.slow {
		_ = raw.SetReadBuffer(slowReceive)
	}
	if !p.target.tls {
		return raw, raw, nil
	}
	tc := tls.Client(raw, conf)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return raw, tc, nil
}

// pump runs a player on this goroutine until its connection or ctx ends. A player that
// drains leaves its ciphertext as it is, and is given to adopt if there is one, which
// then owns it and its connection if it returns true.
func (r *run) pump(ctx context.Context, p *player, conf *tls.Config, slowRate int, adopt func(*player, *net.TCPConn) bool) {
	p.rec = r.recorder()
	begun := r.clock.now()
	raw, c, err := p.dial(ctx, conf)
	if err != nil {
		r.playerOver(p, err)
		return
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Now()) })()
	p.begin(begun)
	pace := pacer{rate: slowRate, last: time.Now()}
	for buf := make([]byte, pumpBuffer); ; {
		if p.draining && raw != c {
			if adopt != nil && adopt(p, raw) {
				return
			}
			p.out, p.window, c = nil, 0, raw // nothing can be said in plain there
		}
		if len(p.out) > 0 {
			if ctx.Err() == nil {
				_ = raw.SetWriteDeadline(time.Now().Add(writeLimit))
			}
			_, err := c.Write(p.out)
			p.out = p.out[:0]
			if err != nil {
				r.playerOver(p, err)
				return
			}
		}
		size := len(buf)
		if p.slow && p.started != 0 {
			if size = min(size, pace.allow(time.Now())); size == 0 {
				if wait(ctx, slowPause) != nil {
					r.playerOver(p, context.Cause(ctx))
					return
				}
				continue
			}
		}
		n, err := c.Read(buf[:size])
		if n > 0 {
			p.rec.at(r.clock.now())
			r.bytes.Add(int64(n))
			pace.take(n)
			if bad := p.received(buf[:n], n); bad != nil {
				r.playerOver(p, bad)
				return
			}
		}
		if err != nil {
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			r.playerOver(p, p.ended(err))
			return
		}
	}
}

// pacer lets a slow player have rate bytes a second, a second's worth at once at most.
type pacer struct {
	rate int
	have float64
	last time.Time
}

// allow returns how many bytes may be read at the time now.
func (c *pacer) allow(now time.Time) int {
	c.have = min(c.have+now.Sub(c.last).Seconds()*float64(c.rate), float64(c.rate))
	c.last = now
	return max(0, int(c.have))
}

// take notes that n bytes were read.
func (c *pacer) take(n int) { c.have -= float64(n) }
