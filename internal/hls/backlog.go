package hls

import (
	"slices"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// early is a frame of the backlog, with what came just before it.
type early struct {
	frame
	headers       *stream.Headers
	flushed, jump bool
}

// collect keeps frames until the pace can be told from them. jump says that f is discontinuous.
func (p *Packager) collect(f frame, jump bool) {
	flushed := p.flushed
	p.flushed = false
	if flushed && jump { // another publisher: what there is would not be the time from key frame to key frame
		p.backlog = nil
	}
	lead := p.renditions[0].lead
	isLead := keyOf(&f.Frame) == lead
	starts, gop := p.starts()
	switch {
	case isLead && len(starts) == 0 && f.Kind == av.Video && !f.IsKey():
		p.keyless = true
		return
	case !isLead && len(starts) == 0: // what comes before the first picture is not shown
		p.misses(lead, &f)
		return
	case !isLead && len(p.backlog) >= maxPartFrames:
		return
	}
	p.absentFrom = 0
	p.backlog = append(p.backlog, early{f, p.headers, flushed, jump})
	if len(starts) == 0 {
		return
	}
	last := starts[len(starts)-1]
	span := f.at - starts[0]
	if !isLead {
		if f.at-last > silentTime && f.Arrived-p.arrivedOf(lead) > silentTime { // the lead is silent: go on with what there is
			end := last + max(p.frameDur, time.Millisecond)
			p.begin(settle(&p.settings, starts, end, p.settings.Segment))
		}
		return
	}
	p.frameDur = span / time.Duration(len(starts))
	switch {
	case f.Kind == av.Audio && span >= min(p.settings.Segment, time.Second):
		p.begin(settle(&p.settings, starts, f.at, p.settings.Segment))
	case f.Kind == av.Video && f.IsKey() && p.settings.ripe(span, f.at-gop):
		p.begin(settle(&p.settings, starts, f.at, max(span, min(p.keyInterval, maxGOPs*p.settings.Segment))))
	case span >= maxGOPs*p.settings.Segment || len(p.backlog) >= 2*maxPartFrames:
		pace := settle(&p.settings, starts, f.at, 0)
		p.irregular(span)
		p.begin(pace)
	}
}

// starts lists when the lead's frames in the backlog begin, and when the newest group of
// pictures does.
func (p *Packager) starts() (starts []time.Duration, gop time.Duration) {
	for i := range p.backlog {
		if b := &p.backlog[i]; keyOf(&b.Frame) == p.renditions[0].lead {
			starts = append(starts, b.at)
			if b.IsKey() {
				gop = b.at
			}
		}
	}
	return starts, gop
}

// arrivedOf is when the newest frame of a track in the backlog arrived.
func (p *Packager) arrivedOf(k trackKey) (arrived time.Duration) {
	for i := range p.backlog {
		if b := &p.backlog[i]; keyOf(&b.Frame) == k {
			arrived = b.Arrived
		}
	}
	return arrived
}

// misses notes that f came although the lead has sent nothing so far. If it sends nothing for long,
// the others are packaged without it.
func (p *Packager) misses(lead trackKey, f *frame) {
	switch {
	case p.keyless: // it sends, but no key frames
	case p.absentFrom == 0:
		p.absentFrom = max(f.Arrived, 1)
	case f.Arrived-p.absentFrom > silentTime:
		p.absent, p.absentFrom = lead, 0
		p.retrack(p.headers)
	}
}

// begin makes segments of the backlog, at a pace that is good for all that follows.
func (p *Packager) begin(pace pace) {
	p.pace, p.settled = pace, true
	backlog := p.backlog
	p.backlog = nil
	if len(backlog) > 0 {
		agree(backlog)
		p.headers = backlog[0].headers
		p.silentFrom(backlog)
	}
	for i := range backlog {
		b := &backlog[i]
		if b.flushed && i > 0 {
			p.stop()
		}
		if b.headers != p.headers {
			p.retrack(b.headers)
		}
		if b.jump && i > 0 {
			p.renditions[0].jump = true
			clear(p.standIns)
		}
		p.push(b.frame)
	}
}

// agree gives the first frames of a backlog the headers of a later one that only tell more: the first
// segment has all tracks that came meanwhile.
func agree(backlog []early) {
	h, n := backlog[0].headers, 1
	for i := 1; i < len(backlog); i++ {
		b := &backlog[i]
		if b.flushed || b.headers != h && !extends(b.headers, h) {
			break
		}
		h, n = b.headers, i+1
	}
	for i := range backlog[:n] {
		backlog[i].headers = h
	}
}

// extends reports whether h has all tracks of old as they were.
func extends(h, old *stream.Headers) bool {
	for i := range old.Tracks {
		was := &old.Tracks[i]
		now := headerOf(h, trackKey{was.Kind, was.ID})
		if now == nil || now.Version != was.Version || now.Codec != was.Codec {
			return false
		}
	}
	return true
}

// silentFrom notes which tracks are silent in the whole of the backlog.
func (p *Packager) silentFrom(backlog []early) {
	first := &backlog[0]
	for i := range p.headers.Tracks {
		k := trackKey{p.headers.Tracks[i].Kind, p.headers.Tracks[i].ID}
		if !slices.ContainsFunc(backlog, func(b early) bool { return keyOf(&b.Frame) == k }) {
			p.standIns[k] = &standIn{active: true, end: first.at, own: first.at, arrived: first.Arrived}
		}
	}
}
