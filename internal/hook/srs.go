package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"

	"weir/internal/event"
	"weir/internal/session"
)

// srsFormat is that of SRS's on_connect, on_publish, on_play and on_forward (SRS 5 to 7).
var srsFormat = Format{
	Name: "srs", Pairs: true, EncodeDecision: askSRS, EncodeConnect: connectSRS, DecodeDecision: readSRS, EncodeEvent: eventsSRS,
	EncodeForward: forwardSRS, DecodeForward: readForwardSRS,
	Events: []string{event.PublishStop, event.PlayStop, event.Disconnect, event.SegmentDone, event.RecordingDone},
	Calls: map[string][]string{
		"on_unpublish": {event.PublishStop}, "on_stop": {event.PlayStop}, "on_close": {event.Disconnect},
		"on_hls": {event.SegmentDone}, callNotify: {event.SegmentDone}, "on_dvr": {event.RecordingDone},
	},
	Unasked: []string{callNotify},
}

// srsAgent begins as the User-Agent of SRS does.
const srsAgent = "SRS/7.0 (weir)"

// srsVhost is the virtual host that SRS names where there is no other.
const srsVhost = "__defaultVhost__"

// srsCall is the body of a call, in SRS's order. Fields that a call does not have are nil.
type srsCall struct {
	ServerID  string  `json:"server_id"`
	ServiceID string  `json:"service_id"`
	Action    string  `json:"action"`
	ClientID  string  `json:"client_id"`
	IP        string  `json:"ip"`
	Vhost     string  `json:"vhost"`
	App       string  `json:"app"`
	TCURL     string  `json:"tcUrl"`
	Stream    string  `json:"stream"`
	Param     string  `json:"param"`
	PageURL   *string `json:"pageUrl,omitempty"`
	*srsFile
	*srsSegment
	StreamURL string `json:"stream_url"`
	StreamID  string `json:"stream_id"`
}

// srsFile is what on_dvr and on_hls have of a file.
type srsFile struct {
	Duration *float64 `json:"duration,omitempty"` // seconds; on_hls alone has it
	CWD      string   `json:"cwd"`                // where File is; empty if it is on no disk
	File     string   `json:"file"`
}

// srsSegment is what on_hls has of a segment beside its file.
type srsSegment struct {
	URL     string `json:"url"`
	M3U8    string `json:"m3u8"` // no playlist is on a disk
	M3U8URL string `json:"m3u8_url"`
	SeqNo   uint64 `json:"seq_no"`
}

// srs returns what all calls about a stream have.
func srs(s Server, action, sessionID, ip, path string) *srsCall {
	app, name := appName(path)
	return &srsCall{
		ServerID: session.VID(s.ID), ServiceID: session.Service(s.ID), Action: action,
		ClientID: sessionID, IP: ip, Vhost: srsVhost, App: app, Stream: name,
		StreamURL: "/" + app + "/" + name, StreamID: session.VID(path),
	}
}

// srsConnection is the body of on_connect and on_close, in SRS's order.
type srsConnection struct {
	ServerID  string  `json:"server_id"`
	ServiceID string  `json:"service_id"`
	Action    string  `json:"action"`
	ClientID  string  `json:"client_id"`
	IP        string  `json:"ip"`
	Vhost     string  `json:"vhost"`
	App       string  `json:"app"`
	TCURL     *string `json:"tcUrl,omitempty"`
	PageURL   *string `json:"pageUrl,omitempty"`
	SentBytes *uint64 `json:"send_bytes,omitempty"`
	RecvBytes *uint64 `json:"recv_bytes,omitempty"`
}

func srsConnect(s Server, action, sessionID, ip, app string) *srsConnection {
	return &srsConnection{
		ServerID: session.VID(s.ID), ServiceID: session.Service(s.ID), Action: action,
		ClientID: sessionID, IP: ip, Vhost: srsVhost, App: app,
	}
}

// connectSRS asks as on_connect does.
func connectSRS(q *Question) *Call {
	c := srsConnect(q.Server, "on_connect", q.Session, address(q.Remote), q.Path)
	c.TCURL, c.PageURL = &q.TCURL, &q.PageURL
	return callSRS(c, c.Action)
}

func (c *srsCall) call() *Call { return callSRS(c, c.Action) }

func callSRS(body any, action string) *Call {
	k := jsonCall(body)
	k.Name = action
	k.Header["Connection"], k.Header["User-Agent"] = []string{"Keep-Alive"}, []string{srsAgent}
	return k
}

