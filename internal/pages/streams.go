package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/internal/peer"
	"weir/internal/stream"
)

// listed is a stream in the list.
type listed struct {
	Path  string `json:"path"`
	Video string `json:"video"` // "1920×1080 H.264", "" without video
	Audio string `json:"audio"` // "AAC"
}

// streams sends the list of live streams that everybody at the visitor's address may watch. Nobody is asked for it:
// otherwise a visitor could have one question put for each stream.
func (p *Pages) streams(w http.ResponseWriter, r *http.Request, _ string) {
	w.Header().Set("Cache-Control", "no-store")
	if !p.list() {
		http.Error(w, "the list of streams is not public (http.index)", http.StatusNotFound)
		return
	}
	list, from := []listed{}, peer.Remote(r).Addr()
	for _, s := range p.env.Hub.List() {
		if _, live := s.Publisher(); !live {
			continue
		}
		if p.open(s.Path(), from) {
			list = append(list, inList(s))
		}
	}
	send(w, r, list)
}

func inList(s *stream.Stream) listed {
	l := listed{Path: s.Path()}
	video, audio := tracks(s.Headers())
	if video != nil {
		l.Video = video.Codec.String()
		if video.Size.Width > 0 {
			l.Video = fmt.Sprintf("%d×%d %v", video.Size.Width, video.Size.Height, video.Codec)
		}
	}
	if audio != nil {
		l.Audio = audio.Codec.String()
	}
	return l
}

// tracks returns the tracks that players get: the first of each kind, nil if there is none.
func tracks(h *stream.Headers) (video, audio *av.Track) {
	for i := range h.Tracks {
		switch t := &h.Tracks[i].Track; {
		case t.Kind == av.Video && video == nil:
			video = t
		case t.Kind == av.Audio && audio == nil:
			audio = t
		}
	}
	return video, audio
}

// description is what the watch page must know before it plays a stream.
type description struct {
	// State is "live"; "waiting" while the publisher is away for a moment, or its tracks are not
	// known yet; "offline" where nobody publishes.
	State string      `json:"state"`
	Video *trackEntry `json:"video,omitempty"`
	Audio *trackEntry `json:"audio,omitempty"`
	// Stalled says that the live publisher is connected and sends nothing.
	Stalled bool `json:"stalled,omitempty"`
	// Silent is the track that sends nothing while the other one goes on: "video" or "audio".
	Silent string `json:"silent,omitempty"`
	// Past is how many seconds one can go back, also where nobody publishes; nil if nothing was recorded.
	Past *int64 `json:"past,omitempty"`
}

// trackEntry is a track in a description.
type trackEntry struct {
	Codec string `json:"codec"` // for people
	ID    string `json:"id"`    // as RFC 6381 has it; "" if the configuration does not tell
}

// describe sends a stream's description to those who may watch it. It waits for nothing.
func (p *Pages) describe(w http.ResponseWriter, r *http.Request, path string) {
	w.Header().Set("Cache-Control", "no-store")
	grant, err := p.env.Allow(r.Context(), p.env.Request(r, path))
	if err != nil {
		p.env.Fail(w, err)
		return
	}
	path = grant.PathOf(path)
	d := descriptionOf(p.env.Hub.Get(path))
	past := p.recorded.Past
	if d.State != "live" {
		past = p.pastOf
	}
	if past, ok := past(r.Context(), path); ok {
		seconds := int64(past / time.Second)
		d.Past = &seconds
	}
	send(w, r, d)
}

func descriptionOf(s *stream.Stream) description {
	if s == nil {
		return description{State: "offline"}
	}
	_, live := s.Publisher()
	if !live {
		if isClosed(s.Begun()) && !isClosed(s.Over()) {
			return description{State: "waiting"}
		}
		return description{State: "offline"}
	}
	if !isClosed(s.Settled()) {
		return description{State: "waiting"}
	}
	video, audio := tracks(s.Headers())
	d := description{State: "live", Video: entryOf(video), Audio: entryOf(audio), Stalled: s.Stats().Stalled}
	if video != nil && audio != nil {
		switch {
		case s.IsSilent(av.Video, video.ID):
			d.Silent = "video"
		case s.IsSilent(av.Audio, audio.ID):
			d.Silent = "audio"
		}
	}
	return d
}

func entryOf(t *av.Track) *trackEntry {
	if t == nil {
		return nil
	}
	id, err := fmp4.CodecString(*t)
	if err != nil {
		id = ""
	}
	return &trackEntry{Codec: t.Codec.String(), ID: id}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func send(w http.ResponseWriter, r *http.Request, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(v) // the viewer is gone if it fails
	}
}
