package server

import (
	"context"
	"errors"
	"time"

	"weir/internal/admin"
	"weir/internal/admit"
)

// noKeys are the keys of a server without a folder of state: there are none, and none can be made.
type noKeys struct{}

// List implements admin.Keys.
func (noKeys) List() ([]admin.Key, error) { return nil, nil }

// New implements admin.Keys.
func (noKeys) New(context.Context, admin.NewKey) (admin.Key, string, error) {
	return admin.Key{}, "", admin.ErrNoState
}

// Revoke implements admin.Keys.
func (noKeys) Revoke(context.Context, string, bool) error { return admin.ErrNoKey }

// storedKeys are the keys of the state folder, as the API makes and revokes them.
type storedKeys struct {
	file  admit.KeyFile
	store *admit.KeyStore
	inUse func() map[uint64]int // how many sessions each has, by Grant.Key
}

// List implements admin.Keys.
func (s storedKeys) List() ([]admin.Key, error) {
	keys, err := s.file.List()
	if err != nil {
		return nil, &admin.KeysError{Err: err}
	}
	sessions := s.inUse()
	used := s.store.LastUsed()
	list := make([]admin.Key, len(keys))
	for i := range keys {
		list[i] = keyEntry(&keys[i])
		list[i].LastUsed = timeOrNil(used[keys[i].ID])
		list[i].Sessions = sessions[keys[i].Key()]
	}
	return list, nil
}

// New implements admin.Keys.
func (s storedKeys) New(_ context.Context, n admin.NewKey) (admin.Key, string, error) {
	k := admit.StoredKey{ID: n.ID, Role: n.Role, Match: n.Match, Path: n.Path, Label: n.Label}
	if n.Expires != nil {
		k.Expires = n.Expires.UTC()
	}
	secret, k, err := s.file.Add(k)
	if e, ok := errors.AsType[*admit.KeyError](err); ok {
		return admin.Key{}, "", &admin.KeyError{Code: e.Code, Detail: e.Error()}
	}
	if err != nil {
		return admin.Key{}, "", &admin.KeysError{Err: err}
	}
	s.store.Refresh()
	return keyEntry(&k), secret, nil
}

// Revoke implements admin.Keys.
func (s storedKeys) Revoke(_ context.Context, id string, keep bool) error {
	switch _, err := s.file.Revoke(id, keep); {
	case errors.Is(err, admit.ErrNoSuchKey):
		return admin.ErrNoKey
	case err != nil:
		return &admin.KeysError{Err: err}
	}
	s.store.Refresh()
	return nil
}

func keyEntry(k *admit.StoredKey) admin.Key {
	return admin.Key{
		ID: k.ID, Role: k.Role, Match: k.Match, Path: k.Path, Label: k.Label, Created: k.Created,
		Expires: timeOrNil(k.Expires), Revoked: timeOrNil(k.Revoked),
	}
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
