package admin

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"weir/internal/event"
	"weir/internal/strictjson"
)

const (
	apiPrefix    = "/api/v1"
	documentPath = apiPrefix + "/openapi.json"
	docsPath     = "/api/docs"
)

// apiText is the head of the API's description.
const apiText = `What runs on the server, and what can be changed while it runs.

Numbers are numbers: durations in seconds, rates in bits per second, sizes in bytes; times are RFC 3339.
A list comes in pages: ` + "`next`" + ` of an answer is the ` + "`cursor`" + ` of the next request, and is absent in the last one.
The path of a stream may be written with its slashes or with ` + "`%2F`" + ` for them: ` + "`/streams/live/cam`" + ` is ` + "`/streams/live%2Fcam`" + `.
Fields may be added to answers; those that there are keep their meaning. Errors are problem details (RFC 9457) with a stable ` + "`code`" + `.
Send ` + "`Authorization: Bearer TOKEN`" + ` if ` + "`admin.token`" + ` is set.`

// routeAPI adds the API, its description and the page that shows it.
func (s *Server) routeAPI(mux *http.ServeMux) {
	api := s.newAPI(mux)
	s.routeStreams(api)
	s.routeSessions(api)
	s.routeVersion(api)
	if s.conf.Configuration != nil {
		s.routeConfiguration(api)
	}
	if s.conf.Hooks != nil {
		s.routeHooks(api)
	}
	if s.conf.Recorders != nil {
		s.routeRecorders(api)
	}
	if s.conf.Keys != nil {
		s.routeKeys(api)
	}
	if s.conf.Pulls != nil {
		s.routePulls(api)
	}
	if s.conf.Pushes != nil {
		s.routePushes(api)
	}
	if s.conf.Events != nil {
		s.routeEvents(api)
	}
	if s.conf.Recordings != nil {
		s.routeRecordings(api)
	}
	document := describe(api)
	mux.HandleFunc("GET "+documentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(document)
	})
	routeDocs(mux)
	mux.HandleFunc("/api/", missing(mux))
}

// newAPI returns an API without operations.
func (s *Server) newAPI(mux *http.ServeMux) huma.API {
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Weir", Version: "1", Description: apiText},
			Servers: []*huma.Server{{URL: apiPrefix}},
			Components: &huma.Components{
				Schemas:         huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "admin.token of the configuration; not needed where none is set."}},
			},
			Security: []map[string][]string{{"token": {}}, {}},
		},
		Formats:       map[string]huma.Format{"application/json": strictFormat, "json": strictFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{s.plain},
	}
	c.AllowAdditionalPropertiesByDefault = true // answers grow
	api := huma.NewAPI(c, adapter{humago.NewAdapter(mux, apiPrefix)})
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		ctx.SetHeader("Cache-Control", "no-store")
		if p := unknownParameter(ctx.Operation(), ctx.URL()); p != nil {
			_, w := humago.Unwrap(ctx)
			writeProblem(w, p)
			return
		}
		next(ctx)
	})
	return api
}

// unknownParameter refuses a query with a parameter that an operation does not have: a filter that is misspelt would
// answer with everything.
func unknownParameter(op *huma.Operation, u url.URL) *Problem {
	var names []string
	for _, p := range op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if !slices.Contains(names, name) {
			there := "it takes none"
			if len(names) > 0 {
				there = "it takes " + strings.Join(names, ", ")
			}
			return newProblem(http.StatusUnprocessableEntity, "invalid", "%s has no parameter %.64q; %s.", op.Path, strings.ToValidUTF8(name, "?"), there)
		}
	}
	return nil
}

// maxNesting bounds the nesting of JSON that requests have.
const maxNesting = 64

// strictFormat is JSON, of which requests must have no key twice: of two, the one that we check might not be the one that
// another reader of the same request goes by.
var strictFormat = huma.Format{
	Marshal: huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error {
		if err := strictjson.Check(data, maxNesting); err != nil {
			return err
		}
		return huma.DefaultJSONFormat.Unmarshal(data, v)
	},
}

// schemaName is the name of a type in the description. Events describe streams and sessions by types of
// their own, which have the same names as ours.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.PkgPath() == reflect.TypeFor[event.Event]().PkgPath() && name != "Event" {
		return "Event" + name
	}
	return name
}

// adapter makes the parameter path of an operation take all that is left of a request's path: the
// paths of streams have slashes.
type adapter struct{ huma.Adapter }

// Handle implements huma.Adapter.
func (a adapter) Handle(op *huma.Operation, h func(huma.Context)) {
	routed := *op
	routed.Path = strings.Replace(op.Path, "{path}", "{path...}", 1)
	a.Adapter.Handle(&routed, h)
}

// register adds an operation whose errors are problems.
func register[I, O any](api huma.API, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	if op.Responses == nil {
		op.Responses = map[string]*huma.Response{}
	}
	op.Responses["default"] = &huma.Response{
		Description: "What went wrong.",
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem"),
		}},
	}
	huma.Register(api, op, h)
}

// describe returns the OpenAPI document of an API that is complete.
func describe(api huma.API) []byte {
	schemas := api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // huma's own, which plain replaces
	delete(schemas, "ErrorDetail")
	b, err := json.Marshal(api.OpenAPI())
	if err != nil {
		panic(err) // it is made of this package's types alone
	}
	return b
}

// methods are those that the API uses.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}

// missing answers what no route takes: with the methods that there are, if the path is right.
func missing(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, own := mux.Handler(r)
		var allowed []string
		for _, m := range methods {
			other := *r
			other.Method = m
			if _, pattern := mux.Handler(&other); pattern != own && pattern != "" {
				allowed = append(allowed, m)
			}
		}
		path := strings.ToValidUTF8(r.URL.Path[:min(len(r.URL.Path), maxEcho)], "?")
		if len(allowed) == 0 {
			writeProblem(w, newProblem(http.StatusNotFound, "not_found", "There is no %s. %s lists what there is.", path, documentPath))
			return
		}
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "%s answers to %s.", path, strings.Join(allowed, ", ")))
	}
}
