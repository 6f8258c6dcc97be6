package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Pushes are the servers to which streams are also sent.
type Pushes interface {
	// List returns the targets of live streams and those that the API made, in the order of streams and
	// names; with a stream all that it has or is to have.
	List(stream string) []Push
	// Add makes a target. It fails with ErrPushTaken, ErrPushSame, ErrTooManyPushes or a *PushError.
	Add(ctx context.Context, n NewPush) (Push, error)
	// Change changes what is given in to. It fails with ErrNoPush, ErrPushConfigured, ErrPushSame or a *PushError.
	Change(ctx context.Context, stream, name string, to PushSettings) (Push, error)
	// Remove removes a target. It fails with ErrNoPush or ErrPushConfigured.
	Remove(ctx context.Context, stream, name string) error
	// Retry makes a target that waits after a failure try again at once. It fails with ErrNoPush.
	Retry(ctx context.Context, stream, name string) (Push, error)
}

// Errors of Pushes.
var (
	ErrNoPush         = errors.New("admin: there is no such target")
	ErrPushTaken      = errors.New("admin: the stream has a target of this name already")
	ErrPushSame       = errors.New("admin: the stream has a target with this URL and key already")
	ErrPushConfigured = errors.New("admin: the target comes from the configuration or the decision hook")
	ErrTooManyPushes  = errors.New("admin: too many targets")
)

// PushError says why a target cannot be as it is asked for. It shows no secret.
type PushError struct{ Detail string }

// Error returns the sentence.
func (e *PushError) Error() string { return e.Detail }

// Push is a server to which a stream is also sent.
type Push struct {
	Stream      string     `json:"stream" example:"live/cam"`
	Name        string     `json:"name" example:"youtube"`
	Service     string     `json:"service" example:"youtube"`
	URL         string     `json:"url" doc:"Where to, without what may be secret." example:"rtmps://a.rtmps.youtube.com:443/live2"`
	Origin      string     `json:"origin" enum:"config,api,hook,edge" doc:"What made it: the configuration, this API, the decision about the stream's publisher, or edge.publish."`
	Enabled     bool       `json:"enabled"`
	Slate       string     `json:"slate" doc:"off, repeat or the name of a file." example:"repeat"`
	Caps        string     `json:"caps" enum:"auto,on"`
	Pin         string     `json:"pin,omitempty"`
	MaxAttempts int        `json:"max_attempts,omitempty"`
	State       string     `json:"state" enum:"off,waiting,connecting,live,slate,away,retrying,refused" doc:"waiting is for the publisher. While the publisher of a stream that was sent is away, slate is sent the slate and away nothing. retrying is after a failure that may pass; refused takes somebody who changes something, and is tried again every five minutes."`
	Since       *time.Time `json:"since,omitempty" doc:"Of the state; absent if the stream is not live."`
	Reason      string     `json:"reason,omitempty" doc:"Why the newest attempt failed, as a word for programs; absent once it is live." example:"denied"`
	Error       string     `json:"error,omitempty" doc:"The same as a sentence." example:"the server does not know the stream key (NetStream.Publish.Unauthorized)"`
	Attempts    int        `json:"attempts" doc:"How many have failed in a row."`
	NextTry     *time.Time `json:"next_try,omitempty"`
	Sessions    int        `json:"sessions" doc:"How often the server has taken the stream."`
	BytesSent   int64      `json:"bytes_sent" doc:"Bytes of media."`
	Frames      int64      `json:"frames"`
	Skips       int64      `json:"skips" doc:"How often the target was too slow and skipped to a newer key frame."`
	Lag         float64    `json:"lag" doc:"Seconds that it is behind."`
	Stalled     float64    `json:"stalled,omitempty" doc:"For how many seconds the server has taken nothing of what waits; absent while it takes what comes."`
	LeftOut     []string   `json:"left_out,omitempty" doc:"Tracks that it is not sent, and why."`
	Notes       []string   `json:"notes,omitempty" doc:"What the service wants otherwise." example:"key frames every 8s; Twitch wants 2s"`
}

