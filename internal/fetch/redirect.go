package fetch

import (
	"errors"
	"net/url"
	"strings"

	"weir/amf"
	"weir/internal/session"
	"weir/rtmp"
)

// redirection returns where an RTMP server sends a player on to instead of playing to it. Servers say so with an error whose
// information object has ex.code 302 and ex.redirect: the URL of an application, or of a stream. SRS has the latter as
// ex.redirect2; whole says that it is one.
func redirection(err error) (to string, whole, ok bool) {
	st, ok := errors.AsType[*rtmp.StatusError](err)
	if !ok {
		return "", false, false
	}
	v, _ := st.Properties.Get("ex")
	ex, ok := amf.Properties(v)
	if !ok {
		return "", false, false
	}
	if code, _ := ex.GetNumber("code"); code != 302 {
		return "", false, false
	}
	if to, _ = ex.GetString("redirect2"); to != "" {
		return to, true, true
	}
	to, _ = ex.GetString("redirect")
	return to, false, to != ""
}

// maxRedirectURL bounds the URL of a redirect by RTMP, in bytes.
const maxRedirectURL = 4096

// redirected returns the URL of the stream at from, which its server redirects. If it names no more than an application, the
// stream has the same name there, with the same query. User and password stay with their server.
func redirected(from, to string, whole bool) (string, error) {
	fromScheme, rest, _ := strings.Cut(from, "://")
	authority, path, _ := strings.Cut(rest, "/")
	path, query, _ := strings.Cut(path, "?")
	app, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		app, name = path[:i], path[i+1:]
	}
	if strings.HasPrefix(to, "/") { // on the same server
		to = fromScheme + "://" + authority + to
	}
	scheme, rest, ok := strings.Cut(to, "://")
	scheme = strings.ToLower(scheme)
	toAuthority, toPath, _ := strings.Cut(rest, "/")
	toPath, toQuery, _ := strings.Cut(toPath, "?")
	toPath = strings.Trim(toPath, "/")
	u, err := url.Parse("rtmp://" + toAuthority)
	switch {
	case !ok, err != nil, u.Hostname() == "", len(to) > maxRedirectURL, strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "", session.Becausef(session.Redirected, "the server redirects to %q, which is no URL", session.Redact(to))
	case scheme != "rtmp" && scheme != "rtmps":
		return "", session.Becausef(session.Redirected, "the server redirects to %.20s://, not to rtmp:// or rtmps://", scheme)
	case scheme == "rtmp" && fromScheme == "rtmps":
		return "", session.Becausef(session.Redirected, "the server redirects from rtmps:// to rtmp://, which is not encrypted")
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 && toAuthority == authority[i+1:] {
		toAuthority = authority
	}
	switch {
	case whole, strings.Count(toPath, "/") > strings.Count(app, "/"):
		query = ""
	case toPath == "":
		toPath = app + "/" + name
	default:
		toPath += "/" + name
	}
	s := scheme + "://" + toAuthority + "/" + toPath
	if query = strings.Trim(toQuery+"&"+query, "&"); query != "" {
		s += "?" + query
	}
	return s, nil
}
