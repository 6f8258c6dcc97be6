package probe

import (
	"fmt"
	"strings"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/vp9"
	"weir/internal/relay"
)

// The bounds beyond which something is a fault.
const (
	maxOffset = 100 * time.Millisecond // between the first frames of sound and picture
	maxGap    = time.Second            // between two frames of a track
	maxBack   = time.Second            // a larger step back is another clock
	// maxKeyGap is the longest time between two key frames: a player has to wait for it, or is as far behind.
	maxKeyGap = 5 * time.Second
	// minFrozen is how many frames with one time are a fault.
	minFrozen = 3
	// minRateShare is how much of the declared frame rate must come.
	minRateShare = 0.75
	// maxDeclared is the highest credible frame rate: a higher one is that of the clock.
	maxDeclared = 250
	// minRateFrames is how many frames are needed to tell a frame rate.
	minRateFrames = 10
	// maxEnds is how much further apart the ends of sound and picture may be in a file than their beginnings.
	maxEnds = 300 * time.Millisecond
)

// judge looks for faults of one track.
func (r *Report) judge(t *track, x *Track) {
	name := t.name()
	r.judgeSetup(t, name)
	if !t.moved && t.frames >= minFrozen {
		r.fault("frozen_time", fmt.Sprintf("%s: all %d frames have the time %v", name, t.frames, t.rawFirst.Round(time.Millisecond)),
			"The encoder or what packs its frames sets no time stamps: set them (ffmpeg: -fflags +genpts, or -use_wallclock_as_timestamps 1).")
	}
	if t.back > 0 {
		r.fault("dts_backward", fmt.Sprintf("%s: the decoding time goes back %s", name, plural(t.back, "time")),
			"Look for a second encoder on the same stream, or an unstable clock.")
	}
	if t.gapped() {
		r.fault("gap", fmt.Sprintf("%s: %s of more than %v, the longest %v", name, plural(t.gaps, "gap"), maxGap, t.largest.Round(time.Millisecond)),
			"The encoder or its network drops out: lower the bitrate, or look at its CPU load.")
	}
	if 2*t.endless < t.frames && t.endless > 0 { // if most frames are so, the encoder is like that
		if t.damaged += t.endless; t.damage == "" {
			t.damage = "it does not end as a frame of AAC does"
		}
	}
	if t.damaged > 0 {
		r.fault("corrupt_frames", fmt.Sprintf("%s: %d of %s %s damaged; the first one: %s", name, t.damaged, plural(t.frames, "frame"), be(t.damaged), t.damage),
			"What made the file or carries the stream loses or changes bytes: look at the disk or the link, and at other readers of the same source.")
	}
	if by, in := t.pace.drift(); by != 0 {
		r.fault("drift", fmt.Sprintf("%s: %v of sound in %v of time stamps: it drifts %v a second from the picture", name,
			(in-by).Round(10*time.Millisecond), in.Round(10*time.Millisecond), perSecond(by, in)),
			"The sample rate in the header is not the real one, or the encoder stamps sound by a clock of another speed (ffmpeg: -af aresample=async=1).")
	}
	if t.info.Kind == av.Video {
		r.judgePicture(t, x, name)
	}
}

// perSecond is how far it drifts in a second.
func perSecond(by, in time.Duration) time.Duration {
	return time.Duration(by.Abs().Seconds() / in.Seconds() * float64(time.Second)).Round(100 * time.Microsecond)
}

// judgeSetup checks a track's configuration, and whether its frames are in the form that the configuration says.
func (r *Report) judgeSetup(t *track, name string) {
	if !t.hasSetup && codec.NeedsConfig(t.info.Codec) {
		r.fault("no_sequence_header", name+" has no sequence header: nobody can decode it",
			"Restart the encoder; if it is behind a relay, see whether that passes headers on.")
	}
	if t.badSetup != "" {
		r.fault("bad_sequence_header", fmt.Sprintf("%s has a sequence header that cannot be used: %s", name, t.badSetup),
			"Restart or update the encoder; players that go by the header cannot play the track.")
	}
	if t.startCodes > 0 {
		r.fault("annex_b", fmt.Sprintf("%s: %s with start codes where lengths belong", name, plural(t.startCodes, "frame")),
			"The encoder packs Annex B as it is: update it, or send MPEG-TS, where that is right.")
	}
	if t.adts > 0 {
		r.fault("adts", fmt.Sprintf("%s: %s with ADTS headers, which belong in MPEG-TS", name, plural(t.adts, "frame")),
			"The encoder packs ADTS as it is: update it (ffmpeg: -bsf:a aac_adtstoasc).")
	}
	if t.mislabel > 0 {
		r.fault("key_flag", fmt.Sprintf("%s: %s %s key by name or by content, but not both", name, plural(t.mislabel, "frame"), be(t.mislabel)),
			"Weir corrects it; other servers may start players in the wrong place. Update the encoder.")
	}
}

