package hook

import (
	"net/netip"
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

// eventsNginx writes the end of a session as nginx-rtmp's on_publish_done or on_play_done, and
// then on_done. What the module says at a start is the question about it.
func eventsNginx(e *event.Event, _ Server) []*Call {
	var first string
	switch e.Type {
	case event.PublishStop:
		first = "publish_done"
	case event.PlayStop:
		first = "play_done"
	default:
		return nil
	}
	var calls []*Call
	for _, call := range []string{first, "done"} {
		s := sessionOf(e)
		app, name := appName(pathOf(e))
		addr, _ := remoteOf(e)
		f := &form{}
		f.session(app, s.UserAgent, "", "", addr, s.ID)
		f.add("call", call)
		f.add("name", name)
		calls = append(calls, f.call())
	}
	return calls
}

// eventsSRS writes the end of a session as SRS's on_unpublish or on_stop.
func eventsSRS(e *event.Event, s Server) []*Call {
	var action string
	switch e.Type {
	case event.PublishStop:
		action = "on_unpublish"
	case event.PlayStop:
		action = "on_stop"
	default:
		return nil
	}
	addr, _ := remoteOf(e)
	return []*Call{srs(s, action, sessionOf(e).ID, addr, pathOf(e)).call()}
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
	c.Request.URL = omeURL(s.Protocol, "", server.Name, pathOf(e), "")
	return []*Call{c.call()}
}
