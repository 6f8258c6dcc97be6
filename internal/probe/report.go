package probe

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"weir/av"
	"weir/codec"
)

// Report is what is in a stream and what is wrong with it. Durations are in seconds,
// rates in bits per second.
type Report struct {
	Duration float64 `json:"duration"`
	Bitrate  int64   `json:"bitrate"`
	Encoder  string  `json:"encoder,omitempty"`
	Tracks   []Track `json:"tracks"`
	Faults   []Fault `json:"faults"`
}

// Track is one track of a report.
type Track struct {
	Kind              string  `json:"kind"`
	ID                uint8   `json:"id"`
	Codec             string  `json:"codec"`
	Profile           string  `json:"profile,omitempty"`
	Level             string  `json:"level,omitempty"`
	Width             int     `json:"width,omitempty"`
	Height            int     `json:"height,omitempty"`
	FrameRate         float64 `json:"frame_rate"`
	DeclaredFrameRate float64 `json:"declared_frame_rate,omitempty"`
	BFrames           bool    `json:"b_frames,omitempty"`
	GOPFrames         []int   `json:"gop_frames,omitempty"` // least and most
	GOPSeconds        float64 `json:"gop_seconds,omitempty"`
	SampleRate        int     `json:"sample_rate,omitempty"`
	Channels          int     `json:"channels,omitempty"`
	Frames            int     `json:"frames"`
	Bitrate           int64   `json:"bitrate"`
}

// Fault is something wrong with the stream.
type Fault struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

// report draws the conclusions.
func (p *prober) report() *Report {
	r := &Report{Duration: seconds(p.length()), Tracks: []Track{}, Faults: []Fault{}}
	r.Encoder, _ = p.metadata.GetString("encoder")
	slices.SortFunc(p.order, func(a, b key) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		return int(a.id) - int(b.id)
	})
	for _, k := range p.order {
		t := p.tracks[k]
		if t.frames == 0 {
			r.fault("empty_track", fmt.Sprintf("%s has a configuration but no frames", t.name()), "Remove the track from the encoder, or see why it sends nothing.")
			continue
		}
		x := p.describe(t)
		r.Bitrate += x.Bitrate
		r.Tracks = append(r.Tracks, x)
		r.judge(t)
	}
	p.judgeTogether(r)
	return r
}

