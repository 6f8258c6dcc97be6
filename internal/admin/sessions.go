package admin

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/internal/session"
)

// Session is one session in the API.
type Session struct {
	ID            string            `json:"id" doc:"Random; the same in log, hooks and events." example:"7f3ak2m5qw9z1x4c"`
	Protocol      string            `json:"protocol" example:"rtmp"`
	Role          string            `json:"role" enum:"pending,waiting,publish,play"`
	Stream        string            `json:"stream,omitempty" example:"live/cam"`
	Remote        string            `json:"remote" example:"203.0.113.7:51234"`
	UserAgent     string            `json:"user_agent,omitempty"`
	User          string            `json:"user,omitempty" doc:"Who it is, as the key, the token or the decision hook says."`
	KeyID         string            `json:"key_id,omitempty" doc:"The public id of the key that it showed; never the key."`
	Label         string            `json:"label,omitempty" doc:"What the key is called."`
	Labels        map[string]string `json:"labels,omitempty" doc:"What the decision hook has attached."`
	Started       time.Time         `json:"started"`
	Duration      float64           `json:"duration" doc:"Seconds since then."`
	BytesReceived uint64            `json:"bytes_received"`
	BytesSent     uint64            `json:"bytes_sent"`
	Skips         uint64            `json:"skips" doc:"How often a player was too slow and skipped to a newer key frame."`
}

// SessionDetail is all that the API says of one session.
type SessionDetail struct {
	Session
	Frames     uint64     `json:"frames" doc:"Frames published, or sent to a player."`
	AdmittedBy string     `json:"admitted_by,omitempty" doc:"What let it in: keys, signed, jwt, hook, program or cdn; absent where nothing was asked for."`
	Until      *time.Time `json:"until,omitempty" doc:"When its permission ends, and the session with it."`
	Network    *Network   `json:"network,omitempty" doc:"What the kernel measures of its connection. Linux; absent for HTTP/2 and HLS, which have none of their own."`
}

// Network is what the kernel measures of a connection.
type Network struct {
	RTT         float64 `json:"rtt" doc:"Round-trip time in seconds."`
	RTTVariance float64 `json:"rtt_variance" doc:"How much it varies, in seconds."`
	Retransmits uint64  `json:"retransmits" doc:"Segments that the server had to send again."`
	OutOfOrder  uint64  `json:"out_of_order" doc:"Segments that came out of order."`
	Unsent      uint64  `json:"unsent" doc:"Bytes that wait in the kernel to be sent."`
	Rate        uint64  `json:"rate" doc:"Bits per second that the peer took lately; 0 if unknown."`
}

// sessionsQuery asks for sessions.
type sessionsQuery struct {
	Page
	Filter
	Role   string `query:"role" enum:"pending,waiting,publish,play" doc:"Only those in this role."`
	Stream string `query:"stream" maxLength:"255" doc:"Only those of this stream." example:"live/cam"`
}

// sessionsAnswer is a list of sessions.
type sessionsAnswer struct {
	Body struct {
		Listed
		Sessions []Session `json:"sessions" nullable:"false"`
	} `nameHint:"Sessions"`
}

// sessionID is the path parameter of a session.
type sessionID struct {
	ID string `path:"id" maxLength:"64" doc:"The session's id."`
}

func (s *Server) routeSessions(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listSessions", Method: http.MethodGet, Path: "/sessions", Tags: []string{"sessions"},
		Summary: "List the sessions", Description: "Everybody who is connected, the oldest first. A viewer of HLS is a session as long as it asks for playlists.",
	}, s.listSessions)
	register(api, huma.Operation{
		OperationID: "getSession", Method: http.MethodGet, Path: "/sessions/{id}", Tags: []string{"sessions"},
		Summary: "Describe a session", Description: "With what the kernel measures of its connection.",
	}, s.getSession)
	register(api, huma.Operation{
		OperationID: "kickSession", Method: http.MethodDelete, Path: "/sessions/{id}", Tags: []string{"sessions"},
		Summary: "End a session", Description: "The peer is disconnected. The stream of a publisher ends with it. A viewer of HLS is answered 403 for 60 seconds.",
	}, s.kickSession)
}

func (s *Server) listSessions(_ context.Context, q *sessionsQuery) (a *sessionsAnswer, err error) {
	var fit []*session.Session
	for _, x := range s.conf.Sessions.List() {
		path := x.Stream()
		if (q.Role == "" || q.Role == x.Role().String()) && (q.Stream == "" || q.Stream == path) &&
			q.fits(path, x.Protocol, func() bool { return s.isOnline(path) }) {
			fit = append(fit, x)
		}
	}
	slices.SortFunc(fit, func(a, b *session.Session) int { // as sessionKey does; the registry's order is by another clock
		return cmp.Or(cmp.Compare(a.Started.UnixNano(), b.Started.UnixNano()), strings.Compare(a.ID, b.ID))
	})
	a = &sessionsAnswer{}
	a.Body.Sessions, a.Body.Listed, err = list(&q.Page, fit, sessionKey, describeSession)
	return a, err
}

// isOnline reports whether somebody publishes the stream at path.
func (s *Server) isOnline(path string) bool {
	st := s.conf.Hub.Get(path)
	if st == nil {
		return false
	}
	_, online := st.Publisher()
	return online
}

// sessionKey is a text that is ordered as the sessions are listed: by when they began, then by their ids.
func sessionKey(x *session.Session) string {
	return fmt.Sprintf("%019d %s", max(x.Started.UnixNano(), 0), x.ID)
}

// sessionAnswer is one session.
type sessionAnswer struct{ Body SessionDetail }

func (s *Server) getSession(_ context.Context, q *sessionID) (*sessionAnswer, error) {
	x := s.conf.Sessions.Get(q.ID)
	if x == nil {
		return nil, notFound("session", q.ID)
	}
	d := SessionDetail{Session: describeSession(x), Frames: x.Frames.Load()}
	terms := x.Terms()
	d.AdmittedBy = terms.By
	if until := terms.End(x.Started); !until.IsZero() {
		d.Until = &until
	}
	if n, ok := x.Network(); ok {
		d.Network = &Network{
			RTT: n.RTT.Seconds(), RTTVariance: n.RTTVariance.Seconds(), Retransmits: n.Retransmits,
			OutOfOrder: n.OutOfOrder, Unsent: n.Unsent, Rate: n.Rate,
		}
	}
	return &sessionAnswer{d}, nil
}

func (s *Server) kickSession(ctx context.Context, q *sessionID) (*struct{}, error) {
	x := s.conf.Sessions.Get(q.ID)
	if x == nil {
		return nil, notFound("session", q.ID)
	}
	x.Kick(errEnded)
	s.changed(ctx, "session ended", slog.String("session", x.ID), slog.String("protocol", x.Protocol),
		slog.String("peer", x.From()), slog.String("stream", x.Stream()))
	return nil, nil //nolint:nilnil // nothing is answered
}

func describeSession(x *session.Session) Session {
	terms := x.Terms()
	return Session{
		ID: x.ID, Protocol: x.Protocol, Role: x.Role().String(), Stream: x.Stream(), Remote: x.From(), UserAgent: x.UserAgent(),
		User: terms.User, KeyID: terms.KeyID, Label: terms.Label, Labels: terms.Labels,
		Started: x.Started, Duration: time.Since(x.Started).Seconds(),
		BytesReceived: x.BytesIn.Load(), BytesSent: x.BytesOut.Load(), Skips: x.Skips.Load(),
	}
}
