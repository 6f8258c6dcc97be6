package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"weir/amf"
)

// DialOptions says how Dial connects. The zero value is good for most servers.
type DialOptions struct {
	// Dial opens the connection to host:port. Default: a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLSConfig is for rtmps. Default: the system's roots and the URL's host.
	TLSConfig *tls.Config
	// Timeout is for Dial as a whole, and for each of Publish and Play. Default 10 s.
	Timeout time.Duration
	// TLSTimeout is for the TLS handshake of rtmps. Default: what is left of Timeout.
	TLSTimeout time.Duration
	// IdleTimeout is the silence after which the server is pinged while playing; after
	// as long again reading fails. Default 30 s; negative: never.
	IdleTimeout time.Duration
	// WriteTimeout is how long one write may take. Default 30 s.
	WriteTimeout time.Duration
	// App is the application, where it is not all but the last segment of the path.
	App string
	// Name, if not empty, is the stream's name with its query, sent as it is. The URL is that of the
	// application then, whose query is sent with it: services give a URL and a key apart.
	Name string
	// ChunkSize is the chunk size of what the client writes. Default 4096.
	ChunkSize int
	// Plays says that the connection is to play: connect then does not say that it is an encoder's, which
	// some servers ask for user and password.
	Plays bool
	// Complex makes the handshake carry digests, for Adobe servers that require them.
	Complex bool
	// FlashVer, PageURL and SwfURL are told to the server. FlashVer is by default a
	// name that servers take for an encoder.
	FlashVer, PageURL, SwfURL string
	// Caps is announced as Enhanced RTMP capabilities; nil announces none.
	Caps *Caps
	// Properties are further properties of connect.
	Properties amf.Object
	// OnStatus is told of each onStatus after Publish or Play has succeeded, on the
	// goroutine that reads, where Close must not be called. The request to reconnect
	// comes here.
	OnStatus func(*StatusError)
}

// AnyCodec is the capabilities of a program that passes on or stores what it receives.
func AnyCodec() *Caps {
	forward := []FourCCEntry{{FourCC: "*", Info: CanForward}}
	return &Caps{
		FourCCs: []string{"*"}, Video: forward, Audio: forward,
		CapsEx: CapMultitrack | CapModEx | CapTimestampNanoOffset,
	}
}

// ErrStreamOpen is returned by Publish and Play of a Client that has a stream already.
var ErrStreamOpen = errors.New("the connection has a stream already")

// Client is a connection to a server, for one stream: publish or play it once, then
// close. It does not reconnect.
type Client struct {
	conn   Conn
	opts   DialOptions
	target target
	caps   Caps // the server's

	tid   float64 // of the last command
	used  bool
	early []Message // what arrived before the answer to play

	wg     sync.WaitGroup // the goroutine that reads while publishing
	mu     sync.Mutex     // guards below
	err    error          // why the connection cannot be used any more
	closed bool
}

// Dial connects to the server of a URL, rtmp://host/app/name or rtmps://, and its
// application. User and password in the URL are used if the server asks for them by the
// adobe or llnw scheme. The server's refusal is a *StatusError, or wraps ErrAuthFailed.
// ctx is for Dial alone.
func Dial(ctx context.Context, rawURL string, opts DialOptions) (*Client, error) {
	t, err := parseTarget(rawURL, opts.App, opts.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, opts.timeout())
	defer cancel()
	// Authentication takes three connections, and a fourth to learn of a refusal.
	auth := ""
	for range 4 {
		c := &Client{opts: opts, target: t}
		err := c.dial(ctx, auth)
		if err == nil {
			return c, nil
		}
		refusal, ok := errors.AsType[*StatusError](err)
		if !ok {
			return nil, fmt.Errorf("connecting to %s: %w", t.address, err)
		}
		auth, err = answerAuth(refusal.Description, t.app, t.user, t.password)
		switch {
		case err != nil:
			return nil, fmt.Errorf("connecting to %s: %w", t.address, err)
		case auth == "":
			return nil, fmt.Errorf("connecting to %s: %w", t.address, refusal)
		}
	}
	return nil, fmt.Errorf("connecting to %s: %w", t.address, ErrAuthFailed)
}

