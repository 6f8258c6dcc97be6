package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	answers "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// maxAnswer is how much of an answer, and of its header, is read.
const maxAnswer = 64 << 10

// collector carries the exporter's requests to the collector. It knows the whole URL, which the exporter does not, and makes errors of
// answers by which spans are lost: those of the exporter would have what the collector says in them, at any length.
type collector struct {
	url  *url.URL
	base http.RoundTripper
}

// newCollector returns a carrier to u by base, or by a transport of its own if that is nil.
func newCollector(u *url.URL, base http.RoundTripper) *collector {
	if base == nil {
		base = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: sendTime}).DialContext,
			TLSHandshakeTimeout:    sendTime,
			IdleConnTimeout:        2 * sendTime,
			MaxResponseHeaderBytes: maxAnswer,
			ForceAttemptHTTP2:      true,
		}
	}
	return &collector{u, base}
}

// close closes the connections that are open.
func (c *collector) close() { (&http.Client{Transport: c.base}).CloseIdleConnections() }

var errSilent = fmt.Errorf("trace: the collector has not answered within %v", sendTime)

// RoundTrip implements http.RoundTripper.
func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL, r.Host = c.url, c.url.Host
	if u := c.url.User; u != nil && r.Header.Get("Authorization") == "" {
		password, _ := u.Password()
		r.SetBasicAuth(u.Username(), password)
	}
	res, err := c.base.RoundTrip(r)
	if err != nil && errors.Is(r.Context().Err(), context.DeadlineExceeded) {
		return nil, errSilent
	}
	if err != nil {
		return nil, err
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // what it has taken stays taken, whatever comes of the answer's rest
	_ = res.Body.Close()
	res.Body = http.NoBody
	if res.StatusCode/100 != 2 {
		return nil, fmt.Errorf("trace: the collector answers %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	if n := rejections(res.Header.Get("Content-Type"), body); n > 0 {
		return nil, rejected(n)
	}
	return res, nil
}

// rejected is the error of a request that the collector has taken but for so many of its spans.
type rejected int64

func (n rejected) Error() string {
	return fmt.Sprintf("trace: the collector rejects %d spans of a request: its own log says why", int64(n))
}

// rejections returns how many spans of a request the answer says were rejected.
func rejections(kind string, body []byte) int64 {
	var answer answers.ExportTraceServiceResponse
	if !strings.HasPrefix(kind, "application/x-protobuf") || proto.Unmarshal(body, &answer) != nil {
		return 0
	}
	return answer.GetPartialSuccess().GetRejectedSpans()
}