func (t *track) name() string {
	return fmt.Sprintf("%s track %d (%v)", t.info.Kind, t.info.ID, t.info.Codec)
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func (p *prober) describe(t *track) Track {
	span := t.last - t.first
	x := Track{
		Kind: t.info.Kind.String(), ID: t.info.ID, Codec: t.info.Codec.String(), Profile: t.info.Profile, Level: t.info.Level,
		Width: t.info.Size.Width, Height: t.info.Size.Height, DeclaredFrameRate: t.info.FrameRate, BFrames: t.reorder,
		SampleRate: t.info.SampleRate, Channels: t.info.Channels, Frames: t.frames,
	}
	if span > 0 && t.frames > 1 {
		x.FrameRate = math.Round(float64(t.frames-1)/span.Seconds()*100) / 100
		x.Bitrate = int64(float64(t.bytes*8) / span.Seconds())
	}
	for i := 1; i < len(t.keyAt); i++ {
		n := t.keyAt[i] - t.keyAt[i-1]
		if x.GOPFrames == nil {
			x.GOPFrames = []int{n, n}
		}
		x.GOPFrames = []int{min(x.GOPFrames[0], n), max(x.GOPFrames[1], n)}
	}
	if n := len(t.keys); n > 1 {
		x.GOPSeconds = seconds((t.keys[n-1] - t.keys[0]) / time.Duration(n-1))
	}
	return x
}

func (r *Report) fault(code, detail, advice string) {
	r.Faults = append(r.Faults, Fault{code, detail, advice})
}

// judge looks for faults of one track.
func (r *Report) judge(t *track) {
	if !t.config && codec.NeedsConfig(t.info.Codec) {
		r.fault("no_sequence_header", t.name()+" has no sequence header: nobody can decode it",
			"Restart the encoder; if it is behind a relay, see whether that passes headers on.")
	}
	if t.back > 0 {
		r.fault("dts_backward", fmt.Sprintf("%s: the decoding time goes back %d times", t.name(), t.back),
			"Look for a second encoder on the same stream, or an unstable clock.")
	}
	if t.gaps > 0 {
		r.fault("gap", fmt.Sprintf("%s: %d gaps of more than %v, the longest %v", t.name(), t.gaps, maxGap, t.largest.Round(time.Millisecond)),
			"The encoder or its network drops out: lower the bitrate, or look at its CPU load.")
	}
	if t.mislabel > 0 {
		r.fault("key_flag", fmt.Sprintf("%s: %d frames are key frames by name or by content, but not both", t.name(), t.mislabel),
			"Weir corrects it; other servers may start players in the wrong place. Update the encoder.")
	}
	if t.info.Kind != av.Video {
		return
	}
	longest := t.last - t.first
	if len(t.keys) > 0 {
		longest = t.last - t.keys[len(t.keys)-1]
		for i := 1; i < len(t.keys); i++ {
			longest = max(longest, t.keys[i]-t.keys[i-1])
		}
	}
	if longest > maxKeyGap {
		r.fault("long_gop", fmt.Sprintf("%s: no key frame for %v", t.name(), longest.Round(time.Millisecond)),
			"Set the key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g with twice the frame rate).")
	}
}

// judgeTogether looks for faults between tracks and metadata.
func (p *prober) judgeTogether(r *Report) {
	v, a := p.tracks[key{av.Video, 0}], p.tracks[key{av.Audio, 0}]
	if v != nil && a != nil && v.frames > 0 && a.frames > 0 {
		if d := (a.first - v.first).Abs(); d > maxOffset {
			r.fault("av_offset", fmt.Sprintf("audio and video begin %v apart", d.Round(time.Millisecond)),
				"Players show this as sound out of step if the encoder's times are wrong: compare with a clap.")
		}
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

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f s, %s", r.Duration, rate(r.Bitrate))
	if r.Encoder != "" {
		fmt.Fprintf(&b, ", made by %q", r.Encoder)
	}
	b.WriteString("\n")
	for i := range r.Tracks {
		b.WriteString("  " + r.Tracks[i].text() + "\n")
	}
	if len(r.Faults) == 0 {
		b.WriteString("no faults found\n")
	}
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "FAULT %s: %s\n      %s\n", f.Code, f.Detail, f.Advice)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Track) text() string {
	parts := []string{fmt.Sprintf("%s %d: %s", t.Kind, t.ID, t.Codec)}
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	if t.Profile != "" {
		parts[0] += " " + t.Profile
	}
	if t.Level != "" {
		parts[0] += "@" + t.Level
	}
	add(t.Width > 0, "%dx%d", t.Width, t.Height)
	add(t.Kind == "video", "%.4g frames/s", t.FrameRate)
	add(t.DeclaredFrameRate > 0 && math.Abs(t.DeclaredFrameRate-t.FrameRate) > 0.1*t.FrameRate, "declared %.4g", t.DeclaredFrameRate)
	add(t.SampleRate > 0, "%d Hz", t.SampleRate)
	add(t.Channels > 0, "%d channels", t.Channels)
	parts = append(parts, rate(t.Bitrate))
	if t.GOPFrames != nil {
		n := fmt.Sprint(t.GOPFrames[0])
		if t.GOPFrames[1] != t.GOPFrames[0] {
			n += fmt.Sprintf("-%d", t.GOPFrames[1])
		}
		parts = append(parts, fmt.Sprintf("GOP %s frames (%.3g s)", n, t.GOPSeconds))
	}
	add(t.Kind == "video" && t.BFrames, "B-frames")
	add(t.Kind == "video" && !t.BFrames, "no B-frames")
	return strings.Join(parts, ", ")
}

func rate(bps int64) string {
	if bps >= 1e6 {
		return fmt.Sprintf("%.2f Mbit/s", float64(bps)/1e6)
	}
	return fmt.Sprintf("%.0f kbit/s", float64(bps)/1e3)
}
