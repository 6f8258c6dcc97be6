package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/internal/session"
)

// Recorders are what records streams.
type Recorders interface {
	// List returns the recorders of a stream, those that do not run too; of all streams, for an empty path, those that run. It
	// fails with ErrNoStream.
	List(stream string) ([]Recorder, error)
	// Start starts one, and Stop stops it and waits for its file to be whole. If there is nothing to do they return how it is. They
	// fail with ErrNoStream or ErrNoRecorder.
	Start(ctx context.Context, stream, name string) (Recorder, error)
	Stop(ctx context.Context, stream, name string) (Recorder, error)
	// Cut ends the file of one that runs at the next key frame. It fails with ErrNoStream, ErrNoRecorder or ErrRecorderOff.
	Cut(ctx context.Context, stream, name string) (Recorder, error)
}

// Errors of Recorders.
var (
	ErrNoStream   = errors.New("admin: there is no such stream")
	ErrNoRecorder = errors.New("admin: the configuration has no such recording for the stream")
	// ErrRecorderOff says that a recorder does not run.
	ErrRecorderOff = errors.New("admin: the recorder does not run")
)

// Recorder is one entry of streams[].record for one stream.
type Recorder struct {
	Stream   string     `json:"stream" example:"live/cam"`
	Name     string     `json:"name" doc:"Of the entry of streams[].record." example:"main"`
	State    string     `json:"state" doc:"off, waiting for a key frame, recording, or failing: no file can be written, which is tried every 10 seconds." enum:"off,waiting,recording,failing"`
	Origin   string     `json:"origin,omitempty" doc:"What started it: config, hook or api." example:"config"`
	Format   string     `json:"format" example:"mp4"`
	ID       string     `json:"id,omitempty" doc:"Of the file that is written, or of the last one."`
	Dir      string     `json:"dir" doc:"Directory of the files."`
	Next     string     `json:"next,omitempty" doc:"In the answer to a cut: the id of the file that begins at the next key frame."`
	File     string     `json:"file,omitempty" doc:"The file's path below it; while it is written .part is added."`
	Start    *time.Time `json:"start,omitempty" doc:"When the file's first frame was sent."`
	Duration float64    `json:"duration" doc:"Seconds of media in the file."`
	Bytes    int64      `json:"bytes" doc:"Size of the file."`
	Dropped  int64      `json:"dropped" doc:"Frames that are in no file, because the disk was too slow or failed."`
	Error    string     `json:"error,omitempty" doc:"Why no file can be written."`
}

// recordersQuery asks for recorders.
type recordersQuery struct {
	Stream string `query:"stream" maxLength:"1024" doc:"Those of this stream, also those that do not run; without it, all that run." example:"live/cam"`
}

// recordersAnswer is a list of recorders.
type recordersAnswer struct {
	Body struct {
		Recorders []Recorder `json:"recorders" nullable:"false"`
	} `nameHint:"Recorders"`
}

// recorderName names a recorder.
type recorderName struct {
	Name   string `path:"name" maxLength:"64" doc:"Of the entry of streams[].record." example:"main"`
	Stream string `query:"stream" required:"true" maxLength:"1024" doc:"The stream's path." example:"live/cam"`
}

// recorderAnswer is one recorder.
type recorderAnswer struct{ Body Recorder }

func (s *Server) routeRecorders(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listRecorders", Method: http.MethodGet, Path: "/recorders", Tags: []string{"recordings"},
		Summary: "List what is recorded now", Description: "In the order of streams and names.",
	}, func(_ context.Context, q *recordersQuery) (*recordersAnswer, error) {
		list, err := s.conf.Recorders.List(q.Stream)
		if err != nil {
			return nil, recorderProblem(err, q.Stream, "")
		}
		a := &recordersAnswer{}
		a.Body.Recorders = append([]Recorder{}, list...)
		return a, nil
	})
	register(api, huma.Operation{
		OperationID: "startRecorder", Method: http.MethodPost, Path: "/recorders/{name}/start", Tags: []string{"recordings"},
		Summary: "Start recording a stream", Description: "The recording is an entry of `streams[].record`. It begins at the newest key frame that the server still has. " +
			"If it runs already nothing changes: either way the answer has the id of its file.",
	}, s.changeRecorder("recording started", func(ctx context.Context, q *recorderName) (Recorder, error) {
		return s.conf.Recorders.Start(ctx, q.Stream, q.Name)
	}))
	register(api, huma.Operation{
		OperationID: "stopRecorder", Method: http.MethodPost, Path: "/recorders/{name}/stop", Tags: []string{"recordings"},
		Summary: "Stop recording a stream", Description: "It is answered once the file is whole. The recording stays off until it is started again, or until the stream has ended. " +
			"If it does not run nothing changes: either way the answer has the id of its file.",
	}, s.changeRecorder("recording stopped", func(ctx context.Context, q *recorderName) (Recorder, error) {
		return s.conf.Recorders.Stop(ctx, q.Stream, q.Name)
	}))
	register(api, huma.Operation{
		OperationID: "cutRecorder", Method: http.MethodPost, Path: "/recorders/{name}/cut", Tags: []string{"recordings"},
		Summary: "End the present file of a recording", Description: "The next file begins at the next key frame, where this one ends, and no frame is lost: the answer has both ids. " +
			"Until then the same request changes nothing. One that waits for its first key frame has no file to end, and is answered as it is.",
	}, s.changeRecorder("recording cut", func(ctx context.Context, q *recorderName) (Recorder, error) {
		return s.conf.Recorders.Cut(ctx, q.Stream, q.Name)
	}))
}

func (s *Server) changeRecorder(what string, change func(context.Context, *recorderName) (Recorder, error)) func(context.Context, *recorderName) (*recorderAnswer, error) {
	return func(ctx context.Context, q *recorderName) (*recorderAnswer, error) {
		r, err := change(ctx, q)
		if err != nil {
			return nil, recorderProblem(err, q.Stream, q.Name)
		}
		s.changed(ctx, what, slog.String("stream", q.Stream), slog.String("recording", q.Name), slog.String("id", r.ID))
		return &recorderAnswer{r}, nil
	}
}

func recorderProblem(err error, stream, name string) error {
	switch {
	case errors.Is(err, ErrNoStream):
		return notFound("stream", stream)
	case errors.Is(err, ErrNoRecorder):
		return notFound("recording", name)
	case errors.Is(err, ErrRecorderOff):
		return newProblem(http.StatusConflict, "not_recording", "The recording %q of this stream does not run: start it first.", session.Printable(name, maxEcho))
	}
	return err
}
