package peer

import (
	"context"
	"net/http"

	"weir/internal/session"
)

// Attend admits the viewer of a request to something of a stream that is not live, such as a recording, and makes it a
// session that plays: limits hold for it, and it can be kicked. cancel is called when it is to end. The caller
// closes the session. path is the stream's public one. Attend fails with a *session.Refusal.
func (d *Door) Attend(ctx context.Context, r *http.Request, asked string, cancel func(cause error)) (s *session.Session, path string, err error) {
	s, err = d.Sessions.Open(d.Info(r, cancel))
	if err != nil {
		return nil, "", err
	}
	ask := AskOf(r, asked)
	request := d.RequestOf(s, session.Play, &ask)
	grant, err := d.Allow(ctx, request)
	if err != nil {
		s.CloseWith(err)
		return nil, "", err
	}
	held := *request
	admitted(request, grant)
	undo, err := s.BindGrant(grant, session.Play, request.Path)
	if err == nil {
		d.Hold(s, &held, grant)
		if err = s.Watch(session.Play, request.Path); err != nil {
			undo()
		}
	}
	if err != nil {
		err = d.Refuse(request, err)
		s.CloseWith(err)
		return nil, "", err
	}
	return s, request.Path, nil
}
