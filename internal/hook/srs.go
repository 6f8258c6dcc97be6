package hook

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"weir/internal/event"
	"weir/internal/session"
)

// srsFormat is that of SRS's on_connect, on_publish and on_play (SRS 5 to 7).
var srsFormat = Format{
	Name: "srs", Pairs: true, EncodeDecision: askSRS, EncodeConnect: connectSRS, DecodeDecision: readSRS, EncodeEvent: eventsSRS,
	Events: []string{event.PublishStop, event.PlayStop, event.Disconnect, event.SegmentDone},
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
	*srsSegment
	StreamURL string `json:"stream_url"`
	StreamID  string `json:"stream_id"`
}

// srsSegment is what on_hls has of a segment.
type srsSegment struct {
	Duration float64 `json:"duration"` // seconds
	CWD      string  `json:"cwd"`      // where File is; empty if it is on no disk
	File     string  `json:"file"`
	URL      string  `json:"url"`
	M3U8     string  `json:"m3u8"` // no playlist is on a disk
	M3U8URL  string  `json:"m3u8_url"`
	SeqNo    uint64  `json:"seq_no"`
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
	return callSRS(c)
}

func (c *srsCall) call() *Call { return callSRS(c) }

func callSRS(body any) *Call {
	k := jsonCall(body)
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
		return &Answer{Reason: ""}, nil //nolint:nilerr // SRS takes what it cannot read for a denial
	}
	n, err := strconv.ParseInt(string(w.Code), 10, 64)
	if err != nil || n != 0 {
		return &Answer{Reason: reason(w.Msg)}, nil //nolint:nilerr // so does a code that is no integer
	}
	return allowed(), nil
}
