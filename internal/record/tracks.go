package record

import (
	"slices"
	"strconv"

	"weir/av"
	"weir/codec"
	"weir/internal/stream"
)

// wanted reports whether a track is recorded and can be.
func (t *taker) wanted(h *stream.TrackHeader) bool {
	conf := t.r.config()
	if _, ok := conf.wants(h.Kind, h.ID); !ok {
		return false
	}
	return t.r.can(conf, h)
}

// trackID names a track.
type trackID struct {
	kind av.Kind
	id   uint8
}

// leadOf is the track at whose key frames files begin: the first of video that is recorded, else the first of sound.
func (t *taker) leadOf(h *stream.Headers) trackID {
	conf := t.r.config()
	if h == t.leadFrom && conf == t.leadBy {
		return t.leadIs
	}
	t.leadFrom, t.leadBy, t.leadIs = h, conf, t.findLead(h)
	return t.leadIs
}

func (t *taker) findLead(h *stream.Headers) trackID {
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		for i := range h.Tracks {
			x := &h.Tracks[i]
			if x.Kind == kind && (x.Media || x.ConfigFrame != nil) && t.wanted(x) {
				return trackID{kind, x.ID}
			}
		}
	}
	return trackID{av.Data, 0}
}

// track finds a frame's track in the present file; current is false if the file has it not, or with another configuration.
func (t *taker) track(it *item, h *stream.TrackHeader) (i int, current bool) {
	i = slices.IndexFunc(t.tracks, func(s selected) bool { return s.Kind == it.Kind && s.ID == it.Track })
	return i, i >= 0 && t.same(i, h)
}

// leads reports whether the lead of headers is that of the present file, as it is there. Headers that have no lead of its kind yet do not tell.
func (t *taker) leads(headers *stream.Headers) bool {
	lead := t.leadOf(headers)
	i := slices.IndexFunc(t.tracks, func(s selected) bool { return s.Kind == lead.kind && s.ID == lead.id })
	if i < 0 || i != t.lead {
		return i >= 0 && t.tracks[i].Kind != t.tracks[t.lead].Kind
	}
	return t.same(i, headerOf(headers, lead.kind, lead.id))
}

// same reports whether a track of the present file is as a header says.
func (t *taker) same(i int, h *stream.TrackHeader) bool {
	has := &t.tracks[i]
	if has.Version != h.Version && has.Codec == h.Codec && has.SampleRate == h.SampleRate && has.Channels == h.Channels &&
		codec.SameCoding(h.Codec, has.Config, h.Config) {
		has.Version = h.Version // the publisher has returned, with the same
	}
	return has.Version == h.Version && has.Codec == h.Codec
}

// firstOf returns a frame of a track that is described by its first frame.
func (t *taker) firstOf(it *item, h *stream.TrackHeader) []byte {
	if h.Codec != av.AC3 && h.Codec != av.EAC3 {
		return nil
	}
	if it.Kind == h.Kind && it.Track == h.ID {
		return it.Payload
	}
	for i := range t.held {
		if f := &t.held[i]; f.Kind == h.Kind && f.Track == h.ID {
			return f.Payload
		}
	}
	for _, l := range t.order.tracks {
		if l.kind == h.Kind && l.id == h.ID && len(l.items) > 0 {
			return l.items[0].Payload
		}
	}
	return nil
}

// nameTracks names the tracks of which there are several of a kind, unless they are named already.
func nameTracks(tracks []selected) {
	var count [2]int
	for i := range tracks {
		count[tracks[i].Kind]++
	}
	for i := range tracks {
		s := &tracks[i]
		if s.title != "" || count[s.Kind] < 2 {
			continue
		}
		s.title = map[av.Kind]string{av.Video: "Video ", av.Audio: "Audio "}[s.Kind] + strconv.Itoa(int(s.ID)+1)
	}
}

func headerOf(h *stream.Headers, kind av.Kind, id uint8) *stream.TrackHeader {
	for i := range h.Tracks {
		if h.Tracks[i].Kind == kind && h.Tracks[i].ID == id {
			return &h.Tracks[i]
		}
	}
	return nil
}
