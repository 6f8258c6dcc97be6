package peer

import (
	"context"
	"testing"
	"testing/synctest"

	"weir/internal/admit"
	"weir/internal/session"
	"weir/internal/stream"
)

// TestOnlyTheProgramIsTrusted: a peer whose address nobody knows is asked for its key like every
// other; what is part of the program is not.
func TestOnlyTheProgramIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t, session.Limits{}, stream.Limits{}, nil)
		var inProcess []bool
		h.Admit = func(_ context.Context, r *admit.Request) (session.Grant, error) {
			inProcess = append(inProcess, r.InProcess)
			return session.Grant{}, nil
		}
		s, err := h.Sessions.Open(session.Info{Protocol: "test"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := h.Play(t.Context(), s, Ask{Path: "live/a"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		v.Leave()
		s.CloseWith(nil)
		p, err := h.PublishLocal(t.Context(), "live/a")
		if err != nil {
			t.Fatal(err)
		}
		p.Close()
		if len(inProcess) != 2 || inProcess[0] || !inProcess[1] {
			t.Errorf("asked for %v", inProcess)
		}
	})
}