// PushSettings are what can be set of a target. What is absent stays as it is.
type PushSettings struct {
	Service     *string `json:"service,omitempty" enum:"custom,youtube,twitch,facebook,kick,ivs,x,cloudflare,linkedin,restream,trovo,vimeo,dlive" doc:"A known service, whose URL need not be given."`
	URL         *string `json:"url,omitempty" maxLength:"2048" doc:"rtmp://HOST/APP or rtmps://HOST/APP, or both URL and key in one: rtmp://HOST/APP/KEY. {app}, {name} and {query} are replaced. It may not lead to private addresses unless streams[].pull.allow_private is set." example:"rtmps://live.example.org/app"`
	Key         *string `json:"key,omitempty" maxLength:"1024" doc:"The stream key or name there. It is never shown."`
	Enabled     *bool   `json:"enabled,omitempty"`
	Slate       *string `json:"slate,omitempty" maxLength:"1024" doc:"What the server is sent while the stream waits for its publisher's return: off is nothing, repeat the last key frame and silence, and else the name of a file of this server, .flv, .mp4 or .ts, that is played again and again." example:"repeat"`
	Caps        *string `json:"caps,omitempty" enum:"auto,on" doc:"on announces Enhanced RTMP."`
	Pin         *string `json:"pin,omitempty" maxLength:"128" doc:"SHA-256 of the server's certificate in hex; that one alone is accepted then."`
	MaxAttempts *int    `json:"max_attempts,omitempty" minimum:"0" maximum:"1000000" doc:"Failures in a row after which it is not tried again; 0 for no end."`
}

// NewPush is a target to make.
type NewPush struct {
	_      struct{} `additionalProperties:"false"`
	Stream string   `json:"stream" maxLength:"1024" doc:"The stream's path, app/name; it need not be live." example:"live/cam"`
	Name   string   `json:"name,omitempty" maxLength:"40" pattern:"^[a-z0-9_-]+$" doc:"What it is called; made of the service or the host if absent."`
	PushSettings
}

// pushesQuery asks for targets.
type pushesQuery struct {
	Page
	Stream string `query:"stream" maxLength:"255" doc:"Only those of this stream, also if it is not live." example:"live/cam"`
	State  string `query:"state" enum:"off,waiting,connecting,live,slate,away,retrying,refused" doc:"Only those in this state."`
}

// pushesAnswer is a list of targets.
type pushesAnswer struct {
	Body struct {
		Listed
		Pushes []Push `json:"pushes" nullable:"false"`
	} `nameHint:"Pushes"`
}

// pushName names a target.
type pushName struct {
	Name string `path:"name" maxLength:"40" doc:"The target's name." example:"youtube"`
	Path string `path:"path" maxLength:"1024" doc:"The stream's path, with slashes or %2F for them." example:"live/cam"`
}

// newPushQuery makes a target.
type newPushQuery struct{ Body NewPush }

// changePushQuery changes a target.
type changePushQuery struct {
	Name string `path:"name" maxLength:"40" doc:"The target's name." example:"youtube"`
	Path string `path:"path" maxLength:"1024" doc:"The stream's path, with slashes or %2F for them." example:"live/cam"`
	Body struct {
		_ struct{} `additionalProperties:"false"`
		PushSettings
	} `nameHint:"PushChange"`
}

// pushAnswer is one target.
type pushAnswer struct{ Body Push }

