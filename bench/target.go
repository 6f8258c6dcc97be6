package bench

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// target is where a stream is published or played.
type target struct {
	scheme string // rtmp, http or ws, without the s of TLS
	tls    bool
	addr   string // host:port
	host   string // as written, for Host and server name
	app    string
	name   string // with the query
	path   string // of HTTP, with the query
	tcURL  string
}

// errBadURL is wrapped by the errors of parseTarget.
var errBadURL = errors.New("bad URL")

// parseTarget reads a URL. "%d" in it stands for the stream's number.
func parseTarget(rawURL string, stream int) (*target, error) {
	rawURL = strings.ReplaceAll(rawURL, "%d", strconv.Itoa(stream))
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadURL, err)
	}
	if u.Host == "" {
		return nil, fmt.Errorf("%w %q: it has no host", errBadURL, rawURL)
	}
	t := &target{scheme: u.Scheme, host: u.Host, path: u.RequestURI()}
	port := ""
	switch u.Scheme {
	case "rtmp":
		port = "1935"
	case "rtmps":
		t.scheme, t.tls, port = "rtmp", true, "443"
	case "http", "ws":
		port = "80"
	case "https", "wss":
		t.scheme, t.tls, port = strings.TrimSuffix(u.Scheme, "s"), true, "443"
	default:
		return nil, fmt.Errorf("%w %q: the scheme must be rtmp, http or ws, or one of these with s", errBadURL, rawURL)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t.addr = net.JoinHostPort(u.Hostname(), port)
	if t.scheme != "rtmp" {
		return t, nil
	}
	app, name, ok := strings.Cut(strings.TrimPrefix(t.path, "/"), "/")
	if !ok || app == "" || name == "" {
		return nil, fmt.Errorf("%w %q: the path must be /app/name", errBadURL, rawURL)
	}
	t.app, t.name = app, name
	t.tcURL = u.Scheme + "://" + u.Host + "/" + app
	return t, nil
}

// dialAddr resolves the target's address.
func (t *target) dialAddr() (*net.TCPAddr, error) { return net.ResolveTCPAddr("tcp", t.addr) }