// judgePicture looks for faults that only video has.
func (r *Report) judgePicture(t *track, x *Track, name string) {
	longest := t.last - t.first
	if t.keys.n > 0 {
		longest = max(t.keys.longest, t.last-t.keys.last)
	}
	if t.gapped() {
		longest -= t.largest // a fault of its own
	}
	if longest > maxKeyGap {
		r.fault("long_gop", fmt.Sprintf("%s: no key frame for %v", name, longest.Round(time.Millisecond)),
			"Set the key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g with twice the frame rate).")
	}
	if d := x.DeclaredFrameRate; d <= maxDeclared && t.frames >= minRateFrames && x.FrameRate > 0 && x.FrameRate < minRateShare*d {
		r.fault("frame_rate", fmt.Sprintf("%s: %.4g frames a second come, and %.4g are declared", name, x.FrameRate, d),
			"The encoder cannot keep up: look at its CPU load, or lower size or rate. If it is meant to be so, declare the rate that it has.")
	}
	const advice = "Encode 4:2:0 with 8 bits (ffmpeg: -pix_fmt yuv420p; OBS: Settings, Advanced, Color Format NV12)."
	switch {
	case x.Chroma != "":
		r.fault("chroma", fmt.Sprintf("%s has %s chroma, which browsers, phones and televisions cannot decode", name, x.Chroma), advice)
	case x.BitDepth > 8 && t.info.Codec == av.H264:
		r.fault("bit_depth", fmt.Sprintf("%s has %d bits a sample, which browsers, phones and televisions cannot decode in H.264", name, x.BitDepth), advice)
	}
}

// judgeTogether looks for faults between tracks and metadata.
func (p *prober) judgeTogether(r *Report) {
	for _, j := range p.jumps {
		r.fault("clock_jump", fmt.Sprintf("the clock jumps by %v after %v", j.by.Round(time.Millisecond), j.at.Round(time.Millisecond)),
			"The encoder was restarted, or two files were joined, or its clock was set: one stream should have one clock. Weir's players see it go on.")
	}
	if n := p.jumped - len(p.jumps); n > 0 {
		r.fault("clock_jump", fmt.Sprintf("the clock jumps %s more", plural(n, "time")), "Restart the encoder.")
	}
	v, a := p.tracks[key{av.Video, 0}], p.tracks[key{av.Audio, 0}]
	if v != nil && a != nil && v.frames > 0 && a.frames > 0 {
		if d := (a.rawFirst - v.rawFirst).Abs(); d > maxOffset {
			r.fault("av_offset", fmt.Sprintf("audio and video begin %v apart", d.Round(time.Millisecond)),
				"Players show this as sound out of step if the encoder's times are wrong: compare with a clap.")
		}
		p.judgeDrift(r, v, a)
	}
	for _, promise := range []struct {
		key   string
		kind  av.Kind
		track *track
	}{{"videocodecid", av.Video, v}, {"audiocodecid", av.Audio, a}} {
		if _, ok := p.metadata.Get(promise.key); ok && (promise.track == nil || promise.track.frames == 0) {
			r.fault("missing_track", fmt.Sprintf("the metadata promises %s, and none came", promise.kind),
				"Some players wait for it: remove the track from the encoder's settings, or connect its source.")
		}
	}
}

// judgeDrift looks for sound and picture that drift apart: by the order in which they come, and by their ends.
func (p *prober) judgeDrift(r *Report, v, a *track) {
	if by, _ := a.pace.drift(); by != 0 {
		return // already reported
	}
	const advice = "One of the two has a clock of another speed: take both from one device, or let the encoder resample the sound (ffmpeg: -af aresample=async=1)."
	if by, in := drift(p.apart, minApart, minApartShare); by != 0 {
		way := "behind"
		if by < 0 {
			way = "ahead of"
		}
		r.fault("drift", fmt.Sprintf("the sound falls %v %s the picture in %v: it drifts %v a second", by.Abs().Round(10*time.Millisecond), way,
			in.Round(10*time.Millisecond), perSecond(by, in)), advice)
		return
	}
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
func (r *Report) judgeSource(c *relay.Condition) {
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

const chroma420 = "4:2:0"

// sampling returns a video configuration's chroma format and bit depth.
func sampling(c av.Codec, config []byte) (chroma string, depth int) {
	formats := [...]string{chroma420, chroma420, "4:2:2", "4:4:4"} // 0 is black and white
	chroma, depth = chroma420, 8
	switch c {
	case av.H264:
		if conf, err := h264.ParseConfig(config); err == nil && len(conf.SPS) > 0 {
			if s, err := h264.ParseSPS(conf.SPS[0]); err == nil {
				return formats[s.ChromaFormat&3], int(max(s.BitDepth, s.BitDepthChroma))
			}
		}
	case av.H265:
		if conf, err := h265.ParseConfig(config); err == nil {
			return formats[conf.ChromaFormat&3], int(max(conf.BitDepth, conf.BitDepthChroma))
		}
	case av.AV1:
		if conf, err := av1.ParseConfig(config); err == nil {
			switch depth = int(conf.BitDepth); {
			case conf.Monochrome, conf.SubsamplingX && conf.SubsamplingY:
			case conf.SubsamplingX:
				chroma = "4:2:2"
			default:
				chroma = "4:4:4"
			}
		}
	case av.VP9:
		if conf, err := vp9.ParseConfig(config); err == nil {
			const first422 = 2 // 0 and 1 are 4:2:0
			if depth = int(conf.BitDepth); conf.Chroma >= first422 {
				chroma = formats[min(conf.Chroma, 3)]
			}
		}
	}
	return chroma, depth
}

// addsADTS reports whether an AAC frame has an ADTS header although the track has a configuration.
func addsADTS(f *av.Frame, config []byte) bool {
	return f.Codec == av.AAC && len(config) > 0 && aac.IsADTS(f.Payload)
}

// plural is a number of things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// be returns "is" or "are" for a number of things.
func be(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