// dial makes one attempt.
func (c *Client) dial(ctx context.Context, auth string) error {
	open := c.opts.Dial
	if open == nil {
		open = new(net.Dialer).DialContext
	}
	nc, err := open(ctx, "tcp", c.target.address)
	if err != nil {
		return err
	}
	if c.target.tls {
		config := c.opts.TLSConfig.Clone()
		if config == nil {
			config = new(tls.Config)
		}
		if config.ServerName == "" {
			config.ServerName = c.target.serverName
		}
		tc := tls.Client(nc, config)
		if err := c.handshakeTLS(ctx, tc); err != nil {
			_ = nc.Close()
			return fmt.Errorf("tls handshake: %w", err)
		}
		nc = tc
	}
	c.conn.nc = nc
	c.conn.init(publishBuffer)
	if c.opts.WriteTimeout > 0 {
		c.conn.writeTimeout = c.opts.WriteTimeout
	} else {
		c.conn.writeTimeout = 30 * time.Second
	}
	shaken := false
	err = c.within(ctx, StageConnect, func() error {
		if err := dialHandshake(&c.conn.buf, c.conn.handshakeWriter(), c.opts.Complex); err != nil {
			return &HandshakeError{Err: err}
		}
		shaken = true
		return c.connect(auth)
	})
	if shaken && errors.Is(err, ErrClosedByPeer) {
		err = fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	if err != nil {
		_ = nc.Close()
	}
	return err
}

// handshakeTLS performs the TLS handshake within its time.
func (c *Client) handshakeTLS(ctx context.Context, tc *tls.Conn) error {
	if c.opts.TLSTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.TLSTimeout)
		defer cancel()
	}
	err := tc.HandshakeContext(ctx)
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return &TimeoutError{Stage: StageTLS}
	}
	return err
}

// within runs f with the deadline of the options and of ctx, whichever is sooner.
func (c *Client) within(ctx context.Context, stage Stage, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, c.opts.timeout())
	defer cancel()
	deadline, _ := ctx.Deadline()
	c.conn.setStage(deadline)
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		c.conn.interrupt()
	})
	err := f()
	if !stop() {
		<-interrupted
		if err == nil || errors.Is(context.Cause(ctx), context.Canceled) {
			err = context.Cause(ctx)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &TimeoutError{Stage: stage}
	}
	if err != nil {
		return endOf(context.Background(), err, stage)
	}
	return nil
}

// connect sends the connect command and waits for its answer.
func (c *Client) connect(auth string) error {
	flashVer := c.opts.FlashVer
	if flashVer == "" {
		flashVer = "FMLE/3.0 (compatible; Weir)"
	}
	props := amf.Object{{Key: "app", Value: c.target.app + auth}}
	if !c.opts.Plays {
		props = append(props, amf.Property{Key: "type", Value: "nonprivate"})
	}
	props = append(props, amf.Property{Key: "flashVer", Value: flashVer})
	if c.opts.SwfURL != "" {
		props = append(props, amf.Property{Key: "swfUrl", Value: c.opts.SwfURL})
	}
	props = append(props, amf.Property{Key: "tcUrl", Value: c.target.tcURL() + auth})
	if c.opts.Plays { // an encoder does not say what it can play
		props = append(props,
			amf.Property{Key: "fpad", Value: false},
			amf.Property{Key: "capabilities", Value: 239.0},
			amf.Property{Key: "audioCodecs", Value: 4071.0},
			amf.Property{Key: "videoCodecs", Value: 252.0},
			amf.Property{Key: "videoFunction", Value: 1.0},
			amf.Property{Key: "objectEncoding", Value: 0.0})
	}
	if c.opts.PageURL != "" {
		props = append(props, amf.Property{Key: "pageUrl", Value: c.opts.PageURL})
	}
	if c.opts.Caps != nil {
		props = c.opts.Caps.properties(props)
	}
	props = append(props, c.opts.Properties...)
	tid := c.nextTID()
	if err := c.conn.WriteMessage(resultMessage("connect", tid, props)); err != nil {
		return err
	}
	return c.await(func(cmd *command, _ uint32) (bool, error) {
		if cmd.tid != tid {
			return false, nil
		}
		info := parseStatus(cmd.arg(0))
		switch cmd.name {
		case "_error":
			info.Level = LevelError
			return true, info
		case "_result":
			if o, ok := amf.Properties(cmd.arg(0)); ok {
				c.caps = parseCaps(o)
			}
			return true, nil
		}
		return false, nil
	})
}

