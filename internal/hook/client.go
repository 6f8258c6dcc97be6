package hook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"weir/internal/version"
)

const (
	// MaxBody is the largest body of an answer, in bytes.
	MaxBody = 64 << 10
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// idleTime is how long a connection is kept for the next call: less than most servers and
	// proxies keep it, which close it without a word.
	idleTime = 30 * time.Second
	// maxIdle is how many connections to a service are kept.
	maxIdle = 64
	// dialTime bounds how long connecting to one address takes, so that there is time for another.
	dialTime = 3 * time.Second
)

// ErrAnswerTooLarge fails a call whose answer is larger than MaxBody.
var ErrAnswerTooLarge = fmt.Errorf("the answer is larger than %d KiB", MaxBody>>10)

// ClientConfig is how services are called.
type ClientConfig struct {
	// CA is a file with the certificates (PEM) of those who may vouch for a service; empty means the
	// system's.
	CA string
	// Timeout bounds each call, from connecting to the last byte of the answer; 0 leaves it to the
	// call's context.
	Timeout time.Duration
}

// Client calls services. Redirects are not followed; names are resolved for each new connection; a
// call on a kept connection that proves dead is made again on a new one. It is safe for concurrent use.
type Client struct {
	agent     string
	timeout   time.Duration
	http      *http.Client
	transport *http.Transport
}

// NewClient fails if the certificates cannot be read.
func NewClient(c ClientConfig) (*Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("hook: the certificates: %w", err)
		}
		if conf.RootCAs = x509.NewCertPool(); !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("hook: %s holds no certificate in PEM form", c.CA)
		}
	}
	// With HTTP/2 all calls would share one connection, and a dead one would fail them all.
	var one http.Protocols
	one.SetHTTP1(true)
	t := &http.Transport{
		Protocols: &one, TLSClientConfig: conf, Proxy: proxy, DialContext: dial,
		IdleConnTimeout: idleTime, MaxIdleConns: 4 * maxIdle, MaxIdleConnsPerHost: maxIdle,
		MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
	return &Client{agent: agent(), timeout: c.Timeout, transport: t, http: &http.Client{
		Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// agent returns the User-Agent of calls that need no other.
func agent() string {
	if v := version.Get().Version; v != "" && v[0] != '(' { // a program that no module is known of has "(devel)"
		return "weir/" + v
	}
	return "weir"
}

// proxy returns the proxy that the environment names (HTTPS_PROXY and so on), none for sockets.
func proxy(r *http.Request) (*url.URL, error) {
	if _, ok := socketOf(r.URL.Hostname()); ok {
		return nil, nil //nolint:nilnil // no proxy is a result
	}
	return http.ProxyFromEnvironment(r)
}

// dial connects to an address, or to the socket that it stands for.
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	if host, _, err := net.SplitHostPort(addr); err == nil {
		if socket, ok := socketOf(host); ok {
			return d.DialContext(ctx, "unix", socket)
		}
	}
	return d.DialContext(ctx, network, addr)
}

// Close closes the connections that are kept. Calls under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Call is one request to a service.
type Call struct {
	// Name is what the other server calls it, of those formats in which hooks choose among calls; else empty.
	Name   string
	Target Target
	Method string // GET or POST
	// Query is added to that of the target, after another question mark if it has one.
	Query string
	// Fill are fields of the target's path and query, each followed by what takes its place, which is escaped.
	Fill   []string
	Header http.Header
	Body   []byte
	// Alone gives the call a connection of its own, closed after it, and leaves the port out of the Host.
	Alone bool
}

// From says where a call went, as far as it may be shown: by its name, if it has one, and the target.
func (c *Call) From() string {
	if c.Name == "" {
		return c.Target.String()
	}
	return c.Name + " at " + c.Target.String()
}

// Reply is what a service answered.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte // at most MaxBody
}

// Do makes a call. The error tells what happened and with which service, but not its whole address; it is
// for operators. A call may reach the service twice if a kept connection dies; the service
// tells by the header webhook-id.
func (c *Client) Do(ctx context.Context, call *Call) (*Reply, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	res, err := c.do(ctx, call)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call.Target, plain(err))
	}
	return res, nil
}

func (c *Client) do(ctx context.Context, call *Call) (*Reply, error) {
	u := *call.Target.url
	if len(call.Fill) > 0 {
		filled, err := url.ParseRequestURI(strings.NewReplacer(call.Fill...).Replace(u.RequestURI()))
		if err != nil { // its text would show the address
			return nil, errors.New("the address is no URL once its fields are filled in")
		}
		u.Path, u.RawPath, u.RawQuery = filled.Path, filled.RawPath, filled.RawQuery
	}
	switch {
	case call.Query != "" && u.RawQuery != "":
		u.RawQuery += "?" + call.Query
	case call.Query != "":
		u.RawQuery = call.Query
	}
	r, err := http.NewRequestWithContext(ctx, call.Method, u.String(), bytes.NewReader(call.Body))
	if err != nil {
		return nil, err
	}
	if call.Method == http.MethodGet {
		r.Body, r.GetBody, r.ContentLength = http.NoBody, nil, 0
	}
	for k, v := range call.Header {
		r.Header[k] = v
	}
	if _, ok := r.Header["User-Agent"]; !ok {
		r.Header.Set("User-Agent", c.agent)
	}
	// An empty list is not sent, and lets the transport repeat the call when a kept connection is dead.
	r.Header["Idempotency-Key"] = []string{}
	r.Host, r.Close = call.Target.host(), call.Alone
	if call.Alone {
		r.Host = call.Target.hostname()
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the answer: %w", err)
	case len(body) > MaxBody:
		return nil, ErrAnswerTooLarge
	}
	return &Reply{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// plain takes the address out of an error of net/http: it may be secret.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	return err
}
