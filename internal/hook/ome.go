package hook

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // OvenMediaEngine's choice
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"weir/internal/event"
	"weir/internal/session"
)

// omeFormat is that of OvenMediaEngine's AdmissionWebhooks.
var omeFormat = Format{Name: "ome", Pairs: true, EncodeDecision: askOME, DecodeDecision: readOME, EncodeEvent: eventsOME, Events: []string{event.PublishStop, event.PlayStop}}

// omeCall is the body of a call.
type omeCall struct {
	Client struct {
		Address   string `json:"address"`
		Port      uint16 `json:"port"`
		RealIP    string `json:"real_ip,omitempty"`
		UserAgent string `json:"user_agent,omitempty"`
	} `json:"client"`
	Request struct {
		Direction string `json:"direction"`
		Protocol  string `json:"protocol"`
		Status    string `json:"status"`
		URL       string `json:"url"`
		NewURL    string `json:"new_url,omitempty"`
		Time      string `json:"time"`
	} `json:"request"`
}

// ome returns what all calls about a stream have.
func ome(role, protocol, status, address string, at time.Time) *omeCall {
	c := &omeCall{}
	c.Client.Address = address
	c.Request.Direction = "outgoing"
	if role == session.Publish.String() {
		c.Request.Direction = "incoming"
	}
	c.Request.Protocol, c.Request.Status = family(protocol, "llhls"), status
	c.Request.Time = at.UTC().Format(timeForm)
	return c
}

func (c *omeCall) call() *Call {
	k := jsonCall(c)
	k.Header["Accept"] = []string{"application/json"}
	return k
}

// SignOME sets the header field with which OvenMediaEngine signs a call.
func (c *Call) SignOME(secret string) {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(c.Body)
	c.Header["X-OME-Signature"] = []string{base64.RawURLEncoding.EncodeToString(mac.Sum(nil))}
}

func askOME(q *Question) *Call {
	c := ome(q.Role.String(), q.Protocol, "opening", address(q.Remote), q.Time)
	c.Client.Port, c.Client.UserAgent = q.Remote.Port(), q.UserAgent
	if len(q.Via) > 0 { // the address that connected, and whom it speaks for
		c.Client.RealIP = c.Client.Address
		c.Client.Address = q.Via[len(q.Via)-1].Unmap().String()
	}
	c.Request.URL = omeURL(q.Request.Protocol, cmp.Or(q.URL, q.TCURL), q.Server.Name, q.Path, q.RawQuery)
	return c.call()
}

// omeURL returns the whole URL of a stream. Its host is the one that the peer named, or else the server's name.
func omeURL(protocol, named, name, path, rawQuery string) string {
	u := url.URL{Scheme: family(protocol, "http"), Host: name, Path: "/" + path, RawQuery: rawQuery}
	if n, err := url.Parse(named); err == nil && n.Host != "" {
		u.Scheme, u.Host = n.Scheme, n.Host
	}
	if u.Host == "" {
		u.Host = "localhost"
	}
	return u.String()
}

func readOME(_ *Question, r *Reply) (*Answer, error) {
	if a := denied(r); a != nil {
		return a, nil
	}
	if r.Status < 200 || r.Status > 299 {
		return nil, unexpected(r)
	}
	var w struct {
		Allowed  bool    `json:"allowed"`
		NewURL   string  `json:"new_url"`
		Lifetime float64 `json:"lifetime"` // milliseconds; 0: no end
		Reason   string  `json:"reason"`
	}
	if err := json.Unmarshal(r.Body, &w); err != nil {
		return nil, badJSON(err)
	}
	a := &Answer{Allow: w.Allowed, Reason: reason(w.Reason)}
	if !a.Allow {
		return a, nil
	}
	const most = 366 * 24 * time.Hour
	if !(w.Lifetime >= 0 && w.Lifetime <= float64(most.Milliseconds())) {
		return nil, fmt.Errorf("the answer's %q is a number of milliseconds, from 0 to a year", "lifetime")
	}
	a.Terms.Duration = time.Duration(w.Lifetime * float64(time.Millisecond))
	if w.NewURL != "" {
		u, err := url.Parse(w.NewURL)
		if err != nil || u.Host == "" {
			return nil, errors.New("the answer's \"new_url\" is no URL of the form scheme://host/app/stream")
		}
		a.Terms.Path = strings.Trim(u.Path, "/")
	}
	return a, text("new_url", a.Terms.Path, maxPath)
}
