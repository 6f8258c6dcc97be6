package admin

import (
	"encoding/json"
	"net/http"
	"strings"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// Dashboards and exporters that were written for other servers ask in those servers' forms, and are
// answered in them, read-only. They get nothing that the API does not tell, behind the same guard.
// What Weir does not measure is left out or, where noted, worked out from what it does.
const (
	compatSRS   = "/compat/srs/api/v1"
	compatNginx = "/compat/nginx/stat"
)

// routeCompat adds the forms of other servers.
func (s *Server) routeCompat(mux *http.ServeMux) {
	mux.HandleFunc("GET "+compatSRS+"/streams", s.srsStreams)
	mux.HandleFunc("GET "+compatSRS+"/streams/{id}", s.srsStream)
	mux.HandleFunc("GET "+compatSRS+"/clients", s.srsClients)
	mux.HandleFunc("GET "+compatSRS+"/clients/{id}", s.srsClient)
	mux.HandleFunc("GET "+compatSRS+"/summaries", s.srsSummaries)
	mux.HandleFunc("GET "+compatNginx, s.nginxStat)
	if s.conf.Recordings != nil {
		mux.HandleFunc("GET "+compatMediaMTX+"/list", s.mtxList)
		mux.HandleFunc("GET "+compatMediaMTX+"/get", s.mtxGet)
	}
	mux.HandleFunc("/compat/", missing(mux))
}

// seen is a stream with its sessions, as other servers' forms tell of it.
type seen struct {
	*stream.Stream
	Stats     stream.Stats
	App, Name string
	Sessions  []*session.Session // publishers and players, the oldest first
	Players   int
	Sent      uint64 // bytes that the sessions there are have been sent
	// Rate is what all players together are sent, in bits per second: what comes in, once for
	// each. It is worked out, not measured.
	Rate  int64
	Video *stream.TrackHeader // the first one; nil if there is none
	Audio *stream.TrackHeader
}

// look returns the streams in the order of their paths.
func (s *Server) look() []*seen {
	byPath := map[string][]*session.Session{}
	for _, x := range s.conf.Sessions.List() {
		if r := x.Role(); r == session.Publish || r == session.Play {
			byPath[x.Stream()] = append(byPath[x.Stream()], x)
		}
	}
	var all []*seen
	for _, st := range s.conf.Hub.List() {
		v := &seen{Stream: st, Stats: st.Stats(), Sessions: byPath[st.Path()]}
		v.App, v.Name, _ = strings.Cut(st.Path(), "/")
		for _, x := range v.Sessions {
			if x.Role() == session.Play {
				v.Players++
				v.Sent += x.BytesOut.Load()
			}
		}
		v.Rate = v.Stats.Bitrate * int64(v.Players)
		h := st.Headers()
		for i := range h.Tracks {
			switch t := &h.Tracks[i]; {
			case t.Kind == av.Video && v.Video == nil:
				v.Video = t
			case t.Kind == av.Audio && v.Audio == nil:
				v.Audio = t
			}
		}
		all = append(all, v)
	}
	return all
}

// writeJSON answers with v.
func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}
