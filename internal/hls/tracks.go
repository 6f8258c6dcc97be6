package hls

import (
	"fmt"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/stream"
)

func headerOf(h *stream.Headers, k trackKey) *stream.TrackHeader {
	for i := range h.Tracks {
		if h.Tracks[i].Kind == k.kind && h.Tracks[i].ID == k.id {
			return &h.Tracks[i]
		}
	}
	return nil
}

// audio returns the sound track of the main rendition.
func (p *Packager) audio() trackKey {
	for i := range p.headers.Tracks {
		if t := &p.headers.Tracks[i]; t.Kind == av.Audio && p.can(t) {
			return trackKey{av.Audio, t.ID}
		}
	}
	return trackKey{av.Data, 0}
}

// fit says whether a version of a track can be packaged.
type fit struct {
	version uint32
	err     error
}

// can reports whether a track can be packaged. A track that cannot is left out, and the others
// play; that is told once.
func (p *Packager) can(t *stream.TrackHeader) bool {
	k := trackKey{t.Kind, t.ID}
	if !t.Media && t.ConfigFrame == nil || k == p.absent || len(p.renditions) == 0 {
		return false
	}
	f, known := p.fits[k]
	if !known || f.version != t.Version {
		if f = (fit{t.Version, t.Unusable}); f.err == nil {
			f.err = p.renditions[0].box.check(&t.Track)
		}
		p.fits[k] = f
	}
	if f.err != nil && t.Unusable == nil && t.Media { // a track that no format can use is reported by the stream
		track := fmt.Sprintf("%s track %d (%v)", t.Kind, t.ID, t.Codec)
		p.warnOnce(track, Warning{"a track is left out; the others play", fmt.Sprintf("%s: %v", track, f.err)})
	}
	return f.err == nil
}

// hasLead reports whether the main rendition's lead is among the tracks.
func (p *Packager) hasLead(h *stream.Headers) bool {
	return len(p.renditions) == 0 || headerOf(h, p.renditions[0].lead) != nil
}

// retrack takes new headers.
func (p *Packager) retrack(h *stream.Headers) {
	p.headers = h
	p.joiner.SetTracks(h.Tracks)
	if len(p.renditions) == 0 && !p.layout() {
		return
	}
	for _, r := range p.renditions {
		lead := r.lead
		if r.sound == nil {
			lead = p.leadTrack()
		}
		now := headerOf(h, lead)
		was := r.leadHeader()
		if lead == r.lead && (now == nil || was == nil || now.Version == was.Version) {
			continue
		}
		if r.sound == nil && lead != r.lead && !p.shown {
			r.lead = lead
			p.restart()
			return
		}
		r.stop()
		r.lead = lead
	}
}

// restart begins anew, with a pace that fits the lead: nobody has seen anything yet.
func (p *Packager) restart() {
	p.settled, p.backlog, p.absentFrom = false, nil, 0
	clear(p.standIns)
	for _, r := range p.renditions {
		r.forget()
		r.next, r.dropped, r.jump = firstNumber, 0, false
	}
}

// leadHeader returns the lead's header as the open segment has it, nil if there is none.
func (r *Rendition) leadHeader() *stream.TrackHeader {
	for i := range r.tracks {
		if t := &r.tracks[i]; t.Kind == r.lead.kind && t.ID == r.lead.id {
			return t
		}
	}
	return nil
}

// leadTrack returns the track that decides the cuts: the first video, else the first sound.
func (p *Packager) leadTrack() trackKey {
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		for i := range p.headers.Tracks {
			if t := &p.headers.Tracks[i]; t.Kind == kind && p.can(t) {
				return trackKey{kind, t.ID}
			}
		}
	}
	return trackKey{av.Data, 0}
}

// layout makes the renditions: one of all tracks, or with several sound tracks one of
// the video and one of each. It reports false while there are no tracks.
func (p *Packager) layout() bool {
	p.chooseContainer()
	main := p.newRendition("main")
	p.renditions = []*Rendition{main}
	var sound []trackKey
	for i := range p.headers.Tracks {
		if t := &p.headers.Tracks[i]; t.Kind == av.Audio && p.can(t) {
			sound = append(sound, trackKey{av.Audio, t.ID})
		}
	}
	if main.lead = p.leadTrack(); main.lead.kind == av.Data {
		p.renditions = nil
		return false
	}
	if len(sound) < 2 {
		return true
	}
	for _, k := range sound {
		if k == main.lead {
			continue
		}
		r := p.newRendition(fmt.Sprint("a", k.id))
		r.sound, r.lead = &k, k
		p.renditions = append(p.renditions, r)
	}
	return true
}

func (p *Packager) newRendition(name string) *Rendition {
	r := &Rendition{p: p, name: name, next: firstNumber, wanting: true, wake: make(chan struct{})}
	if p.container == TS {
		r.box = &tsContainer{}
	} else {
		r.box = &mp4Container{}
	}
	return r
}

// chooseContainer decides what segments are: what the settings say, but for sound in MP3. No browser
// takes that in MP4, and hls.js puts the parts of a segment with MP3 one upon another: it goes out in
// MPEG-TS and without parts, unless MPEG-TS would cost the picture.
func (p *Packager) chooseContainer() {
	mp3, picture := false, true
	for i := range p.headers.Tracks {
		t := &p.headers.Tracks[i]
		mp3 = mp3 || t.Kind == av.Audio && t.Codec == av.MP3
		picture = picture && (t.Kind != av.Video || mpegts.Supported(t.Codec))
	}
	if p.container = p.settings.Container; mp3 && picture {
		p.container, p.settings.LowLatency = TS, false
	}
	clear(p.fits)
}

// tracksOf returns the tracks of a rendition's next segment.
func (p *Packager) tracksOf(r *Rendition) []stream.TrackHeader {
	var list []stream.TrackHeader
	for i := range p.headers.Tracks {
		t := &p.headers.Tracks[i]
		if r.wants(trackKey{t.Kind, t.ID}) && t.Kind != av.Data && p.can(t) {
			list = append(list, *t)
		}
	}
	return list
}

// wants reports whether the rendition carries a track.
func (r *Rendition) wants(k trackKey) bool {
	if r.sound != nil {
		return *r.sound == k
	}
	if k == r.lead {
		return true
	}
	return k.kind == av.Audio && len(r.p.renditions) == 1 && k == r.p.audio()
}
