package fetch

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"

	"weir/format/flv"
	"weir/internal/session"
)

// maxComplaint is how much of a server's error text is shown, in bytes.
const maxComplaint = 200

// openHTTP opens a URL whose answer is FLV, MPEG-TS or an HLS playlist, as its first bytes tell.
func openHTTP(ctx context.Context, u *url.URL, a Access) (Source, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(a.Patience(), func() { cancel(errLate) })
	defer limit.Stop()
	client := a.client(u)
	s, err := answered(ctx, client, u, a, func() {
		cancel(nil)
		client.CloseIdleConnections()
	})
	if err != nil {
		err = late(ctx, err, a.Patience())
		cancel(nil)
		client.CloseIdleConnections()
		return nil, err
	}
	return s, nil
}

// answered is openHTTP with the context ctx, which end ends.
func answered(ctx context.Context, client *http.Client, u *url.URL, a Access, end func()) (Source, error) {
	res, err := get(ctx, client, u.String(), "")
	if err != nil {
		return nil, err
	}
	body := bufio.NewReaderSize(res.Body, sniffSize)
	if head, _ := body.Peek(len(playlistHead)); bytes.HasPrefix(head, []byte(playlistHead)) {
		defer res.Body.Close()
		s := &hlsSource{ctx: ctx, client: client, end: end, place: a.Place}
		if err := s.begin(u, res.Request.URL, body, a.Paced); err != nil {
			return nil, err
		}
		return s, nil
	}
	s, err := sniff(body, res.ContentLength < 0, a.MaxFrame, func() error {
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
		return session.Because(session.Unsupported, errors.New("this is a web page, not a stream"))
	}
	list := *stream.JoinPath("index.m3u8")
	stream.Path += ".flv"
	return session.Becausef(session.Unsupported, "this is a web page, not a stream; if it is a watch page, its stream is %s and %s",
		session.Redact(stream.String()), session.Redact(list.String()))
}

// get asks for a URL, or for a range of bytes of it. It returns the response if it is a success.
func get(ctx context.Context, client *http.Client, name, span string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, Plain(err)
	}
	if span != "" {
		req.Header.Set("Range", span)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, Plain(err)
	}
	if res.StatusCode == http.StatusOK || span != "" && res.StatusCode == http.StatusPartialContent {
		if err := decode(res); err != nil {
			_ = res.Body.Close()
			return nil, err
		}
		return res, nil
	}
	err = refusal(res, complaint(res.Body))
	_ = res.Body.Close()
	return nil, err
}

// complaint reads the beginning of a server's error text. It ends with a whole word, so that no part of a secret is left that would
// not be known for one.
func complaint(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, maxComplaint))
	if len(b) == maxComplaint {
		b = b[:bytes.LastIndexAny(b, " \t\r\n")+1]
	}
	return string(b)
}

// refusal returns an error for a server's answer that is no success.
func refusal(res *http.Response, text string) error {
	reason := session.ProtocolError
	switch code := res.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		reason = session.NotFound
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		reason = session.Limit
	case code == http.StatusLoopDetected:
		reason = session.Loop
	case code == http.StatusRequestTimeout, code == http.StatusGatewayTimeout:
		reason = session.Timeout
	case code >= 500: // it fails, or who is behind it does
		reason = session.Unreachable
	case code >= 400:
		reason = session.Denied
	case code >= 300: // without saying where to
		reason = session.Redirected
	}
	text = strings.Join(strings.Fields(text), " ")
	if text == "" || strings.Contains(text, "<") { // a page
		return session.Becausef(reason, "the server answers %s", res.Status)
	}
	return session.Becausef(reason, "the server answers %s: %s", res.Status, text)
}

// openWebSocket opens FLV or MPEG-TS from a WebSocket.
func openWebSocket(ctx context.Context, u *url.URL, a Access) (Source, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limit := time.AfterFunc(a.Patience(), func() { cancel(errLate) })
	defer limit.Stop()
	client := a.client(u)
	end := func() {
		cancel(nil)
		client.CloseIdleConnections() // one that has answered no is kept for the next request, which there is not
	}
	c, res, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{HTTPClient: client}) //nolint:bodyclose // the library closes it
	if err != nil {
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			err = refusal(res, complaint(res.Body))
		}
		err = late(ctx, Plain(err), a.Patience())
		end()
		return nil, err
	}
	c.SetReadLimit(flv.MaxBody + 64)
	s, err := sniff(bufio.NewReaderSize(websocket.NetConn(ctx, c, websocket.MessageBinary), sniffSize), true, a.MaxFrame, func() error {
		end()
		return c.CloseNow()
	})
	if err != nil {
		err = late(ctx, err, a.Patience())
		end()
		_ = c.CloseNow()
		return nil, err
	}
	return s, nil
}
