package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"weir/internal/session"
)

// Recordings is what was recorded.
type Recordings interface {
	// List returns a page of the recordings of a stream, or of all. It fails with ErrIndexing or a *RecordingError.
	List(ctx context.Context, q RecordingQuery) (RecordingList, error)
	// Delete removes a file. It fails with ErrNoRecording, ErrRecording or ErrIndexing.
	Delete(ctx context.Context, id string) error
	// ServeFile answers with a file, and ServeFilm with a range of a stream's recordings as one MP4 file: from, to or
	// duration, gaps and recording are in the request's query. After an error, which is one of those
	// above, nothing has been answered.
	ServeFile(w http.ResponseWriter, r *http.Request, id string) error
	ServeFilm(w http.ResponseWriter, r *http.Request, path string) error
}

// Errors of Recordings.
var (
	// ErrNoRecording is the error for what was not recorded or is gone.
	ErrNoRecording = errors.New("admin: there is no such recording")
	// ErrRecording is the error for a file that is being written.
	ErrRecording = errors.New("admin: the file is being recorded")
	// ErrIndexing is the error while nobody knows what was recorded.
	ErrIndexing = errors.New("admin: the index of recordings is being made")
)

// RecordingError says what is wrong with what was asked of recordings.
type RecordingError struct {
	Status int
	Code   string // a word for programs: "bad_range", "codec_change"
	Detail string // a sentence for people
}

// Error returns the sentence.
func (e *RecordingError) Error() string { return e.Detail }

// RecordingQuery is what is to be listed.
type RecordingQuery struct {
	Path     string
	From, To time.Time // zero: no bound
	Cursor   string
	Limit    int
}

// RecordingList is a page of what was recorded.
type RecordingList struct {
	Spans []RecordingSpan `json:"spans" nullable:"false" doc:"Time that was recorded without a gap, in order of stream, recording and time. One may go on in the next page, where it begins at the time at which it ends here."`
	Gaps  []RecordingGap  `json:"gaps" nullable:"false" doc:"What is missing between the spans of one recording."`
	Next  string          `json:"next,omitempty" doc:"The cursor of the next page; absent in the last one."`
}

// RecordingSpan is time that was recorded without a gap, and can be played in one piece.
type RecordingSpan struct {
	Path      string          `json:"path" doc:"The stream's." example:"live/cam"`
	Recording string          `json:"recording" doc:"The name of the recording in the configuration." example:"main"`
	From      time.Time       `json:"from"`
	To        time.Time       `json:"to"`
	Duration  float64         `json:"duration" doc:"In seconds."`
	Codecs    string          `json:"codecs" doc:"As RFC 6381 names them." example:"avc1.64001f,mp4a.40.2"`
	Coding    string          `json:"coding,omitempty" doc:"Tells how the tracks are coded beyond that: only what has the same can be played in one piece." example:"9f86d081884c7d65"`
	Files     []RecordingFile `json:"files" nullable:"false"`
}

// RecordingFile is one file of a recording.
type RecordingFile struct {
	ID       string    `json:"id" example:"01KB0Z2V5QJX3W6T1Y8D9E4R7M"`
	Name     string    `json:"name" doc:"Its path below the directory of the recording." example:"live/cam/20270131T180000Z.mp4"`
	Format   string    `json:"format" enum:"mp4,flv,ts"`
	State    string    `json:"state" enum:"recording,done,damaged,remote" doc:"recording: it is being written. damaged: it cannot be read. remote: it is only in the storage that it was uploaded to."`
	Start    time.Time `json:"start" doc:"When its first frame was sent."`
	Duration float64   `json:"duration" doc:"In seconds."`
	Bytes    int64     `json:"bytes"`
	Uploaded bool      `json:"uploaded" doc:"Whether it is in the storage that it goes to."`
}

// RecordingGap is time of which a recording has nothing.
type RecordingGap struct {
	Path      string    `json:"path"`
	Recording string    `json:"recording"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Duration  float64   `json:"duration" doc:"In seconds."`
	Reason    string    `json:"reason" enum:"offline,missing,damaged,slow,failed" doc:"offline: nothing was recorded. missing: files are gone. damaged: a file cannot be read. slow: the disk was too slow, or the server too busy. failed: no file could be written."`
}

// recordingsQuery asks for a page of recordings.
type recordingsQuery struct {
	Path   string    `query:"path" maxLength:"255" doc:"The stream's; without it recordings of all streams."`
	From   time.Time `query:"from" doc:"Only what was recorded after this time."`
	To     time.Time `query:"to" doc:"Only what was recorded before this time."`
	Cursor string    `query:"cursor" maxLength:"1024" doc:"next of the page before."`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"How many files the page may have."`
}

// recordingsAnswer is a page of recordings.
type recordingsAnswer struct{ Body RecordingList }

// recordingID names a file.
type recordingID struct {
	ID string `path:"id" maxLength:"26" doc:"The file's id."`
}

