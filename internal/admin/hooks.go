package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Hooks are the hooks that are told of events.
type Hooks interface {
	// List returns the state of every hook, in the order of the configuration.
	List() []Hook
	// Deliveries returns the newest deliveries of a hook, the newest first, at most 100; false if
	// there is no such hook.
	Deliveries(hook string) ([]Delivery, bool)
	// Replay sends a delivery again, with the same id. It fails with ErrNoHook or ErrNoDelivery.
	Replay(ctx context.Context, hook, id string) error
}

// Errors of Hooks.
var (
	ErrNoHook     = errors.New("admin: there is no such hook")
	ErrNoDelivery = errors.New("admin: the hook has no such delivery, or it is too old")
)

// Hook is one hook.
type Hook struct {
	Name      string     `json:"name" example:"billing"`
	Target    string     `json:"target" doc:"Its URL without what may be secret, or its command." example:"https://example.org/hooks"`
	Events    []string   `json:"events" nullable:"false" doc:"The types of events that it is told of; empty for all."`
	Calls     []string   `json:"calls" nullable:"false" doc:"The calls of the other server's format that it makes; empty for all but those that have to be named."`
	State     string     `json:"state" doc:"ok, failing while deliveries fail and are tried again, or off once the receiver answered 410." example:"ok"`
	Queue     int        `json:"queue" doc:"Events that wait."`
	Delivered uint64     `json:"delivered" doc:"Events so far that were received."`
	Failed    uint64     `json:"failed" doc:"Tries so far that failed."`
	Dropped   uint64     `json:"dropped" doc:"Events so far that were thrown away."`
	NextTry   *time.Time `json:"next_try,omitempty" doc:"When a failed delivery is tried again."`
	LastError string     `json:"last_error,omitempty" doc:"Why the last try failed; absent after a success."`
}

// Delivery is one event that a hook was sent, or is to be.
type Delivery struct {
	ID       string    `json:"id" doc:"The event's id, the same on every try."`
	Type     string    `json:"type" example:"publish.start"`
	Stream   string    `json:"stream,omitempty"`
	Time     time.Time `json:"time" doc:"Of the last try."`
	Attempts int       `json:"attempts"`
	Status   int       `json:"status,omitempty" doc:"The receiver's status, or the command's exit status; absent if none came."`
	Duration float64   `json:"duration" doc:"Seconds that the last try took."`
	Done     bool      `json:"done" doc:"It was received."`
	Error    string    `json:"error,omitempty" doc:"Why the last try failed."`
}

// hooksAnswer is all hooks.
type hooksAnswer struct {
	Body struct {
		Hooks []Hook `json:"hooks" nullable:"false"`
	} `nameHint:"Hooks"`
}

// hookName is the path parameter of a hook.
type hookName struct {
	Name string `path:"name" maxLength:"255" doc:"The hook's name."`
}

// deliveriesAnswer is the newest deliveries of a hook.
type deliveriesAnswer struct {
	Body struct {
		Deliveries []Delivery `json:"deliveries" nullable:"false"`
	} `nameHint:"Deliveries"`
}

// replayQuery names a delivery.
type replayQuery struct {
	Name string `path:"name" maxLength:"255" doc:"The hook's name."`
	ID   string `path:"id" maxLength:"64" doc:"The delivery's id."`
}

func (s *Server) routeHooks(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listHooks", Method: http.MethodGet, Path: "/hooks", Tags: []string{"hooks"},
		Summary: "List the hooks", Description: "With their state and what waits in their queues.",
	}, func(context.Context, *struct{}) (*hooksAnswer, error) {
		a := &hooksAnswer{}
		a.Body.Hooks = append([]Hook{}, s.conf.Hooks.List()...)
		return a, nil
	})
	register(api, huma.Operation{
		OperationID: "listDeliveries", Method: http.MethodGet, Path: "/hooks/{name}/deliveries", Tags: []string{"hooks"},
		Summary: "List what a hook was sent", Description: "The newest 100, the newest first.",
	}, func(_ context.Context, q *hookName) (*deliveriesAnswer, error) {
		list, ok := s.conf.Hooks.Deliveries(q.Name)
		if !ok {
			return nil, notFound("hook", q.Name)
		}
		a := &deliveriesAnswer{}
		a.Body.Deliveries = append([]Delivery{}, list...)
		return a, nil
	})
	register(api, huma.Operation{
		OperationID: "replayDelivery", Method: http.MethodPost, Path: "/hooks/{name}/deliveries/{id}/replay", Tags: []string{"hooks"},
		DefaultStatus: http.StatusAccepted,
		Summary:       "Send a delivery again", Description: "With the same id, by which the receiver knows it.",
	}, func(ctx context.Context, q *replayQuery) (*struct{}, error) {
		err := s.conf.Hooks.Replay(ctx, q.Name, q.ID)
		switch {
		case errors.Is(err, ErrNoHook):
			return nil, notFound("hook", q.Name)
		case errors.Is(err, ErrNoDelivery):
			return nil, notFound("delivery", q.ID)
		case err != nil:
			return nil, err
		}
		s.changed(ctx, "delivery sent again", slog.String("hook", q.Name), slog.String("id", q.ID))
		return nil, nil //nolint:nilnil // nothing is answered
	})
}
