package admin

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"weir/internal/session"
)

// Problem is an error of the API (RFC 9457).
type Problem struct {
	Status int     `json:"status" doc:"The status of the answer." example:"404"`
	Title  string  `json:"title" doc:"What the status means." example:"Not Found"`
	Code   string  `json:"code" doc:"A word for programs, which stays the same." example:"stream_not_found"`
	Detail string  `json:"detail" doc:"A sentence for people: what happened and what to do."`
	Errors []Fault `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request, one by one."`
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Where string `json:"where,omitempty" doc:"The parameter or the key, or the file and line." example:"query.limit"`
	What  string `json:"what" doc:"What is wrong there."`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (*Problem) ContentType(string) string { return "application/problem+json" }

// newProblem returns a problem with a sentence that is made as by fmt.Sprintf.
func newProblem(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Title: http.StatusText(status), Code: code, Detail: fmt.Sprintf(format, args...)}
}

// notFound is the problem of a thing that is not there: "stream", "session", "hook".
func notFound(thing, name string) *Problem {
	return newProblem(http.StatusNotFound, thing+"_not_found", "There is no %s %q.", thing, session.Printable(name, maxEcho))
}

// maxEcho bounds what an answer or a log line repeats of a request.
const maxEcho = 256

// writeProblem answers with a problem outside the operations of the API.
func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

// requestCodes are the codes of the problems that huma finds.
var requestCodes = map[int]string{
	http.StatusBadRequest: "bad_request", http.StatusRequestTimeout: "timeout", http.StatusNotAcceptable: "not_acceptable",
	http.StatusRequestEntityTooLarge: "too_large", http.StatusUnsupportedMediaType: "unsupported_media_type",
	http.StatusUnprocessableEntity: "invalid",
}

// plain makes problems of huma's own errors. The values that were sent are left out: there may be
// secrets among them. What is behind a failure of ours goes to the log.
func (s *Server) plain(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code, known := requestCodes[e.Status]
	if !known {
		texts := make([]string, 0, len(e.Errors))
		for _, d := range e.Errors {
			texts = append(texts, d.Message)
		}
		s.log.Error("a request to the API failed", slog.String("method", ctx.Method()), slog.String("path", ctx.Operation().Path),
			slog.String("err", session.Printable(e.Detail+": "+strings.Join(texts, "; "), maxEcho)))
		return newProblem(e.Status, "internal", "The server failed; its log says why."), nil
	}
	p := newProblem(e.Status, code, "%s", sentence(e.Detail))
	for _, d := range e.Errors {
		p.Errors = append(p.Errors, Fault{Where: d.Location, What: d.Message})
	}
	return p, nil
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}
