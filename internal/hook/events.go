package hook

import (
	"cmp"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"

	"weir/internal/event"
	"weir/internal/session"
)

// sessionOf returns an event's session, an empty one if it has none.
func sessionOf(e *event.Event) *event.Session {
	if e.Session == nil {
		return &event.Session{}
	}
	return e.Session
}

// askedOf returns the path that a session asked for, as far as that was kept; else that of its stream.
func askedOf(e *event.Event) string {
	if s := shownOf(e); s.Path != "" {
		return s.Path
	}
	return pathOf(e)
}

// pathOf returns the path of an event's stream; empty if it is about none.
func pathOf(e *event.Event) string {
	if e.Stream == nil {
		return ""
	}
	return e.Stream.Path
}

// remoteOf returns the address of an event's session, and its port; those of peers in the program are empty and 0.
func remoteOf(e *event.Event) (addr string, port uint16) {
	a, err := netip.ParseAddrPort(sessionOf(e).Remote)
	if err != nil {
		return "", 0
	}
	return address(a), a.Port()
}

// shownOf returns what an event's session showed when it came, as far as that was kept.
func shownOf(e *event.Event) session.Shown {
	if s := sessionOf(e); s.Shown != nil {
		return *s.Shown
	}
	return session.Shown{}
}

// eventsNginx writes the end of a session as nginx-rtmp's on_publish_done or on_play_done, and
// then on_done, that of a connection as on_disconnect, and a recorded file as on_record_done. What the module says at a start
// is the question about it.
func eventsNginx(e *event.Event, _ Server) []*Call {
	s := sessionOf(e)
	addr, _ := remoteOf(e)
	shown := shownOf(e)
	begin := func(app string) *form {
		f := &form{}
		f.session(app, s.UserAgent, shown.TCURL, shown.PageURL, addr, s.ID)
		return f
	}
	var first string
	switch e.Type {
	case event.PublishStop:
		first = "publish_done"
	case event.PlayStop:
		first = "play_done"
	case event.Disconnect:
		app, _ := e.Data["app"].(string)
		f := begin(app)
		f.add("call", "disconnect")
		f.again("app", app)
		f.addQuery(shown.ConnectQuery)
		return []*Call{f.named("disconnect")}
	case event.RecordingDone:
		app, name := appName(askedOf(e))
		f := begin(app)
		f.add("call", "record_done")
		f.add("recorder", textOf(e, "recording"))
		f.add("name", name)
		f.add("path", filepath.Join(textOf(e, "dir"), textOf(e, "file")))
		f.addQuery(shown.Query)
		return []*Call{f.named("record_done")}
	default:
		return nil
	}
	var calls []*Call
	app, name := appName(askedOf(e))
	for _, call := range []string{first, "done"} {
		f := begin(app)
		f.add("call", call)
		f.add("name", name)
		f.addQuery(shown.Query)
		calls = append(calls, f.named(call))
	}
	return calls
}

// eventsSRS writes the end of a session as SRS's on_unpublish or on_stop, that of a connection as on_close, a segment as
// its on_hls and on_hls_notify, and a recorded file as its on_dvr.
func eventsSRS(e *event.Event, s Server) []*Call {
	addr, _ := remoteOf(e)
	var action string
	var segment *srsSegment
	var file *srsFile
	path := askedOf(e)
	switch e.Type {
	case event.PublishStop:
		action = "on_unpublish"
	case event.PlayStop:
		action = "on_stop"
	case event.SegmentDone:
		if textOf(e, "rendition") != mainRendition { // of several sounds SRS has one
			return nil
		}
		action, path = "on_hls", pathOf(e)
		segment, file = segmentSRS(e)
	case event.RecordingDone:
		action, file = "on_dvr", &srsFile{CWD: textOf(e, "dir"), File: "./" + textOf(e, "file")}
	case event.Disconnect:
		app := textOf(e, "app")
		c := srsConnect(s, "on_close", sessionOf(e).ID, addr, app)
		sent, received := uint64(amount(e, "bytes_sent")), uint64(amount(e, "bytes_received"))
		c.SentBytes, c.RecvBytes = &sent, &received
		return []*Call{callSRS(c, "on_close")}
	default:
		return nil
	}
	c := srs(s, action, sessionOf(e).ID, addr, path)
	c.srsSegment, c.srsFile = segment, file
	if shown := shownOf(e); shown.Query != "" || shown.TCURL != "" {
		c.TCURL, c.Param = shown.TCURL, param(shown.Query)
	}
	calls := []*Call{c.call()}
	if segment != nil {
		calls = append(calls, notifySRS(c))
	}
	return calls
}

// notifySRS is on_hls_notify: a GET, in whose address what is in brackets is replaced.
func notifySRS(c *srsCall) *Call {
	var app, name strings.Builder
	escapeArg(&app, c.App)
	escapeArg(&name, c.Stream)
	return &Call{
		Name: callNotify, Method: http.MethodGet, Header: http.Header{"Connection": {"Keep-Alive"}, "User-Agent": {srsAgent}},
		Fill: []string{
			"[server_id]", c.ServerID, "[service_id]", c.ServiceID, "[app]", app.String(), "[stream]", name.String(),
			"[ts_url]", inLine(c.URL), "[param]", inLine(c.Param),
		},
	}
}

// callNotify is the name of the call of SRS whose address has fields.
const callNotify = "on_hls_notify"

// mainRendition is the one that has the picture, if there is one.
const mainRendition = "main"

// segmentSRS is a segment as SRS tells of it.
func segmentSRS(e *event.Event) (*srsSegment, *srsFile) {
	duration := amount(e, "duration")
	f := &srsFile{Duration: &duration}
	if file := textOf(e, "file"); file != "" { // services join the two, whatever way they do it
		f.CWD, f.File = filepath.Dir(file), "./"+filepath.Base(file)
	}
	return &srsSegment{URL: textOf(e, "url"), M3U8URL: textOf(e, "playlist"), SeqNo: uint64(amount(e, "number"))}, f
}

// textOf returns a text of an event's data; empty if it has none.
func textOf(e *event.Event, key string) string {
	s, _ := e.Data[key].(string)
	return s
}

// amount returns a number of an event's data, which is of any type if the event comes from this program, and float64 if it
// was written as JSON meanwhile; 0 if it has none.
func amount(e *event.Event, key string) float64 {
	switch n := e.Data[key].(type) {
	case float64:
		return n
	case uint64:
		return float64(n)
	case int:
		return float64(n)
	}
	return 0
}

// eventsOME writes the end of a session as the closing call of OvenMediaEngine's AdmissionWebhooks.
func eventsOME(e *event.Event, server Server) []*Call {
	if e.Type != event.PublishStop && e.Type != event.PlayStop {
		return nil
	}
	s := sessionOf(e)
	role, _, _ := strings.Cut(e.Type, ".")
	if role != session.Publish.String() {
		role = session.Play.String()
	}
	addr, port := remoteOf(e)
	c := ome(role, s.Protocol, "closing", addr, e.Time)
	c.Client.Port, c.Client.UserAgent = port, s.UserAgent
	shown := shownOf(e)
	c.Request.URL = omeURL(s.Protocol, cmp.Or(shown.Base, shown.TCURL), server.Name, askedOf(e), shown.Query)
	return []*Call{c.call()}
}
