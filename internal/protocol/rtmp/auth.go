package rtmp

import (
	"errors"

	"weir/internal/admit"
	"weir/internal/session"
	"weir/rtmp"
)

// authenticate asks for user and password by the adobe or llnw scheme, where all publishers of an application need
// them, and wherever a client offers them. Each step of that is a refusal, after which the client connects again.
func (p *Protocol) authenticate(pr *connection, r *rtmp.ConnectRequest) error {
	if p.auth == nil || !r.Authenticates() && !(isPublisher(r) && p.env.Users.AsksUser(r.App)) {
		return nil
	}
	addr := pr.session.Remote.Addr()
	if err := p.env.Users.MayTry(addr); err != nil {
		return p.refuseConnect(pr, err)
	}
	user, err := p.auth.Verify(r)
	switch {
	case errors.Is(err, rtmp.ErrAuthFailed):
		return errors.Join(err, p.refuseConnect(pr, p.env.Users.WrongPassword(addr))) // the status of the scheme comes first
	case err != nil: // the next step
		return session.Because(session.EOF, err)
	}
	password, _ := p.env.Users.Password(user)
	pr.credential = admit.Credential{Kind: "adobe", User: user, Secret: password}
	return nil
}

// isPublisher reports whether a client says that it is going to publish, as encoders do in connect.
func isPublisher(r *rtmp.ConnectRequest) bool {
	kind, ok := r.Properties.GetString("type")
	return ok && kind == "nonprivate"
}

// refuseConnect counts and logs that a connection is not wanted, and returns the refusal with the status for the peer.
func (p *Protocol) refuseConnect(pr *connection, err error) error {
	return refuse(rtmp.CodeConnectRejected, p.env.Refuse(&admit.Request{
		Role: session.Publish, Protocol: p.env.Name, Session: pr.session.ID, Remote: pr.session.Remote,
	}, err))
}
