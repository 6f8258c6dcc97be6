// Package live plays formats over HTTP: by a response without end, or over a WebSocket.
package live

import (
	"net/http"
	"net/url"

	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/stream"
)

// Format describes a format that can be played.
type Format struct {
	// Suffix follows the path of the stream in the path of a request.
	Suffix string
	// ContentType is that of the response.
	ContentType string
	// Variant returns the encoding for a request.
	Variant func(c Choice) mux.Variant
	// Check, if not nil, refuses a stream of which nothing can be played in this format. Its text is for the peer.
	Check func(h *stream.Headers, s mux.Selection) error
	// First, if not nil, returns what players are sent before the stream.
	First func(h *stream.Headers, s mux.Selection) []byte
}

// Choice is what the encoding for a request depends on.
type Choice struct {
	mux.Selection            // the tracks that the query asks for
	Query         url.Values // of the request
	Wrapping      Wrapping   // what goes around each message
	Repair        bool       // the stream's setting: see flvbody.Options
}

// selection is the tracks that a query asks for: all of them, or one kind of media only.
func selection(q url.Values) mux.Selection {
	s := mux.Selection{AllTracks: q.Get("tracks") == "all", NoVideo: q.Has("onlyAudio"), NoAudio: q.Has("onlyVideo")}
	if s.NoVideo && s.NoAudio {
		s.NoVideo, s.NoAudio = false, false
	}
	return s
}

// enter admits the viewer of a request and returns it with what it is sent first, wrapped. For HEAD the
// viewer reads no log. The viewer is nil if the request has already been answered.
func (f *Format) enter(env *protocol.Env, w http.ResponseWriter, r *http.Request, path string, wrapping Wrapping) (v *peer.HTTPViewer, first []byte) {
	q := r.URL.Query()
	sel := selection(q)
	var variant func(path string) mux.Variant
	if r.Method != http.MethodHead {
		variant = func(path string) mux.Variant { return f.Variant(Choice{sel, q, wrapping, env.Repair(path)}) }
	}
	v = env.EnterHTTP(w, r, path, variant)
	if v == nil {
		return nil, nil
	}
	h := v.View.Stream.Headers()
	if f.Check != nil {
		if err := f.Check(h, sel); err != nil {
			v.Refuse(w, err)
			return nil, nil
		}
	}
	if f.First != nil {
		first = wrapping.wrap(f.First(h, sel))
	}
	return v, first
}
