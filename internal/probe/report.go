package probe

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/av"
	"weir/internal/health"
)

// Report says what is in a stream and what is wrong with it. Durations are in seconds, rates in bits per second.
type Report struct {
	Duration float64 `json:"duration"`
	Bitrate  int64   `json:"bitrate"`
	Encoder  string  `json:"encoder,omitempty"`
	Tracks   []Track `json:"tracks"`
	// LeftOut names the tracks that Weir cannot carry.
	LeftOut []string `json:"left_out,omitempty"`
	Faults  []Fault  `json:"faults"`
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
	Chroma            string  `json:"chroma,omitempty"`    // unless it is 4:2:0
	BitDepth          int     `json:"bit_depth,omitempty"` // unless it is 8
	Frames            int     `json:"frames"`
	Bitrate           int64   `json:"bitrate"`
}

// Fault is something wrong with the stream.
type Fault struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Advice string `json:"advice"`
}

// report makes the report.
func (p *prober) report() *Report {
	r := &Report{Duration: seconds(p.line.Head()), Tracks: []Track{}, LeftOut: p.condition.LeftOut, Faults: []Fault{}}
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
			r.fault("empty_track", t.name()+" has a configuration but no frames", "Remove the track from the encoder, or see why it sends nothing.")
			continue
		}
		x := p.describe(t)
		r.Bitrate += x.Bitrate
		r.Tracks = append(r.Tracks, x)
		r.judge(t, &x)
	}
	p.judgeTogether(r)
	r.judgeSource(&p.condition)
	return r
}

func (t *track) name() string {
	return fmt.Sprintf("%s track %d (%v)", t.info.Kind, t.info.ID, t.info.Codec)
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func (p *prober) describe(t *track) Track {
	x := Track{
		Kind: t.info.Kind.String(), ID: t.info.ID, Codec: t.info.Codec.String(), Profile: t.info.Profile, Level: t.info.Level,
		Width: t.info.Size.Width, Height: t.info.Size.Height, DeclaredFrameRate: t.info.FrameRate, BFrames: t.reorder,
		SampleRate: t.info.SampleRate, Channels: t.info.Channels, Frames: t.frames,
	}
	x.Chroma, x.BitDepth = health.Sampling(t.info.Codec, t.config)
	if declared, ok := p.metadata.GetNumber("framerate"); ok && x.DeclaredFrameRate == 0 && t.info.Kind == av.Video && t.info.ID == 0 {
		x.DeclaredFrameRate = declared
	}
	if span, steps := t.running(); span > 0 {
		x.FrameRate = math.Round(float64(steps)/span.Seconds()*100) / 100
		x.Bitrate = int64(float64((t.bytes-t.lead.bytes)*8) * float64(steps) / float64(t.frames-t.lead.steps) / span.Seconds())
	}
	if t.keys.n > 1 {
		x.GOPFrames = []int{t.keys.fewest, t.keys.most}
		x.GOPSeconds = seconds((t.keys.last - t.keys.first + t.squeezed()) / time.Duration(t.keys.n-1))
	}
	return x
}

// running returns how long frames came, without gaps, and how many steps between frames there were.
func (t *track) running() (span time.Duration, steps int) {
	if t.gapped() {
		return t.flow, t.steps
	}
	if t.lead.steps > 0 {
		return t.last - t.lead.end, t.frames - 1 - t.lead.steps
	}
	return t.last - t.first, t.frames - 1
}

// squeezed returns by how much shorter the lead, which begins with the first key frame, is than its pictures lasted, as far as the
// others tell.
func (t *track) squeezed() time.Duration {
	span, steps := t.running()
	if t.lead.steps == 0 || steps <= 0 {
		return 0
	}
	return max(0, span*time.Duration(t.lead.steps)/time.Duration(steps)-(t.lead.end-t.first))
}

// keyGap returns the longest time without a key frame.
func (t *track) keyGap() time.Duration {
	switch t.keys.n {
	case 0:
		return t.last - t.first
	case 1:
		return t.last - t.keys.last + t.squeezed()
	}
	return max(t.keys.gap+t.squeezed(), t.keys.longest, t.last-t.keys.last)
}

// gapped reports whether the track has gaps. A track with only gaps is a slow one.
func (t *track) gapped() bool { return t.gaps > 0 && t.gaps < t.steps }

func (r *Report) fault(code, detail, advice string) {
	r.Faults = append(r.Faults, Fault{code, detail, advice})
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f s, %s", r.Duration, health.Bitrate(r.Bitrate))
	if r.Encoder != "" {
		fmt.Fprintf(&b, ", made by %q", r.Encoder)
	}
	b.WriteString("\n")
	for i := range r.Tracks {
		b.WriteString("  " + r.Tracks[i].text() + "\n")
	}
	for _, name := range r.LeftOut {
		b.WriteString("  left out: " + name + ", which cannot be carried\n")
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
	add(t.Chroma != "", "%s", t.Chroma)
	add(t.BitDepth > 0, "%d bits", t.BitDepth)
	add(t.Kind == "video" && t.FrameRate > 0, "%.4g frames/s", t.FrameRate)
	add(t.DeclaredFrameRate > 0 && math.Abs(t.DeclaredFrameRate-t.FrameRate) > 0.1*t.FrameRate, "declared %.4g", t.DeclaredFrameRate)
	add(t.SampleRate > 0, "%d Hz", t.SampleRate)
	add(t.Channels == 1, "mono")
	add(t.Channels > 1, "%d channels", t.Channels)
	parts = append(parts, health.Bitrate(t.Bitrate))
	if t.GOPFrames != nil {
		n := strconv.Itoa(t.GOPFrames[0])
		if t.GOPFrames[1] != t.GOPFrames[0] {
			n += fmt.Sprintf("-%d", t.GOPFrames[1])
		}
		parts = append(parts, fmt.Sprintf("GOP %s frames (%.3g s)", n, t.GOPSeconds))
	}
	add(t.Kind == "video" && t.BFrames, "B-frames")
	add(t.Kind == "video" && !t.BFrames, "no B-frames")
	return strings.Join(parts, ", ")
}
