package rtmp

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// target is a URL in the parts that a client uses.
type target struct {
	tls            bool
	host           string // as typed, for tcUrl
	address        string // host:port to connect to
	serverName     string
	user, password string
	app, name      string // the name with its query
}

// parseTarget parses rtmp[s]://[user:password@]host[:port]/app/name[?query]. The application is
// everything before the last "/" unless it is given: then the path must begin with it. With a name
// the whole URL is the application's, its query included and without a "/" at its end. What
// follows the host is sent as typed.
func parseTarget(raw, app, name string) (target, error) {
	var t target
	scheme, rest, ok := strings.Cut(strings.TrimSpace(raw), "://")
	if !ok {
		return t, fmt.Errorf("parsing the URL: no scheme")
	}
	port := "1935"
	switch strings.ToLower(scheme) {
	case "rtmp":
	case "rtmps":
		t.tls, port = true, "443"
	default:
		return t, fmt.Errorf("parsing the URL: scheme %.20q is not rtmp or rtmps", scheme)
	}
	authority, path, _ := strings.Cut(rest, "/")
	u, err := url.Parse("rtmp://" + authority)
	if err != nil || u.Hostname() == "" {
		return t, fmt.Errorf("parsing the URL: bad host") // the error may show the password
	}
	t.host, t.serverName = u.Host, u.Hostname()
	if u.Port() != "" {
		port = u.Port()
	}
	t.address = net.JoinHostPort(t.serverName, port)
	if u.User != nil {
		t.user = u.User.Username()
		t.password, _ = u.User.Password()
	}
	if name != "" {
		t.app, t.name = strings.TrimSuffix(path, "/"), name
		return t, nil
	}
	path, query, hasQuery := strings.Cut(path, "?")
	switch {
	case app != "":
		if t.name, ok = strings.CutPrefix(path, app+"/"); !ok {
			return t, fmt.Errorf("parsing the URL: the path does not begin with the application %q", app)
		}
		t.app = app
	default:
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			t.app, t.name = path[:i], path[i+1:]
		} else {
			t.app = path
		}
	}
	if hasQuery {
		t.name += "?" + query
	}
	return t, nil
}

// tcURL returns the URL of the application.
func (t *target) tcURL() string {
	scheme := "rtmp"
	if t.tls {
		scheme = "rtmps"
	}
	if t.app == "" {
		return scheme + "://" + t.host
	}
	return scheme + "://" + t.host + "/" + t.app
}
