package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"weir/format/flv"
	"weir/internal/session"
)

const (
	// maxHeader bounds a server's response headers.
	maxHeader = 64 << 10
	// maxComplaint is how much of a server's error text is shown.
	maxComplaint = 200
)

// client returns an HTTP client for the requests of one source.
func (a Access) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: new(net.Dialer).DialContext, TLSClientConfig: a.tls(), MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2: true, MaxConnsPerHost: 4,
	}}
}

// openHTTP opens a URL whose answer is FLV, MPEG-TS or an HLS playlist, as its first bytes tell.
func openHTTP(ctx context.Context, name string, a Access) (Source, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(a.timeout(), func() { cancel(errLate) })
	defer limit.Stop()
	client := a.client()
	s, err := answered(ctx, client, name, func() {
		cancel(nil)
		client.CloseIdleConnections()
	})
	if err != nil {
		err = late(ctx, err, a.timeout())
		cancel(nil)
		client.CloseIdleConnections()
		return nil, err
	}
	return s, nil
}

// answered is openHTTP with the context ctx, which end ends.
func answered(ctx context.Context, client *http.Client, name string, end func()) (Source, error) {
	res, err := get(ctx, client, name, "")
	if err != nil {
		return nil, err
	}
	body := bufio.NewReaderSize(res.Body, sniffSize)
	if head, _ := body.Peek(len(playlistHead)); bytes.HasPrefix(head, []byte(playlistHead)) {
		defer res.Body.Close()
		return newHLS(ctx, client, res.Request.URL, body, end)
	}
	s, err := sniff(body, res.ContentLength < 0, func() error {
		end()
		return res.Body.Close()
	})
	if err != nil {
		_ = res.Body.Close()
		if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); errors.Is(err, errUnknown) && kind == "text/html" {
			err = webPage(res.Request.URL)
		}
		return nil, err
	}
	return s, nil
}

// webPage is the error for a page that was asked for as if it were a stream. It names the streams of a watch page.
func webPage(at *url.URL) error {
	stream := *at
	stream.Path, stream.RawPath = strings.TrimRight(at.Path, "/"), ""
	if stream.Path == "" || stream.Path == at.Path {
		return errors.New("this is a web page, not a stream")
	}
	list := *stream.JoinPath("index.m3u8")
	stream.Path += ".flv"
	return fmt.Errorf("this is a web page, not a stream; if it is a watch page, its stream is %s and %s",
		session.Redact(stream.String()), session.Redact(list.String()))
}

// get asks for a URL, or for a range of bytes of it. It returns the response if it is a success.
func get(ctx context.Context, client *http.Client, name, span string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, plain(err)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, plain(err)
	}
	if res.StatusCode == http.StatusOK || span != "" && res.StatusCode == http.StatusPartialContent {
		return res, nil
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxComplaint))
	_ = res.Body.Close()
	return nil, refusal(res.Status, string(text))
}

// refusal returns an error for a server's answer that is no success.
func refusal(status, text string) error {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || strings.Contains(text, "<") { // a page
		return fmt.Errorf("the server answers %s", status)
	}
	return fmt.Errorf("the server answers %s: %s", status, text)
}

// openWebSocket opens FLV or MPEG-TS from a WebSocket.
func openWebSocket(ctx context.Context, name string, a Access) (Source, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(a.timeout(), func() { cancel(errLate) })
	defer limit.Stop()
	c, res, err := websocket.Dial(ctx, name, &websocket.DialOptions{HTTPClient: a.client()}) //nolint:bodyclose // the library closes it
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			text, _ := io.ReadAll(io.LimitReader(res.Body, maxComplaint))
			err = refusal(res.Status, string(text))
		}
		err = late(ctx, plain(err), a.timeout())
		cancel(nil)
		return nil, err
	}
	c.SetReadLimit(flv.MaxBody + 64)
	s, err := sniff(bufio.NewReaderSize(websocket.NetConn(ctx, c, websocket.MessageBinary), sniffSize), true, func() error {
		cancel(nil)
		return c.CloseNow()
	})
	if err != nil {
		err = late(ctx, err, a.timeout())
		cancel(nil)
		_ = c.CloseNow()
		return nil, err
	}
	return s, nil
}
