package hook

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/internal/event"
	"weir/internal/session"
)

// nginxFormat is that of nginx-rtmp-module's on_connect, on_publish, on_play and on_update: a form, and a status. We
// speak HTTP/1.1 where the module speaks HTTP/1.0; all else is the same to the byte.
var nginxFormat = Format{
	Name: "nginx-rtmp", Pairs: true, EncodeDecision: askNginx, EncodeConnect: connectNginx, DecodeDecision: readNginx, EncodeEvent: eventsNginx,
	Events: []string{event.PublishStop, event.PlayStop, event.Disconnect, event.RecordingDone},
	Calls: map[string][]string{
		"publish_done": {event.PublishStop}, "play_done": {event.PlayStop}, "done": {event.PublishStop, event.PlayStop},
		"disconnect": {event.Disconnect}, "record_done": {event.RecordingDone},
	},
	Unasked: []string{"done"},
}

// form is a form in the module's order and escaping.
type form struct {
	body  strings.Builder
	names []string
}

func (f *form) add(name, value string) {
	if f.body.Len() > 0 {
		f.body.WriteByte('&')
	}
	f.names = append(f.names, name)
	f.body.WriteString(name + "=")
	escapeArg(&f.body, value)
}

// again adds a field that is there already, as nginx-rtmp does in one place.
func (f *form) again(name, value string) {
	f.body.WriteString("&" + name + "=")
	escapeArg(&f.body, value)
}

// addQuery adds a client's query as it is, without what would replace fields that are there already.
func (f *form) addQuery(raw string) {
	for part := range strings.SplitSeq(raw, "&") {
		var kept []string
		for p := range strings.SplitSeq(part, ";") { // some languages take it for an ampersand
			if !f.has(p) {
				kept = append(kept, p)
			}
		}
		if p := strings.Join(kept, ";"); p != "" {
			f.body.WriteString("&" + p)
		}
	}
}

// has reports whether a language might take a part of a query for one of the fields: names are escaped, may
// begin with spaces, and name[] and name[x] set name in PHP.
func (f *form) has(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	if n, err := url.QueryUnescape(name); err == nil {
		name = n
	}
	name, _, _ = strings.Cut(strings.TrimLeft(name, " \t\r\n\v\f"), "[")
	name, _, _ = strings.Cut(name, "\x00")
	for _, n := range f.names {
		if strings.EqualFold(n, strings.TrimSpace(name)) {
			return true
		}
	}
	return false
}

func (f *form) call() *Call {
	return &Call{
		Method: http.MethodPost, Alone: true, Body: []byte(f.body.String()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "User-Agent": {""}},
	}
}

// named is call with the name that the module's directive on_… has.
func (f *form) named(name string) *Call {
	c := f.call()
	c.Name = name
	return c
}

// AsGet turns a call into a GET with its body as query, as nginx-rtmp's "notify_method get" does.
func (c *Call) AsGet() *Call {
	g := *c
	g.Method, g.Body, g.Query = http.MethodGet, nil, inLine(string(c.Body))
	return &g
}

// inLine escapes what no request line can hold, and a client may have sent.
func inLine(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if x := s[i]; x <= ' ' || x >= 0x7f || x == '#' {
			fmt.Fprintf(&b, "%%%02X", x)
		} else {
			b.WriteByte(x)
		}
	}
	return b.String()
}

// escapeArg escapes as nginx does in arguments: what it leaves is left.
func escapeArg(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if x := s[i]; x <= ' ' || x >= 0x7f || strings.IndexByte("\"#%&+;<>?\\^`{|}", x) >= 0 {
			b.WriteString("%" + string(hex[x>>4]) + string(hex[x&15]))
		} else {
			b.WriteByte(x)
		}
	}
}

// What most players ask for: live, or else what was recorded, from its beginning.
const nginxStart = "4294965296" // -2000 as the module prints it