// clipQuery asks for a range of a stream's recordings.
type clipQuery struct {
	Path      string `query:"path" required:"true" maxLength:"255" doc:"The stream's."`
	From      string `query:"from" required:"true" maxLength:"64" doc:"When it is to begin: a time, or seconds before now such as -300."`
	To        string `query:"to" maxLength:"64" doc:"When it is to end; now if absent."`
	Duration  string `query:"duration" maxLength:"32" doc:"In the place of to: seconds."`
	Gaps      string `query:"gaps" enum:"skip,hold,error" default:"skip" doc:"What becomes of time that is missing: it is left out, the last picture stays, or the request fails."`
	Recording string `query:"recording" maxLength:"64" doc:"The name of the recording; that which has most of the range if absent."`
}

// fileTime is how long a client of the API may take to take a file.
const fileTime = 12 * time.Hour

func (s *Server) routeRecordings(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listRecordings", Method: http.MethodGet, Path: "/recordings", Tags: []string{"recordings"},
		Summary: "List what was recorded", Description: "By spans of time, with the files that have them, and with what is missing between them.",
	}, func(ctx context.Context, q *recordingsQuery) (*recordingsAnswer, error) {
		list, err := s.conf.Recordings.List(ctx, RecordingQuery{q.Path, q.From, q.To, q.Cursor, q.Limit})
		if err != nil {
			return nil, recordingProblem(err, q.Path)
		}
		return &recordingsAnswer{list}, nil
	})
	register(api, huma.Operation{
		OperationID: "deleteRecording", Method: http.MethodDelete, Path: "/recordings/{id}", Tags: []string{"recordings"},
		Summary: "Delete a file", Description: "Those who are being sent it get it to its end.",
	}, func(ctx context.Context, q *recordingID) (*struct{}, error) {
		if err := s.conf.Recordings.Delete(ctx, q.ID); err != nil {
			return nil, recordingProblem(err, q.ID)
		}
		s.changed(ctx, "recording deleted", slog.String("file", q.ID))
		return nil, nil //nolint:nilnil // nothing is answered
	})
	register(api, huma.Operation{
		OperationID: "getRecording", Method: http.MethodGet, Path: "/recordings/{id}/content", Tags: []string{"recordings"},
		Summary: "Download a file", Description: "Whole or in ranges.", Responses: fileResponse("The file."),
	}, func(_ context.Context, q *recordingID) (*huma.StreamResponse, error) {
		return serve(func(w http.ResponseWriter, r *http.Request) error { return s.conf.Recordings.ServeFile(w, r, q.ID) }, q.ID), nil
	})
	register(api, huma.Operation{
		OperationID: "getClip", Method: http.MethodGet, Path: "/recordings/clip", Tags: []string{"recordings"},
		Summary: "Download a range of time", Description: "As one plain MP4 file of known size, whole or in ranges. Nothing is encoded; it begins and ends exactly where it is told to by an edit list.",
		Responses: fileResponse("The MP4 file."),
	}, func(_ context.Context, q *clipQuery) (*huma.StreamResponse, error) {
		return serve(func(w http.ResponseWriter, r *http.Request) error { return s.conf.Recordings.ServeFilm(w, r, q.Path) }, q.Path), nil
	})
}

// fileResponse describes an answer that is a file.
func fileResponse(what string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: what, Content: map[string]*huma.MediaType{"video/mp4": {Schema: &huma.Schema{Type: "string", Format: "binary"}}},
	}}
}

// serve returns an answer that f gives, or the problem that f fails with. name is what was asked for.
func serve(f func(w http.ResponseWriter, r *http.Request) error, name string) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTime))
		if err := f(w, r); err != nil {
			writeRecordingProblem(w, err, name)
		}
	}}
}

// writeRecordingProblem answers with an error of Recordings.
func writeRecordingProblem(w http.ResponseWriter, err error, name string) {
	p, ok := errors.AsType[*Problem](recordingProblem(err, name))
	if !ok {
		p = newProblem(http.StatusInternalServerError, "internal", "The server failed; its log says why.")
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(session.RetrySeconds))
	}
	writeProblem(w, p)
}

// recordingProblem is the problem of an error of Recordings; err itself if it is none of them.
func recordingProblem(err error, name string) error {
	if e, ok := errors.AsType[*RecordingError](err); ok {
		return newProblem(e.Status, e.Code, "%s", sentence(session.Printable(e.Detail, 16*maxEcho)))
	}
	switch {
	case errors.Is(err, ErrNoRecording):
		return notFound("recording", name)
	case errors.Is(err, ErrRecording):
		return newProblem(http.StatusConflict, "recording", "The file is being recorded: POST /api/v1/recorders/NAME/cut ends it. A range of it can be had now.")
	case errors.Is(err, ErrIndexing):
		return huma.ErrorWithHeaders(newProblem(http.StatusServiceUnavailable, "indexing", "The index of recordings is being made anew: ask again in a few seconds."),
			http.Header{"Retry-After": {strconv.Itoa(session.RetrySeconds)}})
	}
	return err
}