func (s *Server) routePushes(api huma.API) {
	const one = "/pushes/{name}/{path}"
	register(api, huma.Operation{
		OperationID: "listPushes", Method: http.MethodGet, Path: "/pushes", Tags: []string{"pushes"},
		Summary: "List the servers that streams are also sent to", Description: "Those of live streams, and those that were made by this API for others.",
	}, s.listPushes)
	register(api, huma.Operation{
		OperationID: "getPush", Method: http.MethodGet, Path: one, Tags: []string{"pushes"},
		Summary: "Describe one of them", Description: "With what it does, its newest failure and when it is tried again.",
	}, func(_ context.Context, q *pushName) (*pushAnswer, error) {
		for _, p := range s.conf.Pushes.List(q.Path) {
			if p.Name == q.Name {
				return &pushAnswer{p}, nil
			}
		}
		return nil, s.noPush(q.Path, q.Name)
	})
	register(api, huma.Operation{
		OperationID: "createPush", Method: http.MethodPost, Path: "/pushes", Tags: []string{"pushes"}, DefaultStatus: http.StatusCreated, MaxBodyBytes: 16 << 10,
		Summary: "Send a stream to another server", Description: "It begins at once if the stream is live, and lasts until it is removed: with a folder of state across restarts, too.",
	}, func(ctx context.Context, q *newPushQuery) (*pushAnswer, error) {
		p, err := s.conf.Pushes.Add(ctx, q.Body)
		if err != nil {
			return nil, s.pushProblem(err, q.Body.Stream, q.Body.Name)
		}
		s.changed(ctx, "push made", slog.String("stream", p.Stream), slog.String("target", p.Name), slog.String("url", p.URL))
		return &pushAnswer{p}, nil
	})
	register(api, huma.Operation{
		OperationID: "changePush", Method: http.MethodPatch, Path: one, Tags: []string{"pushes"}, MaxBodyBytes: 16 << 10,
		Summary: "Change one of them", Description: "What is given is set, and the target begins anew. Of one that this API did not make only enabled can be changed, which turns it on and off.",
	}, func(ctx context.Context, q *changePushQuery) (*pushAnswer, error) {
		p, err := s.conf.Pushes.Change(ctx, q.Path, q.Name, q.Body.PushSettings)
		if err != nil {
			return nil, s.pushProblem(err, q.Path, q.Name)
		}
		s.changed(ctx, "push changed", slog.String("stream", p.Stream), slog.String("target", p.Name), slog.Bool("enabled", p.Enabled))
		return &pushAnswer{p}, nil
	})
	register(api, huma.Operation{
		OperationID: "removePush", Method: http.MethodDelete, Path: one, Tags: []string{"pushes"},
		Summary: "Remove one of them", Description: "The server there is told that the stream is over.",
	}, func(ctx context.Context, q *pushName) (*struct{}, error) {
		if err := s.conf.Pushes.Remove(ctx, q.Path, q.Name); err != nil {
			return nil, s.pushProblem(err, q.Path, q.Name)
		}
		s.changed(ctx, "push removed", slog.String("stream", q.Path), slog.String("target", q.Name))
		return nil, nil //nolint:nilnil // nothing is answered
	})
	register(api, huma.Operation{
		OperationID: "retryPush", Method: http.MethodPost, Path: "/pushes/{name}/retry/{path}", Tags: []string{"pushes"},
		Summary: "Try again now", Description: "A target that waits after a failure, or was given up, is tried at once. One that is live goes on as it is.",
	}, func(ctx context.Context, q *pushName) (*pushAnswer, error) {
		p, err := s.conf.Pushes.Retry(ctx, q.Path, q.Name)
		if err != nil {
			return nil, s.pushProblem(err, q.Path, q.Name)
		}
		if slices.Contains([]string{"connecting", "retrying", "refused"}, p.State) { // else there was nothing to try
			s.changed(ctx, "push tried again", slog.String("stream", p.Stream), slog.String("target", p.Name))
		}
		return &pushAnswer{p}, nil
	})
}

func (s *Server) listPushes(_ context.Context, q *pushesQuery) (a *pushesAnswer, err error) {
	var fit []Push
	for _, p := range s.conf.Pushes.List(q.Stream) {
		if q.State == "" || p.State == q.State {
			fit = append(fit, p)
		}
	}
	a = &pushesAnswer{}
	a.Body.Pushes, a.Body.Listed, err = list(&q.Page, fit, func(p Push) string { return p.Stream + "\x00" + p.Name }, func(p Push) Push { return p })
	return a, err
}

// noPush is the problem of a target that there is not. It names those that the stream has.
func (s *Server) noPush(stream, name string) error {
	var has []string
	for _, p := range s.conf.Pushes.List(stream) {
		has = append(has, p.Name)
	}
	if len(has) == 0 {
		return newProblem(http.StatusNotFound, "push_not_found", "The stream %.60q is sent to no other server, and so not to %.40q.", stream, name)
	}
	return newProblem(http.StatusNotFound, "push_not_found", "The stream %.60q is not sent to %.40q, but to %s.", stream, name, strings.Join(has, ", "))
}

// pushProblem is the problem that an error of Pushes is.
func (s *Server) pushProblem(err error, stream, name string) error {
	switch {
	case errors.Is(err, ErrNoPush):
		return s.noPush(stream, name)
	case errors.Is(err, ErrPushTaken):
		return newProblem(http.StatusConflict, "name_taken", "The stream has a target of this name already: choose another, or change that one.")
	case errors.Is(err, ErrPushSame):
		return newProblem(http.StatusConflict, "same_target", "The stream is sent to this URL with this key already, and a server takes one stream for a key: change or remove that target.")
	case errors.Is(err, ErrPushConfigured):
		return newProblem(http.StatusConflict, "configured", "The target was not made by the API, which can turn it on and off alone: change streams[].push or edge.publish in the configuration, or what your decision hook answers.")
	case errors.Is(err, ErrTooManyPushes):
		return newProblem(http.StatusConflict, "too_many", "There are as many targets as may be: 32 for a stream, and 1000 that the API made.")
	}
	if wrong, ok := errors.AsType[*PushError](err); ok {
		return newProblem(http.StatusUnprocessableEntity, "bad_push", "%s", sentence(wrong.Detail))
	}
	return err
}
