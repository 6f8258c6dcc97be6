package protocoltest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"

	"weir/internal/session"
)

// ToldByStatus is what refused clients of protocols over HTTP are told: the status.
var ToldByStatus = map[session.Reason]string{
	session.NotFound: "404", session.Path: "404", session.Limit: "503", session.BadKey: "403",
	session.Address: "403", session.Throttled: "429", session.Denied: "403",
}

// Get asks for a path, with a query perhaps, and returns the answer's body. Each request has a
// connection of its own.
func Get(ctx context.Context, addr, target string) (io.ReadCloser, error) {
	path, query, _ := strings.Cut(target, "?")
	u := url.URL{Scheme: "http", Host: addr, Path: path, RawQuery: query}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the answer outlives the wait for it
	stop := context.AfterFunc(ctx, cancel)
	req, err := http.NewRequestWithContext(own, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	stop()
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer cancel()
		defer res.Body.Close()
		return nil, refusal(res)
	}
	return &body{res.Body, cancel}, nil
}

// refusal is an answer that refuses.
func refusal(res *http.Response) error {
	why, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %s", res.Status, why)
}

// body is an answer's, which closes its connection with it.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.cancel()
	return b.ReadCloser.Close()
}

// GetRequest is the request that Get sends.
func GetRequest(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: h\r\nUser-Agent: suite\r\nAccept: */*\r\n\r\n")
}

// maxFrame is how long a WebSocket's frame may be that clients take.
const maxFrame = 16 << 20

// Upgrade opens a WebSocket, and returns what comes in its binary messages.
func Upgrade(ctx context.Context, addr, path string) (io.ReadCloser, error) {
	u := url.URL{Scheme: "ws", Host: addr, Path: path}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	c, res, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // the library's to close
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			return nil, refusal(res)
		}
		return nil, err
	}
	c.SetReadLimit(maxFrame)
	return &socket{Reader: websocket.NetConn(context.Background(), c, websocket.MessageBinary), conn: c}, nil
}

// socket is a WebSocket that is read.
type socket struct {
	io.Reader
	conn *websocket.Conn
}

// Close implements io.Closer.
func (s *socket) Close() error { return s.conn.CloseNow() }

// UpgradeRequest is the request that Upgrade sends.
func UpgradeRequest(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
}
