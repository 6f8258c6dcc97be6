package hook

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

const (
	maxURL    = 2048 // bytes of the address of a service
	maxSocket = 107  // bytes of the path of a Unix socket: the kernel's bound
	// socketZone marks a host that stands for a Unix socket, whose path is before it in hexadecimal.
	socketZone = ".unix"
)

// Target is the address of a service. The zero Target is none.
type Target struct {
	url    *url.URL
	socket string // path of the Unix socket; empty for TCP
}

// ParseTarget reads the address of a service: https://HOST/PATH, http://HOST/PATH, or
// unix:/SOCKET:/PATH for HTTP on a Unix socket. It resolves nothing.
func ParseTarget(s string) (Target, error) {
	const allowed = "write https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH"
	switch {
	case s == "":
		return Target{}, errors.New("no address: " + allowed)
	case len(s) > maxURL:
		return Target{}, fmt.Errorf("the address is longer than %d bytes", maxURL)
	}
	if rest, ok := strings.CutPrefix(s, "unix:"); ok {
		return parseSocket(rest)
	}
	u, err := url.Parse(s)
	if err != nil { // its text would show the address
		return Target{}, errors.New("this is no URL: " + allowed)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		if u.Scheme == "" || u.Host == "" {
			return Target{}, errors.New("this is no URL: " + allowed)
		}
		return Target{}, fmt.Errorf("services are not called by %q: %s", u.Scheme, allowed)
	case u.Hostname() == "":
		return Target{}, errors.New("the host is missing: " + allowed)
	case strings.HasSuffix(u.Hostname(), socketZone):
		return Target{}, errors.New("names that end in " + socketZone + " stand for sockets here: write unix:/SOCKET:/PATH")
	}
	u.Fragment, u.RawFragment = "", ""
	return Target{url: u}, nil
}

// parseSocket reads what follows unix:, /SOCKET:/PATH.
func parseSocket(s string) (Target, error) {
	socket, rest, _ := strings.Cut(s, ":")
	switch {
	case !path.IsAbs(socket):
		return Target{}, errors.New("the path of the socket begins with a slash: unix:/run/hook.sock:/auth")
	case len(socket) > maxSocket:
		return Target{}, fmt.Errorf("the path of the socket is longer than %d bytes", maxSocket)
	case rest == "":
		rest = "/"
	}
	u, err := url.ParseRequestURI(rest)
	if err != nil || u.Host != "" {
		return Target{}, errors.New("what follows the socket is no path: unix:/run/hook.sock:/auth")
	}
	u.Scheme, u.Host = "http", hex.EncodeToString([]byte(socket))+socketZone
	return Target{url: u, socket: socket}, nil
}

// fields are what is replaced in the address of SRS's on_hls_notify, and in no other.
var fields = []string{"[server_id]", "[service_id]", "[app]", "[stream]", "[ts_url]", "[param]"}

// FieldIn returns the first of the fields of on_hls_notify that an address holds; empty if it holds none.
func FieldIn(address string) string {
	for _, f := range fields {
		if strings.Contains(address, f) {
			return f
		}
	}
	return ""
}

// IsZero reports whether there is no address.
func (t Target) IsZero() bool { return t.url == nil }

// String returns what may be shown of the address: its scheme and host, or the socket. The rest may
// be secret.
func (t Target) String() string {
	switch {
	case t.url == nil:
		return ""
	case t.socket != "":
		return "unix:" + t.socket
	}
	return t.url.Scheme + "://" + t.url.Host
}

// Private reports whether nobody on the way can read what is sent: it is encrypted, or does not leave
// the machine.
func (t Target) Private() bool {
	if t.url == nil || t.socket != "" || t.url.Scheme == "https" {
		return true
	}
	host := t.url.Hostname()
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// host returns the Host that a request to the service has.
func (t Target) host() string {
	if t.socket != "" {
		return "localhost"
	}
	return t.url.Host
}

// hostname is host without its port.
func (t Target) hostname() string {
	if t.socket != "" {
		return "localhost"
	}
	return t.url.Hostname()
}

// socketOf returns the path of the socket that a host stands for.
func socketOf(host string) (string, bool) {
	name, ok := strings.CutSuffix(host, socketZone)
	if !ok {
		return "", false
	}
	socket, err := hex.DecodeString(name)
	return string(socket), err == nil
}
