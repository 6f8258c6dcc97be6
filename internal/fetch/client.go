package fetch

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"

	"weir/internal/hops"
	"weir/internal/session"
)

const (
	// maxHeader bounds a server's response headers, in bytes.
	maxHeader = 64 << 10
	// maxRedirects bounds the redirects of one request.
	maxRedirects = 5
	// maxCookies bounds the cookies of one source, of which the one that was not used for the longest time is forgotten, and maxCookie
	// each of them, in bytes.
	maxCookies = 64
	maxCookie  = 4096
)

// client returns an HTTP client for the requests of one source, whose URL is origin.
func (a Access) client(origin *url.URL) *http.Client {
	jar, _ := cookiejar.New(nil) // it cannot fail
	t := &transport{
		RoundTripper: &http.Transport{
			DialContext: a.dialer().DialContext, TLSClientConfig: a.TLS(), MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2: true, MaxConnsPerHost: 4,
		},
		secure: isSecure(origin), host: origin.Host, header: a.Header, user: origin.User,
	}
	if len(a.Hops) > 0 {
		t.via = hops.Via(a.Hops)
	}
	return &http.Client{Transport: t, CheckRedirect: follow, Jar: &boundedJar{CookieJar: jar}}
}

// errRedirects ends an opening for which servers redirect again and again.
var errRedirects = session.Becausef(session.Redirected, "the server redirects more than %d times", maxRedirects)

func isSecure(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "wss" }

// follow decides about a redirect.
func follow(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	if s := req.URL.Scheme; s != "http" && s != "https" {
		return session.Becausef(session.Redirected, "the server redirects to %.20s://, not to http:// or https://", s)
	}
	req.Header.Del("Referer") // it has the query of the URL before, and with it keys
	return nil
}

// transport adds to requests what each server is told, and to those for the source's own host what only that one may know.
type transport struct {
	http.RoundTripper
	secure bool
	host   string
	header http.Header
	user   *url.Userinfo
	via    string
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	own := req.URL.Host == t.host && (isSecure(req.URL) || !t.secure)
	req = req.Clone(req.Context())
	if !own { // http.Client makes it of a URL with a user, which a playlist's relative URLs inherit
		req.Header.Del("Authorization")
	} else if t.user != nil && req.Header.Get("Authorization") == "" {
		password, _ := t.user.Password()
		req.SetBasicAuth(t.user.Username(), password)
	}
	for name, values := range t.header {
		if name == "User-Agent" || own && name != "Host" {
			req.Header[name] = values
		}
	}
	if t.via != "" {
		req.Header.Set("Via", t.via)
	}
	return t.RoundTripper.RoundTrip(req)
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// boundedJar keeps only so many cookies: those that were set or sent last.
type boundedJar struct {
	http.CookieJar
	mu   sync.Mutex // guards kept
	kept []cookie   // the one that is forgotten next first
}

// cookie is one that was kept, as far as it must be known to forget it.
type cookie struct {
	from                      *url.URL
	name, path, domain, value string
}

// SetCookies implements http.CookieJar.
func (j *boundedJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		if len(u.Host)+len(c.Name)+len(c.Path)+len(c.Domain)+len(c.Value) > maxCookie {
			continue
		}
		j.kept = slices.DeleteFunc(j.kept, func(k cookie) bool {
			return k.from.Host == u.Host && k.name == c.Name && k.path == c.Path && k.domain == c.Domain
		})
		if len(j.kept) >= maxCookies {
			oldest := &j.kept[0]
			j.CookieJar.SetCookies(oldest.from, []*http.Cookie{{Name: oldest.name, Path: oldest.path, Domain: oldest.domain, MaxAge: -1}})
			j.kept = slices.Delete(j.kept, 0, 1)
		}
		j.kept = append(j.kept, cookie{u, c.Name, c.Path, c.Domain, c.Value})
		j.CookieJar.SetCookies(u, []*http.Cookie{c})
	}
}

// Cookies implements http.CookieJar.
func (j *boundedJar) Cookies(u *url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	sent := j.CookieJar.Cookies(u)
	for _, c := range sent {
		at := slices.IndexFunc(j.kept, func(k cookie) bool { return k.name == c.Name && k.value == c.Value })
		if at >= 0 {
			used := j.kept[at]
			j.kept = append(slices.Delete(j.kept, at, at+1), used)
		}
	}
	return sent
}

// decode undoes a compression of an answer that was not asked for; what was asked for, the transport has undone.
func decode(res *http.Response) error {
	switch kind := strings.ToLower(res.Header.Get("Content-Encoding")); kind {
	case "", "identity":
		return nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(res.Body)
		if err != nil {
			return fmt.Errorf("the answer is said to be compressed with gzip, and is not: %w", err)
		}
		res.Body, res.ContentLength = &unzipped{z, res.Body}, -1
		return nil
	default:
		return fmt.Errorf("the answer is compressed with %.20q, which was not asked for", kind)
	}
}

// unzipped is a body that was compressed.
type unzipped struct {
	*gzip.Reader
	body io.Closer
}

// Close closes the body below.
func (u *unzipped) Close() error { return u.body.Close() }
