package hook

import (
	"net/url"
	"strings"

	"weir/internal/session"
)

// mediamtxFormat is that of MediaMTX's authMethod: http. Services see HLS once for each viewer, not for each request.
var mediamtxFormat = Format{Name: "mediamtx", EncodeDecision: askMediaMTX, DecodeDecision: readMediaMTX}

// mediamtxCall is the body of a call, in MediaMTX's order.
type mediamtxCall struct {
	IP        string  `json:"ip"`
	User      string  `json:"user"`
	Password  string  `json:"password"`
	Token     string  `json:"token"`
	Action    string  `json:"action"`
	Path      string  `json:"path"`
	Protocol  string  `json:"protocol"`
	ID        *string `json:"id"` // a UUID; null for those who are asked about before they have a session
	Query     string  `json:"query"`
	UserAgent string  `json:"userAgent"`
}

func askMediaMTX(q *Question) *Call {
	c := &mediamtxCall{
		IP: address(q.Remote), Action: "read", Path: q.Path, Protocol: family(q.Protocol, "hls"),
		Query: q.RawQuery, UserAgent: q.UserAgent,
	}
	if q.Session != "" {
		id := uuid(q.Session)
		c.ID = &id
	}
	if q.Role == session.Publish {
		c.Action = "publish"
	}
	switch q.Credential.Kind {
	case "basic", "adobe":
		c.User, c.Password = q.Credential.User, q.Credential.Secret
	case "bearer":
		if user, password, pair := strings.Cut(q.Credential.Token, ":"); pair {
			c.User, c.Password = user, password
		} else {
			c.Token = q.Credential.Token
		}
	}
	if c.User == "" && c.Password == "" && c.Token == "" {
		query, _ := url.ParseQuery(q.RawQuery) //nolint:errcheck // what can be read of it
		c.User, c.Password, c.Token = query.Get("user"), query.Get("pass"), query.Get("token")
		if c.Token == "" {
			c.Token = query.Get("jwt")
		}
	}
	return jsonCall(c)
}

// readMediaMTX goes by the status alone. 401 has players asked for a password.
func readMediaMTX(_ *Question, r *Reply) (*Answer, error) {
	switch {
	case r.Status/100 == 2:
		return allowed(), nil
	case gone(r.Status), r.Status/100 == 3:
		return nil, unexpected(r)
	}
	if a := denied(r); a != nil {
		return a, nil
	}
	return &Answer{Status: r.Status}, nil
}
