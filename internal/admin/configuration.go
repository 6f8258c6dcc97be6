package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// maxPatch bounds a change of the configuration, in bytes.
const maxPatch = 1 << 20

// Configuration is the configuration in force, and what changes it.
type Configuration interface {
	// Show returns the effective values in the order of their keys, with secrets as ***, and a tag
	// that changes whenever one of them does.
	Show() (values []Value, etag string)
	// Patch merges a JSON document (RFC 7396) into the configuration, keeps it so that it survives a
	// crash, and applies it. An empty ifMatch matches every tag. It fails with ErrConfigChanged,
	// ErrNoState, or a *ConfigError; after any error nothing has changed.
	Patch(ctx context.Context, mergePatch []byte, ifMatch string) (r Report, etag string, err error)
	// Reload reads the configuration's sources again and applies them. It fails with a *ConfigError
	// if they are wrong, and has changed nothing then.
	Reload(ctx context.Context) (Report, error)
}

// Errors of a Configuration.
var (
	// ErrConfigChanged says that the configuration is not the one that ifMatch stands for.
	ErrConfigChanged = errors.New("admin: the configuration has changed")
	// ErrNoState says that there is no folder to keep changes in.
	ErrNoState = errors.New("admin: there is no folder for what is changed through the API")
)

// ConfigError says why a configuration is wrong.
type ConfigError struct {
	Faults []Fault // where is a place such as weir.yml:3:5, or a key
}

// Error returns a line for each fault.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		lines[i] = f.What
		if f.Where != "" {
			lines[i] = f.Where + ": " + f.What
		}
	}
	return strings.Join(lines, "\n")
}

// Value is one key of the configuration.
type Value struct {
	Key    string `json:"key" example:"rtmp.listen"`
	Value  any    `json:"value" doc:"In the units of the configuration file; *** for a secret."`
	Origin string `json:"origin" doc:"default, a file with its line, env NAME, or --set." example:"weir.yml:3"`
}

// Change is a key that has changed.
type Change struct {
	Key  string `json:"key" example:"limits.streams"`
	When string `json:"when" doc:"What the new value waits for: live is in force at once, new sessions holds for those that come, listener once it was opened anew, restart when the server starts again." example:"live"`
}

// Report is what a change of the configuration did.
type Report struct {
	Changed []Change `json:"changed" nullable:"false" doc:"In the order of the keys; empty if nothing differs."`
	Waiting []string `json:"waiting" nullable:"false" doc:"All keys whose values wait for a restart, also from earlier changes." example:"[\"delivery.workers\"]"`
}

// valuesAnswer is the configuration in force.
type valuesAnswer struct {
	ETag string `header:"ETag" doc:"Stands for these values: for If-Match."`
	Body struct {
		Values []Value `json:"values" nullable:"false"`
	} `nameHint:"Configuration"`
}

// reportAnswer is the report of a change.
type reportAnswer struct {
	ETag string `header:"ETag" doc:"Stands for the configuration after the change."`
	Body Report
}

// patchQuery changes the configuration.
type patchQuery struct {
	IfMatch string          `header:"If-Match" maxLength:"512" doc:"The ETag of the configuration that is to be changed; without it the change is made whatever there is."`
	Body    json.RawMessage `contentType:"application/merge-patch+json"`
}

func (s *Server) routeConfiguration(api huma.API) {
	register(api, huma.Operation{
		OperationID: "getConfiguration", Method: http.MethodGet, Path: "/config", Tags: []string{"configuration"},
		Summary: "Show the configuration in force", Description: "Every key with its value and where that came from.",
	}, func(context.Context, *struct{}) (*valuesAnswer, error) {
		values, tag := s.conf.Configuration.Show()
		a := &valuesAnswer{ETag: quoteTag(tag)}
		a.Body.Values = append([]Value{}, values...)
		return a, nil
	})
	object := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "A part of the configuration; null takes a key back to what the file says."}
	register(api, huma.Operation{
		OperationID: "patchConfiguration", Method: http.MethodPatch, Path: "/config", Tags: []string{"configuration"}, MaxBodyBytes: maxPatch,
		Summary:     "Change the configuration",
		Description: "The document is merged into the configuration (RFC 7396), checked as a whole, kept in the folder of the key state, and applied. If anything is wrong nothing changes.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/merge-patch+json": {Schema: object}, "application/json": {Schema: object},
		}},
	}, s.patchConfiguration)
	register(api, huma.Operation{
		OperationID: "reloadConfiguration", Method: http.MethodPost, Path: "/config/reload", Tags: []string{"configuration"},
		Summary: "Read the configuration again", Description: "As SIGHUP does. If the file is wrong nothing changes.",
	}, func(ctx context.Context, _ *struct{}) (*reportAnswer, error) {
		r, err := s.conf.Configuration.Reload(ctx)
		if err != nil {
			return nil, configProblem(err)
		}
		_, tag := s.conf.Configuration.Show()
		return s.reported(ctx, "configuration reloaded", r, tag), nil
	})
}

func (s *Server) patchConfiguration(ctx context.Context, q *patchQuery) (*reportAnswer, error) {
	tag := ""
	if given := strings.TrimSpace(q.IfMatch); given != "" && given != "*" {
		_, tag = s.conf.Configuration.Show()
		if !slices.Contains(splitTags(given), tag) {
			return nil, configProblem(ErrConfigChanged)
		}
	}
	r, tag, err := s.conf.Configuration.Patch(ctx, q.Body, tag)
	if err != nil {
		return nil, configProblem(err)
	}
	return s.reported(ctx, "configuration changed", r, tag), nil
}

// reported logs which keys have changed, and answers with the report.
func (s *Server) reported(ctx context.Context, what string, r Report, tag string) *reportAnswer {
	keys := make([]string, len(r.Changed))
	for i, c := range r.Changed {
		keys[i] = c.Key
	}
	s.changed(ctx, what, slog.Any("keys", keys))
	r.Changed, r.Waiting = append([]Change{}, r.Changed...), append([]string{}, r.Waiting...)
	return &reportAnswer{quoteTag(tag), r}
}

// configProblem is the answer to an error of a Configuration.
func configProblem(err error) error {
	var wrong *ConfigError
	switch {
	case errors.Is(err, ErrConfigChanged):
		return newProblem(http.StatusPreconditionFailed, "configuration_changed", "The configuration has changed since the ETag in If-Match: fetch it again and redo the change.")
	case errors.Is(err, ErrNoState):
		return noState("changes")
	case errors.As(err, &wrong):
		p := newProblem(http.StatusUnprocessableEntity, "configuration_invalid", "The configuration would be wrong, and nothing has changed.")
		p.Errors = wrong.Faults
		return p
	}
	return err
}

// quoteTag writes an entity tag (RFC 9110 §8.8.3).
func quoteTag(tag string) string { return `"` + tag + `"` }

// splitTags reads the entity tags of If-Match.
func splitTags(s string) []string {
	var tags []string
	for t := range strings.SplitSeq(s, ",") {
		tags = append(tags, strings.Trim(strings.TrimSpace(t), `"`))
	}
	return tags
}

// noState answers that there is no folder to keep what in.
func noState(what string) error {
	return newProblem(http.StatusConflict, "no_state", "There is no folder to keep %s in: set the key state to one, and restart the server.", what)
}
