package probe

import (
	"fmt"
	"strings"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/internal/fetch"
	"weir/internal/health"
)

// The bounds beyond which something is a fault, besides those of internal/health.
const (
	maxGap  = time.Second // between two frames of a track
	maxBack = time.Second // a larger step back is another clock
	// minFrozen is how many frames with one time are a fault.
	minFrozen = 3
	// maxEnds is how much further apart the ends of sound and picture may be in a file than their beginnings.
	maxEnds = 300 * time.Millisecond
)

// judge looks for faults of one track: those that any stream may have, and those that only show frame by frame.
func (r *Report) judge(t *track, x *Track) {
	name := t.name()
	r.add(t.figures(x).Judge())
	if !t.moved && t.frames >= minFrozen {
		r.fault("frozen_time", fmt.Sprintf("%s: all %d frames have the time %v", name, t.frames, t.rawFirst.Round(time.Millisecond)),
			"The encoder or what packs its frames sets no time stamps: set them (ffmpeg: -fflags +genpts, or -use_wallclock_as_timestamps 1).")
	}
	if 2*t.endless < t.frames && t.endless > 0 { // if most frames are so, the encoder is like that
		if t.damaged += t.endless; t.damage == "" {
			t.damage = "it does not end as a frame of AAC does"
		}
	}
	if t.damaged > 0 {
		r.fault("corrupt_frames", fmt.Sprintf("%s: %d of %s %s damaged; the first one: %s", name, t.damaged, health.Plural(t.frames, "frame"), be(t.damaged), t.damage),
			"What made the file or carries the stream loses or changes bytes: look at the disk or the link, and at other readers of the same source.")
	}
	if t.startCodes > 0 {
		r.fault("annex_b", fmt.Sprintf("%s: %s with start codes where lengths belong", name, health.Plural(t.startCodes, "frame")),
			"The encoder packs Annex B as it is: update it, or send MPEG-TS, where that is right.")
	}
	if t.adts > 0 {
		r.fault("adts", fmt.Sprintf("%s: %s with ADTS headers, which belong in MPEG-TS", name, health.Plural(t.adts, "frame")),
			"The encoder packs ADTS as it is: update it (ffmpeg: -bsf:a aac_adtstoasc).")
	}
}

// figures returns what the rules of internal/health go by.
func (t *track) figures(x *Track) *health.Track {
	h := &health.Track{
		Info: t.info, Chroma: x.Chroma, BitDepth: x.BitDepth, NoHeader: !t.hasSetup && codec.NeedsConfig(t.info.Codec), BadHeader: t.badSetup,
		Frames: t.frames, FrameRate: x.FrameRate, DeclaredFrameRate: x.DeclaredFrameRate,
		KeyGap: t.keyGap(), Back: t.back, Mislabeled: t.mislabel, Drift: t.pace.Drift(), Reorders: t.reorder,
	}
	if t.gapped() {
		h.KeyGap -= t.largest // a fault of its own
		h.Gaps, h.MaxGap, h.LongestGap = t.gaps, maxGap, t.largest
	}
	return h
}

// add adds what was found, as far as it is a fault.
func (r *Report) add(found []health.Finding) {
	for i := range found {
		if f := &found[i]; !f.Info {
			r.fault(f.Kind, f.Sentence, f.Setting)
		}
	}
}

// judgeTogether looks for faults between tracks and metadata.
func (p *prober) judgeTogether(r *Report) {
	for _, j := range p.jumps {
		r.fault(health.KindClockJump, fmt.Sprintf("the clock jumps by %v after %v", j.by.Round(time.Millisecond), j.at.Round(time.Millisecond)), health.ClockAdvice)
	}
	if n := p.jumped - len(p.jumps); n > 0 {
		r.fault(health.KindClockJump, fmt.Sprintf("the clock jumps %s more", health.Plural(n, "time")), "Restart the encoder.")
	}
	v, a := p.tracks[key{av.Video, 0}], p.tracks[key{av.Audio, 0}]
	var s health.Stream
	if v != nil && a != nil && v.frames > 0 && a.frames > 0 {
		s.Begin = a.rawFirst - v.rawFirst
		if a.pace.Drift().By == 0 { // else it is already reported
			s.Drift = p.interleave.Drift()
		}
	}
	for _, promise := range []struct {
		key   string
		kind  av.Kind
		track *track
	}{{"videocodecid", av.Video, v}, {"audiocodecid", av.Audio, a}} {
		if _, ok := p.metadata.Get(promise.key); ok && (promise.track == nil || promise.track.frames == 0) {
			s.Missing = append(s.Missing, promise.kind)
		}
	}
	r.add(s.Judge())
	if v != nil && a != nil && v.frames > 0 && a.frames > 0 && a.pace.Drift().By == 0 && s.Drift.By == 0 {
		p.judgeEnds(r, v, a)
	}
}

// judgeEnds compares the ends of sound and picture.
func (p *prober) judgeEnds(r *Report, v, a *track) {
	ends := (a.last - v.last) - (a.first - v.first)
	if p.whole && ends.Abs() > maxEnds {
		first, second := "sound", "picture"
		if ends > 0 {
			first, second = second, first
		}
		r.fault("uneven_ends", fmt.Sprintf("the %s ends %v before the %s", first, ends.Abs().Round(10*time.Millisecond), second),
			"If it grows with the length of the file, the two clocks drift apart; else the recording was cut there.")
	}
}

// judgeSource reports what could not be read.
func (r *Report) judgeSource(c *fetch.Condition) {
	for _, name := range c.LeftOut {
		if strings.HasSuffix(name, "audio") || strings.HasSuffix(name, "video") {
			r.fault("unsupported_track", name+" cannot be carried, and is left out",
				"Encode it anew: H.264 and AAC play everywhere (ffmpeg: -c:v libx264 -c:a aac).")
		}
	}
	for _, what := range c.Damage {
		r.fault("damage", what, "What made the file or carries the stream loses or changes bytes: look at the disk or the link.")
	}
	if c.Truncated {
		r.fault("truncated", "the file ends within a frame", "It was cut off, or is still being written: copy it anew when it is whole.")
	}
}

// addsADTS reports whether an AAC frame has an ADTS header although the track has a configuration.
func addsADTS(f *av.Frame, config []byte) bool {
	return f.Codec == av.AAC && len(config) > 0 && aac.IsADTS(f.Payload)
}

// be returns "is" or "are" for a number of things.
func be(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
