package admit

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"weir/internal/session"
)

// Request is what a peer asks for, and what it shows.
type Request struct {
	// Role is Publish or Play; Pending of a connection that is asked about before it names a stream, whose Path is
	// its app. Only a decision hook is asked then.
	Role session.Role
	// Recheck is true if a session that runs is asked about again.
	Recheck bool
	// Grant is, of a recheck, the one in force.
	Grant session.Grant
	// Running is, of a recheck, for how long the session has run.
	Running time.Duration
	// Protocol is the protocol's name in the table of protocols.
	Protocol string
	// Session is the id of the peer's session; empty if it has none yet.
	Session string
	// Offer is the id that the session of a peer without one will have if it begins one, so that who is asked about
	// it now knows it later; empty if it begins none.
	Offer string
	// Owed is set when somebody has said yes who waits to be told of the end of what it let in, under the id in Session
	// or else in Offer. It is the Door's to see to that.
	Owed   bool
	Remote netip.AddrPort
	Via    []netip.Addr // trusted proxies through which the peer came
	TLS    bool
	// UserAgent, PageURL and TCURL are what the peer says of itself, as far as its protocol has them.
	// The two URLs may hold keys: never log them.
	UserAgent, PageURL, TCURL string
	// URL is where the peer says that it asks for this, without its query: scheme://host/path, as far as its protocol has
	// it. Only its path is known to be true.
	URL string
	// Path is the stream's path as asked for, decoded, without its query.
	Path string
	// SecretName says that the name may be a key: it is not logged.
	SecretName bool
	// RawQuery is what followed the name, as sent, without the question mark. It holds keys: never log it.
	RawQuery   string
	Credential Credential
	// Online says that the stream has a publisher, and Players how many play it.
	Online  bool
	Players int
	// Hops are the servers that a stream to publish came through, or one to play goes through, as the peer says.
	Hops []string
	// InProcess is true of a peer that is part of the program: it needs no key, and has no address.
	InProcess bool
}

// ID returns the id that the session has or will have; empty if there will be none.
func (r *Request) ID() string { return cmp.Or(r.Session, r.Offer) }

// Told returns the path as far as it may be told: a name that may be a key is left out.
func (r *Request) Told() string {
	if r.SecretName {
		return session.MaskName(r.Path)
	}
	return r.Path
}

// Shown is what of it services are given back at the end that were written for that. It may hold keys: never log it.
func (r *Request) Shown() *session.Shown {
	s := &session.Shown{Path: strings.Clone(r.Path), Query: strings.Clone(r.RawQuery), TCURL: r.TCURL, PageURL: r.PageURL}
	if u, err := url.Parse(r.URL); err == nil && u.Host != "" {
		s.Base = u.Scheme + "://" + u.Host
	}
	return s
}

// Connects reports whether it is about a connection, and no stream.
func (r *Request) Connects() bool { return r.Role == session.Pending }

// Credential is what a peer shows beside its query, from wherever its protocol carries it.
type Credential struct {
	// Kind is "basic", "adobe" (RTMP's user and password) or "bearer"; empty if the peer shows nothing.
	Kind string
	User string
	// Secret is the password, and Token the bearer token. Never log them.
	Secret, Token string
}

// Link is one of those that decide about a request.
type Link interface {
	// Decide admits a peer by terms, or passes to the next link with (nil, nil). An error refuses;
	// session.ReasonOf tells why, and a *session.Refusal holds the text for the peer.
	Decide(ctx context.Context, r *Request) (*session.Terms, error)
}

// Renamer is a Link that may let a peer in under another name than the one that it asked for.
type Renamer interface {
	Link
	// NamesAreSecret reports whether the names that peers with a role ask for may be their keys.
	NamesAreSecret(role session.Role) bool
}
