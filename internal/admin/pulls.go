package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Pulls are the streams that are fetched from other servers.
type Pulls interface {
	// List returns all of them, ordered by the paths of their streams.
	List() []Pull
	// Add has a stream fetched. It fails with a *PullError if that cannot be.
	Add(ctx context.Context, n NewPull) (Pull, error)
	// Remove undoes Add. It fails with ErrNoPull, or with a *PullError for one that Add has not made.
	Remove(ctx context.Context, stream string) error
	// Retry tries the sources at once. It fails with ErrNoPull.
	Retry(ctx context.Context, stream string) error
}

// ErrNoPull is the error for a stream that is not fetched.
var ErrNoPull = errors.New("admin: the stream is not fetched")

// PullError says why a stream cannot be fetched, or not be given up.
type PullError struct {
	Code   string // a word for programs: "bad_source", "pull_exists"
	Detail string // a sentence for people
}

// Error returns the sentence.
func (e *PullError) Error() string { return e.Detail }

// Pull is a stream that is fetched from another server.
type Pull struct {
	Stream    string     `json:"stream" example:"live/cam"`
	By        string     `json:"by" enum:"config,edge,api,hook" doc:"What it was made by."`
	Sources   []string   `json:"sources" nullable:"false" doc:"From where, in the order in which they are tried, without what may be secret."`
	OnDemand  bool       `json:"on_demand" doc:"It is fetched only while somebody plays it."`
	Status    string     `json:"status" enum:"idle,connecting,live,retrying,failed,absent,standby" doc:"idle while nobody plays it; retrying while all sources have failed and are tried again and again, and failed where the next player causes the next try, or absent if all of them say that nobody publishes the stream; standby while somebody publishes the stream here."`
	Since     time.Time  `json:"since" doc:"Since when it has this status, and this source while it is live."`
	Source    string     `json:"source,omitempty" doc:"The source that is live, or was tried last."`
	Backup    bool       `json:"backup" doc:"The source that is live is not the first one."`
	Session   string     `json:"session,omitempty" doc:"The id of its publisher's session, while it is live."`
	Tries     int        `json:"tries" doc:"Tries that failed since a source was live last."`
	NextTry   *time.Time `json:"next_try,omitempty" doc:"When the sources are tried again, while it is retrying."`
	Reason    string     `json:"reason,omitempty" doc:"Why the last try failed, in a word; absent after a success." example:"not_found"`
	LastError string     `json:"last_error,omitempty" doc:"Why the last try failed, in a sentence."`
	// Failures are bounded by the number of sources.
	Failures []PullFailure `json:"failures,omitempty" doc:"Why each source failed when it was tried last, of those that have failed since they were live."`
}

// PullFailure is why one source of a stream has failed.
type PullFailure struct {
	Source string `json:"source" doc:"The source, without what may be secret."`
	Reason string `json:"reason" example:"unreachable" doc:"Why, in a word."`
	Text   string `json:"text" doc:"Why, in a sentence."`
}

// NewPull is a stream to fetch.
type NewPull struct {
	_        struct{} `additionalProperties:"false"`
	Stream   string   `json:"stream" maxLength:"1024" doc:"The path of the stream here, app/name." example:"live/cam"`
	Sources  []string `json:"sources" minItems:"1" maxItems:"16" nullable:"false" doc:"From where, in the order in which they are tried: URLs of rtmp, rtmps, http, https, ws or wss. They may not lead to private addresses unless streams[].pull.allow_private is set." example:"[\"rtmp://origin.example/live/cam\"]"`
	OnDemand bool     `json:"on_demand,omitempty" doc:"Fetch it only while somebody plays it."`
	Linger   float64  `json:"linger,omitempty" minimum:"1" maximum:"86400" doc:"Seconds for which it is fetched on after its last player has left; absent for 30."`
	Silence  float64  `json:"silence,omitempty" minimum:"0.5" maximum:"300" doc:"Seconds without media after which a source has failed; absent for 5."`
	Prefer   string   `json:"prefer,omitempty" enum:"sticky,first" doc:"sticky stays with a source while it is good; first goes back to the first one once that has been good for 30 s."`
	Insecure bool     `json:"insecure,omitempty" doc:"Accept every certificate."`
	Pin      string   `json:"pin,omitempty" maxLength:"128" doc:"SHA-256 of the server's certificate in hex: that one alone is accepted, also if nobody vouches for it."`
}