func askSRS(q *Question) *Call {
	action := "on_play"
	if q.Role == session.Publish {
		action = "on_publish"
	}
	c := srs(q.Server, action, q.Session, address(q.Remote), q.Path)
	c.TCURL, c.Param = q.TCURL, param(q.RawQuery)
	if q.Role != session.Publish {
		c.PageURL = &q.PageURL
	}
	return c.call()
}

// srsForward is the body of on_forward, in SRS's order.
type srsForward struct {
	Action    string `json:"action"`
	ServerID  string `json:"server_id"`
	ServiceID string `json:"service_id"`
	ClientID  string `json:"client_id"`
	IP        string `json:"ip"`
	Vhost     string `json:"vhost"`
	App       string `json:"app"`
	TCURL     string `json:"tcUrl"`
	Stream    string `json:"stream"`
	Param     string `json:"param"`
}

// forwardSRS asks as on_forward does.
func forwardSRS(q *Question) *Call {
	c := srs(q.Server, "on_forward", q.Session, address(q.Remote), q.Path)
	return callSRS(&srsForward{
		Action: c.Action, ServerID: c.ServerID, ServiceID: c.ServiceID, ClientID: c.ClientID, IP: c.IP, Vhost: c.Vhost, App: c.App,
		TCURL: q.TCURL, Stream: c.Stream, Param: param(q.RawQuery),
	}, c.Action)
}

// readForwardSRS reads where a stream is also sent. As in SRS an answer without data.urls is a denial; an empty list is none.
func readForwardSRS(q *Question, r *Reply) (*Answer, error) {
	a, err := readSRS(q, r)
	if err != nil || !a.Allow {
		return a, err
	}
	var w struct {
		Data struct {
			URLs []string `json:"urls"`
		} `json:"data"`
	}
	if err := json.Unmarshal(r.Body, &w); err != nil || w.Data.URLs == nil {
		return &Answer{Unread: unread(r, "it has no list data.urls")}, nil //nolint:nilerr // SRS takes what it cannot read for a denial
	}
	if len(w.Data.URLs) > maxPushes {
		return nil, fmt.Errorf("the answer's %q has more than %d entries", "data.urls", maxPushes)
	}
	for i, u := range w.Data.URLs {
		if err := errors.Join(text("data.urls", u, maxAddress), webAddress("data.urls", u, "rtmp", "rtmps")); err != nil {
			return nil, err
		}
		a.Terms.Push = append(a.Terms.Push, session.Push{Name: fmt.Sprintf("hook-%d", i+1), URL: u})
	}
	return a, nil
}

// param returns a query as SRS has it, with its question mark; empty for none.
func param(rawQuery string) string {
	if rawQuery == "" {
		return ""
	}
	return "?" + rawQuery
}

// readSRS allows only what SRS allows: status 200 or 201, and a body that is 0 or an object with the
// integer code 0.
func readSRS(_ *Question, r *Reply) (*Answer, error) {
	switch {
	case r.Status >= 500 || r.Status >= 300 && r.Status < 400:
		return nil, unexpected(r)
	case r.Status != http.StatusOK && r.Status != http.StatusCreated:
		if a := denied(r); a != nil {
			return a, nil
		}
		return &Answer{Status: r.Status}, nil
	}
	body := bytes.TrimSpace(r.Body)
	if n, err := strconv.ParseInt(string(body), 10, 64); err == nil {
		return &Answer{Allow: n == 0}, nil
	}
	var w struct {
		Code json.RawMessage `json:"code"`
		Msg  string          `json:"msg"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return &Answer{Unread: unread(r, notSRS)}, nil //nolint:nilerr // SRS takes what it cannot read for a denial
	}
	n, err := strconv.ParseInt(string(w.Code), 10, 64)
	if err != nil {
		return &Answer{Reason: reason(w.Msg), Unread: unread(r, notSRS)}, nil //nolint:nilerr // so does a code that is no integer
	}
	if n != 0 {
		return &Answer{Reason: reason(w.Msg)}, nil
	}
	return allowed(), nil
}

// notSRS is what is wrong with an answer that SRS takes for a denial without being one.
const notSRS = `it is neither a number nor an object with a code, such as {"code": 0}`

// unread describes an answer that cannot be read, without anything of its text, which may hold what the peer showed.
func unread(r *Reply, why string) string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = "no known type"
	}
	return fmt.Sprintf("the answer cannot be read: %s; it has %d bytes of %s", why, len(r.Body), session.Printable(kind, maxKind))
}

// maxKind bounds the type of an answer that is shown, in bytes.
const maxKind = 64