// nextTID returns the next transaction id.
func (c *Client) nextTID() float64 {
	c.tid++
	return c.tid
}

// await reads commands until done says so. Audio and video that come before are kept for play.
func (c *Client) await(done func(cmd *command, streamID uint32) (bool, error)) error {
	for {
		m, err := c.conn.ReadMessage()
		if err != nil {
			return err
		}
		if m.Type != TypeCommand && m.Type != TypeCommandAMF3 {
			if c.early = append(c.early, m); len(c.early) > maxEarly {
				return fmt.Errorf("%w: %d messages before the answer", ErrProtocol, len(c.early))
			}
			continue
		}
		cmd, err := parseCommand(&m)
		if err != nil {
			continue // not the answer
		}
		if cmd.name == "close" {
			return fmt.Errorf("%w: close command", ErrClosedByPeer)
		}
		if err := c.answerCall(&cmd); err != nil {
			return err
		}
		if ok, err := done(&cmd, m.StreamID); ok || err != nil {
			return err
		}
	}
}

// maxEarly bounds the messages before the answer to play.
const maxEarly = 256

// createStream sends commands that need no answer and createStream after them, and
// returns the new stream's id.
func (c *Client) createStream(ms ...*Message) (id uint32, err error) {
	tid := c.nextTID()
	err = c.conn.WriteMessages(append(ms, resultMessage("createStream", tid, nil))...)
	if err != nil {
		return 0, err
	}
	err = c.await(func(cmd *command, _ uint32) (bool, error) {
		switch {
		case cmd.tid != tid:
			return false, nil
		case cmd.name == "_error":
			return true, parseStatus(cmd.arg(0))
		case cmd.name != "_result":
			return false, nil
		}
		var ok bool
		if id, ok = cmd.streamArg(0); !ok {
			return true, fmt.Errorf("%w: createStream was answered without an id", ErrProtocol)
		}
		return true, nil
	})
	return id, err
}

// awaitStatus waits for onStatus with a code that ok accepts; errors are returned.
func (c *Client) awaitStatus(ok func(code string) bool) error {
	return c.await(func(cmd *command, _ uint32) (bool, error) {
		if cmd.name != "onStatus" {
			return false, nil
		}
		st := parseStatus(cmd.arg(0))
		if st.Level == LevelError {
			return true, st
		}
		return ok(st.Code), nil
	})
}

// Caps returns what the server announced of Enhanced RTMP.
func (c *Client) Caps() *Caps { return &c.caps }

// Stats returns the connection's byte counters; what concerns sessions is zero.
func (c *Client) Stats() Stats { return c.conn.stats() }

// LocalAddr and RemoteAddr are the addresses of the connection.
func (c *Client) LocalAddr() net.Addr { return c.conn.nc.LocalAddr() }

// RemoteAddr is the server's address.
func (c *Client) RemoteAddr() net.Addr { return c.conn.nc.RemoteAddr() }

// Close closes the connection at once and waits for its goroutine. Reads and writes
// under way fail with net.ErrClosed. The Close of a stream first tells the server.
func (c *Client) Close() error {
	c.fail(net.ErrClosed)
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	var err error
	if first {
		err = c.conn.nc.Close()
	}
	c.wg.Wait()
	return err
}

// fail records why the connection cannot be used any more; the first reason counts.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// failure returns the reason recorded, or err.
func (c *Client) failure(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// timeout is Timeout or the default.
func (o *DialOptions) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 10 * time.Second
}

// idleTimeout is IdleTimeout or the default.
func (o *DialOptions) idleTimeout() time.Duration {
	if o.IdleTimeout != 0 {
		return max(o.IdleTimeout, 0)
	}
	return 30 * time.Second
}
