package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"weir/internal/event"
)

const (
	maxClients   = 64               // that are sent events at the same time
	heartbeat    = 15 * time.Second // without an event, so that proxies keep the connection
	eventTime    = 10 * time.Second // a client has to take what is sent at once
	eventsAtOnce = 64
	// reconnect is when a client that has lost its connection asks again.
	reconnect = 2 * time.Second
)

// Snapshot is what a client of the events is sent first.
type Snapshot struct {
	Time          time.Time `json:"time"`
	Streams       []Stream  `json:"streams" nullable:"false" doc:"At most 1000."`
	TotalStreams  int       `json:"total_streams"`
	Sessions      []Session `json:"sessions" nullable:"false" doc:"At most 1000, the oldest."`
	TotalSessions int       `json:"total_sessions"`
}

// eventsQuery asks for events.
type eventsQuery struct {
	Types  string `query:"types" maxLength:"1024" doc:"Only these, separated by commas; one may end in .* for all below it." example:"publish.*,stream.online"`
	LastID string `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that has been received: the ones after it follow, if they are kept."`
}

// eventsAnswer sends events for as long as the client takes them.
type eventsAnswer struct{ Body func(huma.Context) }

const eventsText = `Server-sent events: ` + "`id`" + ` is the event's, ` + "`event`" + ` its type, ` + "`data`" + ` the event as JSON.
First comes a ` + "`snapshot`" + ` of the streams and sessions, unless ` + "`Last-Event-ID`" + ` names an event of the last 2048: then those after it come.
Segments are not among them: they come too often, and hooks are told of them. A comment comes every 15 seconds without an event. ` + "`gap`" + ` says that events were lost because more came at once than are kept.
` + "`closed`" + ` is the last one: its reason is ` + "`slow`" + ` for a client that was more than 2048 events behind, or ` + "`shutdown`" + `.
A client that takes nothing for 10 seconds is disconnected.`

// routeEvents adds the events. At most maxClients are sent them.
func (s *Server) routeEvents(api huma.API) {
	s.journal = newJournal()
	var clients atomic.Int32
	schemas := api.OpenAPI().Components.Schemas
	schemas.Schema(reflect.TypeFor[Snapshot](), true, "Snapshot")
	schemas.Schema(reflect.TypeFor[event.Event](), true, "Event")
	register(api, huma.Operation{
		OperationID: "watchEvents", Method: http.MethodGet, Path: "/events", Tags: []string{"events"},
		Summary: "Watch what happens", Description: eventsText,
		Responses: map[string]*huma.Response{"200": {
			Description: "Events without end. The data of an event is an Event, and that of snapshot a Snapshot.",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(_ context.Context, q *eventsQuery) (*eventsAnswer, error) {
		for _, t := range splitTypes(q.Types) {
			if err := event.CheckPattern(t); err != nil {
				return nil, newProblem(http.StatusUnprocessableEntity, "invalid", "types: %s.", err)
			}
		}
		if clients.Add(1) > maxClients {
			clients.Add(-1)
			return nil, newProblem(http.StatusServiceUnavailable, "too_many_clients", "%d clients watch the events already; end one of them.", maxClients)
		}
		return &eventsAnswer{func(ctx huma.Context) {
			defer clients.Add(-1)
			r, w := humago.Unwrap(ctx)
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Accel-Buffering", "no")
			if r.Method == http.MethodHead {
				return
			}
			c := &client{s: s, w: w, control: http.NewResponseController(w), types: splitTypes(q.Types)}
			c.run(ctx.Context(), q.LastID)
		}}, nil
	})
}

// splitTypes reads a list of types; nil stands for all.
func splitTypes(s string) []string {
	var types []string
	for t := range strings.SplitSeq(s, ",") {
		if t = strings.TrimSpace(t); t != "" {
			types = append(types, t)
		}
	}
	return types
}

// client is sent events.
type client struct {
	s       *Server
	w       http.ResponseWriter
	control *http.ResponseController
	types   []string // nil: all
}

// wants reports whether the client is sent events of a type.
func (c *client) wants(kind string) bool {
	return kind == "gap" || event.Matches(c.types, kind)
}

// run sends events until the client or the server ends.
func (c *client) run(ctx context.Context, last string) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "retry: %d\n\n", reconnect.Milliseconds())
	next, known := c.s.journal.find(last)
	if last == "" || !known {
		var id string
		next, id = c.s.journal.head() // before the snapshot: what happens meanwhile is told after it
		data, err := json.Marshal(c.s.snapshot())
		if err != nil {
			return
		}
		write(&out, entry{id, "snapshot", data})
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if out.Len() > 0 {
			if c.send(&out) != nil {
				return
			}
			beat.Reset(heartbeat)
		}
		list, come, err := c.s.journal.read(next, eventsAtOnce)
		if err != nil {
			write(&out, entry{"", "closed", []byte(`{"reason":"` + err.Error() + `"}`)})
			_ = c.send(&out)
			return
		}
		next += uint64(len(list))
		for _, e := range list {
			if c.wants(e.kind) {
				write(&out, e)
			}
		}
		if len(list) > 0 {
			continue
		}
		select {
		case <-come:
		case <-beat.C:
			out.WriteString(": still here\n\n")
		case <-ctx.Done():
			return
		}
	}
}

// send sends what out holds.
func (c *client) send(out *bytes.Buffer) error {
	if err := c.control.SetWriteDeadline(time.Now().Add(eventTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := out.WriteTo(c.w); err != nil {
		return err
	}
	return c.control.Flush()
}

// write adds an event in the form of the HTML standard, §9.2.6. JSON has no line breaks.
func write(out *bytes.Buffer, e entry) {
	if e.id != "" {
		out.WriteString("id: " + e.id + "\n")
	}
	out.WriteString("event: " + e.kind + "\ndata: ")
	out.Write(e.data)
	out.WriteString("\n\n")
}

// snapshot describes what there is now.
func (s *Server) snapshot() *Snapshot {
	streams, sessions := s.conf.Hub.List(), s.conf.Sessions.List()
	return &Snapshot{
		Time:    time.Now(),
		Streams: first(streams, s.describeStream), TotalStreams: len(streams),
		Sessions: first(sessions, describeSession), TotalSessions: len(sessions),
	}
}

// first describes the first maxListed entries.
func first[E, T any](all []E, describe func(E) T) []T {
	part := make([]T, 0, min(len(all), maxListed))
	for _, e := range all[:min(len(all), maxListed)] {
		part = append(part, describe(e))
	}
	return part
}
