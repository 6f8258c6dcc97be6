package push

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"weir/internal/config"
	"weir/internal/session"
)

const (
	maxURL = 2048 // bytes
	maxKey = 1024

	maxPort = 65535
)

// Address is where one stream is sent.
type Address struct {
	// URL is that of the application, with its query and without a "/" at its end. It may hold a
	// user and password.
	URL string
	// Name is the stream's name there, with its query: the secret of most services.
	Name string
	// Host is the host of URL, without port.
	Host string

	service *service
	before  []string // secrets of the address whose server has sent its publishers on to this one
}

// movedTo returns the address with another URL of an application, to which its server sends its publishers on.
func (a *Address) movedTo(url string) *Address {
	return &Address{URL: url, Name: a.Name, Host: hostOfURL(url), service: a.service, before: a.secrets()}
}

// String shows the address without what may be secret.
func (a *Address) String() string { return session.Redact(a.URL) }

// tcURL is the URL as OBS has it, without user and password.
func (a *Address) tcURL() string {
	scheme, rest, _ := strings.Cut(a.URL, "://")
	authority, path, ok := strings.Cut(rest, "/")
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	if ok {
		authority += "/"
	}
	return scheme + "://" + authority + path
}

// secrets returns the texts that may be shown nowhere.
func (a *Address) secrets() []string {
	name, query, _ := strings.Cut(a.Name, "?")
	list := append(session.Secrets(a.URL), a.Name, name, query)
	for pair := range strings.SplitSeq(query, "&") {
		_, value, _ := strings.Cut(pair, "=")
		list = append(list, value)
	}
	return append(list, a.before...)
}

// mask replaces the address's secrets in a text that a server sent.
func (a *Address) mask(text string) string { return session.Mask(text, a.secrets()) }

// vars is what templates are filled in with: a stream's path, and the query of its publisher.
type vars struct{ path, query string }

// fill replaces {app}, {name} and {query}.
func (v vars) fill(text string) (string, error) {
	app, name, _ := strings.Cut(v.path, "/")
	text, err := config.Expand(text, func(word string) (string, error) {
		switch word {
		case "app":
			return app, nil
		case "name":
			return name, nil
		case "query":
			return v.query, nil
		}
		return "", fmt.Errorf("there is no {%.20s}", word)
	})
	if err != nil {
		err = fmt.Errorf("%w: {app}, {name} and {query} are replaced", err)
	}
	return text, err
}

// address returns where the entry sends a stream. Its errors show no secret.
func (c *Config) address(v vars) (*Address, error) {
	template := strings.TrimSpace(c.URL)
	if _, rest, _ := strings.Cut(template, "://"); strings.ContainsAny(template, " \t") || strings.Contains(strings.SplitN(rest, "/", 2)[0], "{") {
		return nil, errors.New("the URL has a space, or a { in its host")
	}
	raw, err := v.fill(template)
	if err != nil {
		return nil, err
	}
	key, err := v.fill(strings.TrimSpace(c.Key))
	if err != nil {
		return nil, err
	}
	named := serviceOf(c.Service, "")
	if raw == "" {
		if raw = named.url; raw == "" && named.page != "" {
			return nil, fmt.Errorf("%s gives everybody a URL of their own: %s", named.title, named.page)
		}
	}
	scheme, authority, path, err := split(raw)
	if err != nil {
		return nil, err
	}
	a := &Address{Host: hostOf(authority)}
	a.service = serviceOf(c.Service, a.Host)
	if a.service.tls && scheme != "rtmps" {
		return nil, fmt.Errorf("%s takes streams by RTMPS alone: write rtmps:// in the place of rtmp://", a.service.title)
	}
	app, name := strings.TrimSuffix(path, "/"), strings.TrimRight(key, "?&")
	if key == "" {
		app, name = cutKey(strings.TrimRight(path, "?&"), a.service.app)
	}
	if app == "" {
		app = a.service.app
	}
	a.URL, a.Name = scheme+"://"+authority+"/"+app, name
	switch {
	case app == "":
		return nil, errors.New("the URL names no application: write rtmp://HOST/APP, and the key or name apart as key")
	case name == "":
		return nil, errors.New("there is no key: write it as key, or behind the URL")
	}
	return a, nil
}

// split takes a URL apart, without its fragment.
func split(raw string) (scheme, authority, path string, err error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case raw == "":
		return "", "", "", errors.New("there is no URL: write rtmp://HOST/APP or rtmps://HOST/APP")
	case !ok:
		return "", "", "", errors.New("this is no URL: write rtmp://HOST/APP or rtmps://HOST/APP")
	case scheme != "rtmp" && scheme != "rtmps":
		return "", "", "", fmt.Errorf("streams are not sent by %.20q: write rtmp://HOST/APP or rtmps://HOST/APP", scheme)
	case len(raw) > maxURL:
		return "", "", "", fmt.Errorf("the URL is longer than %d bytes", maxURL)
	case strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", "", "", errors.New("the URL has a control character")
	}
	authority, path, _ = strings.Cut(rest, "/")
	u, err := url.Parse("rtmp://" + authority)
	if err != nil || u.Hostname() == "" { // its error may show a password
		return "", "", "", errors.New("the URL has no host, or one that is none")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > maxPort {
			return "", "", "", fmt.Errorf("the URL's port %.10s is none: there are 1 to %d", p, maxPort)
		}
	}
	return scheme, authority, path, nil
}

// hostOf returns the host of user@host:port.
func hostOf(authority string) string {
	u, err := url.Parse("rtmp://" + authority)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// cutKey takes the key off a path that has both, app/key?query. A query that belongs to the
// application, app?query/key, is known by there being no other application. implied is the
// application of a service whose URLs have none.
func cutKey(path, implied string) (app, key string) {
	before, query, _ := strings.Cut(path, "?")
	if !strings.Contains(before, "/") {
		if i := strings.LastIndexByte(query, '/'); i >= 0 {
			at := len(path) - len(query) + i
			return path[:at], path[at+1:]
		}
		if implied != "" && before != "" && before != implied {
			return implied, path
		}
		return path, ""
	}
	at := strings.LastIndexByte(before, '/')
	return path[:at], path[at+1:]
}