func askNginx(q *Question) *Call {
	app, name := appName(q.Path)
	f := &form{}
	f.session(app, q.UserAgent, q.TCURL, q.PageURL, address(q.Remote), q.Session)
	switch {
	case q.Recheck:
		f.add("call", "update_"+q.Role.String())
		f.add("time", strconv.FormatInt(int64(q.Running/time.Second), 10))
		f.add("timestamp", strconv.FormatInt(int64(uint32(q.Running.Milliseconds())), 10)) //nolint:gosec // 32 bits, as timestamps of RTMP
		f.add("name", name)
	case q.Role == session.Publish:
		f.add("call", "publish")
		f.add("name", name)
		f.add("type", "live")
	default:
		f.add("call", "play")
		f.add("name", name)
		f.add("start", nginxStart)
		f.add("duration", "0")
		f.add("reset", "0")
	}
	f.addQuery(q.RawQuery)
	return f.call()
}

// connectNginx asks as on_connect does, which knows no number of the client yet.
func connectNginx(q *Question) *Call {
	f := &form{}
	f.peer(q.Path, q.UserAgent, q.TCURL, q.PageURL, address(q.Remote))
	f.add("epoch", strconv.FormatUint(uint64(uint32(q.Time.UnixMilli())), 10)) //nolint:gosec // nginx has 32 bits, too
	f.add("call", "connect")
	f.addQuery(q.RawQuery)
	return f.call()
}

// session adds the fields that each call of a session begins with.
func (f *form) session(app, flashver, tcurl, pageurl, addr, id string) {
	f.peer(app, flashver, tcurl, pageurl, addr)
	number := "0" // of no client, as after a crash
	if id != "" {
		number = session.Number(id)
	}
	f.add("clientid", number)
}

// peer adds the fields that each call begins with.
func (f *form) peer(app, flashver, tcurl, pageurl, addr string) {
	f.add("app", app)
	f.add("flashver", flashver)
	f.add("swfurl", "")
	f.add("tcurl", tcurl)
	f.add("pageurl", pageurl)
	f.add("addr", addr)
}

func readNginx(q *Question, r *Reply) (*Answer, error) {
	switch {
	case r.Status/100 == 2:
		return allowed(), nil
	case r.Status/100 == 3 && q.Recheck: // a session that runs is not led elsewhere
		return allowed(), nil
	case r.Status/100 == 3:
		return nginxRedirect(q, r.Header.Get("Location"))
	case gone(r.Status):
		return nil, unexpected(r)
	}
	if a := denied(r); a != nil {
		return a, nil
	}
	return &Answer{Status: r.Status}, nil
}

// nginxRedirect reads where a 3xx leads: to another name within the app, or to another server.
func nginxRedirect(q *Question, to string) (*Answer, error) {
	a := allowed()
	rest, elsewhere := strings.CutPrefix(to, "rtmp://")
	switch {
	case to == "":
		return a, nil
	case q.Connects():
		a.Terms.Path = to
		return a, text("Location", to, maxPath)
	case strings.HasPrefix(to, "http://"), strings.HasPrefix(to, "https://"):
		return nil, errors.New("a redirect to a web address: answer with the new name alone as Location, or with rtmp://IP/APP/NAME")
	case !elsewhere:
		app, _ := appName(q.Path)
		a.Terms.Path = app + "/" + to
		return a, text("Location", a.Terms.Path, maxPath)
	}
	host, _, _ := strings.Cut(rest, "/")
	if _, err := netip.ParseAddrPort(host); err != nil {
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil {
			return nil, fmt.Errorf("the answer's %q names a host: nginx-rtmp takes only an IP address there", "Location")
		}
	}
	if err := text("Location", to, maxAddress); err != nil {
		return nil, err
	}
	if q.Role == session.Publish {
		a.Terms.Push = []session.Push{{Name: "hook-1", URL: to}}
	} else {
		a.Terms.Pull = to
	}
	return a, nil
}
