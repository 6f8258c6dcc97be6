package server

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"time"

	"weir/internal/admin"
	"weir/internal/hook"
	"weir/internal/hook/deliver"
)

// identity is what hooks are told of this server: an id of its own for each run, and the machine's name.
func identity() hook.Server {
	name, err := os.Hostname()
	if err != nil {
		name = "weir"
	}
	return hook.Server{ID: strings.ToLower(rand.Text()[:16]), Name: name}
}

// adminHooks shows the hooks as the API has them.
type adminHooks struct{ *deliver.Deliverer }

// List implements admin.Hooks.
func (h adminHooks) List() []admin.Hook {
	var all []admin.Hook
	for _, s := range h.Deliverer.List() {
		a := admin.Hook{
			Name: s.Name, Target: s.Target, Events: s.Events, Calls: s.Calls, State: s.Status, Queue: s.Queue,
			Delivered: s.Delivered, Failed: s.Failed, Dropped: s.Dropped, LastError: s.LastError,
		}
		if !s.NextTry.IsZero() {
			a.NextTry = &s.NextTry
		}
		all = append(all, a)
	}
	return all
}

// Deliveries implements admin.Hooks.
func (h adminHooks) Deliveries(name string) ([]admin.Delivery, bool) {
	list, ok := h.Deliverer.Deliveries(name)
	var all []admin.Delivery
	for _, d := range list {
		all = append(all, admin.Delivery{
			ID: d.ID, Type: d.Type, Stream: d.Stream, Time: d.Time, Attempts: d.Attempts, Status: d.Status,
			Duration: d.Duration.Round(time.Microsecond).Seconds(), Done: d.Done, Error: d.Error,
		})
	}
	return all, ok
}

// Replay implements admin.Hooks.
func (h adminHooks) Replay(_ context.Context, name, id string) error {
	err := h.Deliverer.Replay(name, id)
	switch {
	case errors.Is(err, deliver.ErrNoHook):
		return admin.ErrNoHook
	case errors.Is(err, deliver.ErrNoDelivery):
		return admin.ErrNoDelivery
	}
	return err
}
