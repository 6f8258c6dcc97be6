package httpflv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/session"
)

const (
	// maxMessage is the longest message that a player may send.
	maxMessage = 4 << 10
	// pingEvery is how often players are pinged; one that answers none of three is closed.
	pingEvery = 25 * time.Second
	// wsBuffer is the library's read and write buffer for each player.
	wsBuffer = 256
)

// WebSocket is WebSocket-FLV.
type WebSocket struct {
	env protocol.Env
	wg  sync.WaitGroup // readers

	mu      sync.Mutex // guards below
	players map[*wsPlayer]struct{}
	stopped bool // no reader starts any more
}

// NewWebSocket returns WebSocket-FLV.
func NewWebSocket(env protocol.Env) *WebSocket {
	return &WebSocket{env: env, players: map[*wsPlayer]struct{}{}}
}

// Routes implements protocol.Router.
func (p *WebSocket) Routes() []protocol.Route {
	return []protocol.Route{{Method: http.MethodGet, Suffix: ".flv", WebSocket: true, Handler: p.play}}
}

// wsPlayer is a player that can be pinged.
type wsPlayer struct {
	*protocol.Player
	heard atomic.Int64 // when a pong came last, Unix nanoseconds
}

// ping is a ping frame without payload (RFC 6455 §5.5.2).
var ping = []byte{0x89, 0}

// Run implements protocol.Protocol: it pings the players.
func (p *WebSocket) Run(ctx context.Context) error {
	defer p.stop()
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

// stop waits for the readers, whose players have been told to end.
func (p *WebSocket) stop() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.wg.Wait()
}

// add makes a player one that is pinged and read from.
func (p *WebSocket) add(pl *wsPlayer, c *websocket.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		pl.Close(session.ErrShutdown)
		return
	}
	p.players[pl] = struct{}{}
	p.wg.Go(func() { read(c, pl.Player) })
}

func (p *WebSocket) list() []*wsPlayer {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := make([]*wsPlayer, 0, len(p.players))
	for pl := range p.players {
		l = append(l, pl)
	}
	return l
}

func (p *WebSocket) play(w http.ResponseWriter, r *http.Request, path string) {
	choose := variant(mux.WebSocketFLV, r)
	v := p.env.Enter(w, r, path, choose)
	if v == nil {
		return
	}
	header := fileHeader(v.View.Stream, choose(nil))
	first := append(mux.AppendWebSocketHeader(nil, len(header)), header...)
	pl := &wsPlayer{}
	pl.heard.Store(time.Now().UnixNano())
	up := &upgrade{ResponseWriter: w, control: http.NewResponseController(w)}
	c, err := websocket.Accept(up, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the dispatcher has checked the origin
		CompressionMode:    websocket.CompressionDisabled,
		OnPongReceived:     func(context.Context, []byte) { pl.heard.Store(time.Now().UnixNano()) },
	})
	if err != nil {
		v.Leave(session.Because(session.Handshake, err))
		return
	}
	c.SetReadLimit(maxMessage)
	pl.Player = v.Play(protocol.Sink(p.env.Engine, up.conn.Conn, p.env.Portable), first, func() {
		p.mu.Lock()
		delete(p.players, pl)
		p.mu.Unlock()
	})
	up.conn.player.Store(pl.Player)
	p.add(pl, c)
}

// read takes in what the player sends, which is nothing but control frames, until its
// connection ends.
func read(c *websocket.Conn, p *protocol.Player) {
	for {
		t, message, err := c.Reader(context.Background())
		if err == nil && t == websocket.MessageText {
			err = session.Becausef(session.ProtocolError, "text message from a player")
			p.Send([]byte{0x88, 2, 0x03, 0xeb}) // close, 1003: it cannot accept this data
			p.Finish(err)
			return
		}
		if err == nil {
			_, err = io.Copy(io.Discard, message)
		}
		if err != nil {
			var closed websocket.CloseError
			if errors.As(err, &closed) || !errors.Is(err, net.ErrClosed) {
				p.Finish(session.Because(session.EOF, err)) // the library's answer goes out first
			}
			return
		}
	}
}

// upgrade gives the library the hijacked connection with small buffers, and its writes to
// the player once there is one.
type upgrade struct {
	http.ResponseWriter
	control *http.ResponseController
	conn    *wsConn
}

// Hijack implements http.Hijacker.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := u.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	u.conn = &wsConn{Conn: nc}
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Reader.Peek(n)
		u.conn.early = append([]byte(nil), b...)
	}
	return u.conn, bufio.NewReadWriter(bufio.NewReaderSize(u.conn, wsBuffer), bufio.NewWriterSize(u.conn, wsBuffer)), nil
}

// wsConn is the connection as the library sees it: what it writes (pongs, the closing
// frame) is queued for the engine, which owns the sending side and the end.
type wsConn struct {
	net.Conn
	early  []byte // read by the HTTP server already
	player atomic.Pointer[protocol.Player]
}

// Read implements net.Conn.
func (c *wsConn) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c *wsConn) Write(b []byte) (int, error) {
	p := c.player.Load()
	if p == nil {
		return 0, net.ErrClosed // the player is not there yet: nothing was promised
	}
	p.Send(append([]byte(nil), b...))
	return len(b), nil
}

// Close implements net.Conn: the engine closes the connection.
func (c *wsConn) Close() error {
	if p := c.player.Load(); p != nil {
		p.Finish(session.Because(session.EOF, net.ErrClosed))
	}
	return nil
}