// pullsQuery asks for pulls.
type pullsQuery struct {
	Page
	Stream string `query:"stream" maxLength:"255" doc:"Only that of this stream." example:"live/cam"`
	Status string `query:"status" enum:"idle,connecting,live,retrying,failed,absent,standby" doc:"Only those with this status."`
}

// pullsAnswer is a list of pulls.
type pullsAnswer struct {
	Body struct {
		Listed
		Pulls []Pull `json:"pulls" nullable:"false"`
	} `nameHint:"Pulls"`
}

// newPullQuery has a stream fetched.
type newPullQuery struct{ Body NewPull }

// pullAnswer is one pull.
type pullAnswer struct{ Body Pull }

// pullPath names a stream that is fetched.
type pullPath struct {
	Path string `path:"path" maxLength:"1024" doc:"The path of the stream."`
}

// retryQuery names a stream whose sources are to be tried.
type retryQuery struct {
	Body struct {
		_      struct{} `additionalProperties:"false"`
		Stream string   `json:"stream" maxLength:"255" doc:"The path of the stream." example:"live/cam"`
	} `nameHint:"PullRetry"`
}

func (s *Server) routePulls(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listPulls", Method: http.MethodGet, Path: "/pulls", Tags: []string{"pulls"},
		Summary: "List the streams that are fetched from other servers", Description: "Those that are, and for ten minutes those that were: ordered by the paths of their streams.",
	}, s.listPulls)
	register(api, huma.Operation{
		OperationID: "createPull", Method: http.MethodPost, Path: "/pulls", Tags: []string{"pulls"}, DefaultStatus: http.StatusCreated, MaxBodyBytes: 128 << 10,
		Summary: "Fetch a stream from another server", Description: "Until it is deleted, with a folder of state across restarts, too; instead of what the configuration says of the stream.",
	}, func(ctx context.Context, q *newPullQuery) (*pullAnswer, error) {
		p, err := s.conf.Pulls.Add(ctx, q.Body)
		if err != nil {
			return nil, pullProblem(err, q.Body.Stream)
		}
		s.changed(ctx, "pull made", slog.String("stream", p.Stream), slog.Any("sources", p.Sources))
		return &pullAnswer{p}, nil
	})
	register(api, huma.Operation{
		OperationID: "retryPull", Method: http.MethodPost, Path: "/pulls/retry", Tags: []string{"pulls"}, DefaultStatus: http.StatusAccepted,
		Summary: "Try the sources of a stream at once", Description: "Without waiting for the next try; one that is live is opened anew.",
	}, func(ctx context.Context, q *retryQuery) (*struct{}, error) {
		if err := s.conf.Pulls.Retry(ctx, q.Body.Stream); err != nil {
			return nil, pullProblem(err, q.Body.Stream)
		}
		s.changed(ctx, "pull tried again", slog.String("stream", q.Body.Stream))
		return nil, nil //nolint:nilnil // nothing is answered
	})
	register(api, huma.Operation{
		OperationID: "deletePull", Method: http.MethodDelete, Path: "/pulls/{path}", Tags: []string{"pulls"},
		Summary: "Give up a stream that the API had fetched", Description: "It ends, unless the configuration has it fetched, too.",
	}, func(ctx context.Context, q *pullPath) (*struct{}, error) {
		if err := s.conf.Pulls.Remove(ctx, q.Path); err != nil {
			return nil, pullProblem(err, q.Path)
		}
		s.changed(ctx, "pull deleted", slog.String("stream", q.Path))
		return nil, nil //nolint:nilnil // nothing is answered
	})
}

func (s *Server) listPulls(_ context.Context, q *pullsQuery) (a *pullsAnswer, err error) {
	var fit []Pull
	for _, p := range s.conf.Pulls.List() {
		if (q.Stream == "" || p.Stream == q.Stream) && (q.Status == "" || p.Status == q.Status) {
			fit = append(fit, p)
		}
	}
	a = &pullsAnswer{}
	a.Body.Pulls, a.Body.Listed, err = list(&q.Page, fit, func(p Pull) string { return p.Stream }, func(p Pull) Pull { return p })
	return a, err
}

// pullProblem is the problem for an error of Pulls.
func pullProblem(err error, stream string) error {
	if errors.Is(err, ErrNoPull) {
		return notFound("pull", stream)
	}
	e, ok := errors.AsType[*PullError](err)
	if !ok {
		return err
	}
	status := http.StatusConflict
	if e.Code == "bad_path" || e.Code == "bad_source" {
		status = http.StatusUnprocessableEntity
	}
	return newProblem(status, e.Code, "%s", e.Detail)
}
