package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Keys are the keys for publishing and playing that can be made and revoked while the server runs.
type Keys interface {
	// List returns all keys, the oldest first.
	List() ([]Key, error)
	// New makes a key and returns it with its secret, which is nowhere else. It fails with a
	// *KeyError if n cannot be. Each of them may fail with a *KeysError.
	New(ctx context.Context, n NewKey) (k Key, secret string, err error)
	// Revoke makes a key void and, unless keep is true, ends the sessions that it let in. It fails
	// with ErrNoKey.
	Revoke(ctx context.Context, id string, keep bool) error
}

// ErrNoKey is the error for a key that does not exist.
var ErrNoKey = errors.New("admin: there is no such key")

// KeyError says why a key cannot be made.
type KeyError struct {
	Code   string // a word for programs: "bad_path", "id_taken"
	Detail string // a sentence for people
}

// Error returns the sentence.
func (e *KeyError) Error() string { return e.Detail }

// KeysError says that the file of keys cannot be read or written.
type KeysError struct{ Err error }

// Error says why.
func (e *KeysError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *KeysError) Unwrap() error { return e.Err }

// keysProblem is the problem that an error of Keys is.
func (s *Server) keysProblem(err error, id string) error {
	if _, ok := errors.AsType[*KeysError](err); ok {
		s.log.Error("the API cannot use the file of keys", slog.Any("err", err))
		return newProblem(http.StatusServiceUnavailable, "keys_unusable",
			"The file of keys cannot be read or written: it must belong to the user that the server runs as, and be whole. The log says more.")
	}
	if wrong, ok := errors.AsType[*KeyError](err); ok {
		return newProblem(http.StatusUnprocessableEntity, wrong.Code, "%s", wrong.Detail)
	}
	switch {
	case errors.Is(err, ErrNoState):
		return noState("keys")
	case errors.Is(err, ErrNoKey):
		return notFound("key", id)
	}
	return err
}

// Key is one key. The secret itself is not kept.
type Key struct {
	ID       string     `json:"id" doc:"Public; sessions and events show it." example:"cam1"`
	Role     string     `json:"role" enum:"publish,play"`
	Match    string     `json:"match" doc:"Which stream paths it is good for." example:"live/*"`
	Path     string     `json:"path,omitempty" doc:"The public path of the stream of those who publish with it."`
	Label    string     `json:"label,omitempty" doc:"What it is called."`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty" doc:"Absent if it does not."`
	Revoked  *time.Time `json:"revoked,omitempty" doc:"When it was revoked; absent if it was not."`
	LastUsed *time.Time `json:"last_used,omitempty" doc:"When it last let somebody in, or such a session was last there; absent if that is not known."`
	Sessions int        `json:"sessions" doc:"How many sessions are there that it let in."`
}

// NewKey is a key to make.
type NewKey struct {
	_       struct{}   `additionalProperties:"false"`
	ID      string     `json:"id,omitempty" maxLength:"64" pattern:"^[A-Za-z0-9._-]+$" doc:"Its public id; a random one if absent." example:"cam1"`
	Role    string     `json:"role" enum:"publish,play"`
	Match   string     `json:"match" minLength:"1" maxLength:"255" doc:"Which stream paths it is good for: a path or a pattern. Those streams ask for a key from then on." example:"live/*"`
	Path    string     `json:"path,omitempty" maxLength:"255" doc:"The public path of the stream of those who publish with it, so that the key may be the name that they publish to." example:"live/front-door"`
	Label   string     `json:"label,omitempty" maxLength:"128" doc:"What it is called." example:"Front door"`
	Expires *time.Time `json:"expires,omitempty" doc:"When it ends, and with it the sessions that it let in."`
}

// keysAnswer is all keys.
type keysAnswer struct {
	Body struct {
		Keys []Key `json:"keys" nullable:"false"`
	} `nameHint:"Keys"`
}

// newKeyQuery makes a key.
type newKeyQuery struct{ Body NewKey }

// newKeyAnswer is a new key.
type newKeyAnswer struct {
	Body struct {
		Key    Key    `json:"key"`
		Secret string `json:"secret" doc:"The key itself. It is shown this once and kept nowhere."`
	} `nameHint:"CreatedKey"`
}

// revokeQuery names a key.
type revokeQuery struct {
	ID   string `path:"id" maxLength:"64" doc:"The key's id."`
	Keep bool   `query:"keep" doc:"Leave the sessions that it let in."`
}

func (s *Server) routeKeys(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listKeys", Method: http.MethodGet, Path: "/keys", Tags: []string{"keys"},
		Summary: "List the keys", Description: "Keys made with weir key or through this API; those of the configuration file are in /config.",
	}, func(context.Context, *struct{}) (*keysAnswer, error) {
		keys, err := s.conf.Keys.List()
		if err != nil {
			return nil, s.keysProblem(err, "")
		}
		a := &keysAnswer{}
		a.Body.Keys = append([]Key{}, keys...)
		return a, nil
	})
	register(api, huma.Operation{
		OperationID: "createKey", Method: http.MethodPost, Path: "/keys", Tags: []string{"keys"}, DefaultStatus: http.StatusCreated, MaxBodyBytes: 16 << 10,
		Summary: "Make a key", Description: "The answer has the key itself, this once.",
	}, func(ctx context.Context, q *newKeyQuery) (*newKeyAnswer, error) {
		a := &newKeyAnswer{}
		var err error
		if a.Body.Key, a.Body.Secret, err = s.conf.Keys.New(ctx, q.Body); err != nil {
			return nil, s.keysProblem(err, "")
		}
		k := &a.Body.Key
		s.changed(ctx, "key made", slog.String("key_id", k.ID), slog.String("role", k.Role), slog.String("match", k.Match), slog.String("label", k.Label))
		return a, nil
	})
	register(api, huma.Operation{
		OperationID: "revokeKey", Method: http.MethodDelete, Path: "/keys/{id}", Tags: []string{"keys"},
		Summary: "Revoke a key", Description: "Nobody gets in with it any more, and the sessions that it let in end, unless keep is true.",
	}, func(ctx context.Context, q *revokeQuery) (*struct{}, error) {
		if err := s.conf.Keys.Revoke(ctx, q.ID, q.Keep); err != nil {
			return nil, s.keysProblem(err, q.ID)
		}
		s.changed(ctx, "key revoked", slog.String("key_id", q.ID), slog.Bool("keep", q.Keep))
		return nil, nil //nolint:nilnil // nothing is answered
	})
}
