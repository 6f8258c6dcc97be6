package live

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	coder "github.com/coder/websocket"

	"weir/internal/intake"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/websocket"
)

const (
	// pingEvery is how often players are pinged; one that leaves three pings unanswered is closed.
	pingEvery = 25 * time.Second
	// wsBuffer is how much is read from a player at a time.
	wsBuffer = 256
)

// WebSockets plays a format over WebSockets, one message of the stream in each binary frame.
type WebSockets struct {
	env    protocol.Env
	format Format
	wg     sync.WaitGroup // readers

	mu      sync.Mutex // guards below
	players map[*wsPlayer]struct{}
	stopped bool // no new reader may start
}

// NewWebSockets returns a protocol that plays by WebSockets.
func NewWebSockets(env protocol.Env, f Format) *WebSockets {
	return &WebSockets{env: env, format: f, players: map[*wsPlayer]struct{}{}}
}

// Routes implements Router.
func (p *WebSockets) Routes() []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Suffix: p.format.Suffix, WebSocket: true, Handler: p.play}}
}

// wsPlayer is a player that can be pinged.
type wsPlayer struct {
	*peer.Player
	conn  net.Conn // read by one goroutine at a time, or by none while the poller waits
	input websocket.Input
	heard atomic.Int64 // when a pong came last, Unix nanoseconds
}

// Run implements Protocol: it pings the players.
func (p *WebSockets) Run(ctx context.Context) error {
	defer p.stop()
	ping := websocket.Ping()
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			for _, pl := range p.list() {
				if now.UnixNano()-pl.heard.Load() > int64(3*pingEvery) {
					pl.Close(session.Becausef(session.Timeout, "no answer to pings"))
				} else {
					pl.Send(ping)
				}
			}
		}
	}
}

// stop waits for the readers, whose players have been told to end. The poller waits for the readers that it wakes.
func (p *WebSockets) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.wg.Wait()
}

// add begins to ping a player and to read from it.
func (p *WebSockets) add(pl *wsPlayer, early []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		pl.Close(session.ErrShutdown)
		return
	}
	p.players[pl] = struct{}{}
	p.wg.Go(func() {
		if pl.take(early) {
			pl.read()
		}
	})
}

func (p *WebSockets) list() []*wsPlayer {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := make([]*wsPlayer, 0, len(p.players))
	for pl := range p.players {
		l = append(l, pl)
	}
	return l
}

func (p *WebSockets) play(w http.ResponseWriter, r *http.Request, path string) {
	v, first := p.format.enter(&p.env, w, r, path, WebSocket)
	if v == nil {
		return
	}
	up := &upgrade{ResponseWriter: w, control: http.NewResponseController(w)}
	if _, err := coder.Accept(up, r, &coder.AcceptOptions{
		InsecureSkipVerify: true, // the dispatcher has checked the origin
		CompressionMode:    coder.CompressionDisabled,
	}); err != nil {
		v.Leave(session.Because(session.Handshake, err))
		return
	}
	pl := &wsPlayer{conn: up.conn}
	if c, ok := intake.Wrap(up.conn, p.env.Poller); ok {
		pl.conn = c
	}
	pl.input.Heard = func() { pl.heard.Store(time.Now().UnixNano()) }
	pl.input.Reply = func(b []byte) {
		if websocket.IsClose(b) { // nothing may follow it (RFC 6455 §5.5.1)
			pl.Pause(true)
		}
		pl.Send(b)
	}
	pl.input.Heard()
	v.Session.SetNetwork(peer.Network(pl.conn))
	pl.Player = v.Play(peer.Sink(p.env.Engine, pl.conn, p.env.Portable), first, func() {
		p.mu.Lock()
		delete(p.players, pl)
		p.mu.Unlock()
	})
	p.add(pl, up.early)
}

// read handles what the player sends until its connection ends or the poller can wait for more.
func (pl *wsPlayer) read() {
	w, canWait := pl.conn.(interface{ Await(ready func()) bool })
	for !canWait || !w.Await(pl.wake) {
		if !pl.readOnce() {
			return
		}
	}
}

// wake goes on reading when the poller has seen bytes or the connection's end.
func (pl *wsPlayer) wake() {
	if pl.readOnce() {
		pl.read()
	}
}

// readOnce reads what has come. It reports whether the player goes on.
func (pl *wsPlayer) readOnce() bool {
	var b [wsBuffer]byte
	n, err := pl.conn.Read(b[:])
	if !pl.take(b[:n]) {
		return false
	}
	if err != nil && !errors.Is(err, net.ErrClosed) {
		pl.Finish(session.Because(session.EOF, err))
	}
	return err == nil
}

// take handles bytes from the player. It reports whether the player goes on.
func (pl *wsPlayer) take(b []byte) bool {
	err := pl.input.Feed(b)
	switch {
	case errors.Is(err, websocket.ErrClosed):
		pl.Finish(session.Because(session.EOF, err)) // the answer goes out first
	case err != nil:
		pl.Finish(session.Because(session.ProtocolError, err))
	}
	return err == nil
}

// upgrade gives the library a connection on which to answer the request. After the answer the
// library neither reads nor writes.
type upgrade struct {
	http.ResponseWriter
	control *http.ResponseController
	conn    net.Conn
	early   []byte // read by the HTTP server already
}

// Hijack implements http.Hijacker.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := u.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.conn = nc
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Reader.Peek(n)
		u.early = bytes.Clone(b)
	}
	return keptConn{nc}, bufio.NewReadWriter(bufio.NewReaderSize(nil, 1), bufio.NewWriterSize(nil, 1)), nil
}

// keptConn is a connection that the library cannot close: it would when its own object is garbage collected.
type keptConn struct{ net.Conn }

// Close implements net.Conn.
func (keptConn) Close() error { return nil }
