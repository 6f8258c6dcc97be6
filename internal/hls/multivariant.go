package hls

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/m3u8"
	"weir/internal/stream"
)

// Multivariant renders the multivariant playlist. link makes a media playlist's URI of its
// name. It fails with ErrNothing if there is no segment.
func (p *Packager) Multivariant(link func(name string) string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.presentable() {
		return nil, ErrNothing
	}
	p.shown = true
	main := p.renditions[0]
	out := m3u8.Multivariant{Version: 6, IndependentSegments: p.pace.regular || main.lead.kind == av.Audio}
	v := m3u8.Variant{URI: link(main.PlaylistName()), ClosedCaptions: "NONE"}
	codecs := codecsOf(main.tracks)
	for i := range main.tracks {
		if t := &main.tracks[i]; t.Kind == av.Video {
			v.Width, v.Height = t.Size.Width, t.Size.Height
			v.FrameRate = main.rate(t.FrameRate)
		}
	}
	peak, average := main.bits.peak, main.bits.average()
	if len(p.renditions) > 1 {
		const group = "sound"
		v.Audio = group
		var most, mostAverage int
		for i, r := range p.renditions {
			own := r.tracks
			if i == 0 {
				own = slices.DeleteFunc(slices.Clone(own), func(t stream.TrackHeader) bool { return t.Kind != av.Audio })
			}
			if len(own) != 1 {
				continue
			}
			t := &own[0]
			m := m3u8.Rendition{
				Type: m3u8.TypeAudio, GroupID: group, Name: "Sound " + strconv.Itoa(int(t.ID)+1),
				Default: len(out.Renditions) == 0, Autoselect: true, Channels: strconv.Itoa(max(t.Channels, 1)),
			}
			if i > 0 {
				m.URI = link(r.PlaylistName())
				most, mostAverage = max(most, r.bits.peak), max(mostAverage, r.bits.average())
			}
			for _, c := range codecsOf(own) {
				if !slices.Contains(codecs, c) {
					codecs = append(codecs, c)
				}
			}
			out.Renditions = append(out.Renditions, m)
		}
		peak, average = peak+most, average+mostAverage
	}
	v.Bandwidth, v.AverageBandwidth = max(peak, 1), average
	v.Codecs = strings.Join(codecs, ",")
	out.Variants = []m3u8.Variant{v}
	return out.Append(nil), nil
}

// rate returns the frame rate that the bitstream declares if it fits what is measured, else that.
func (r *Rendition) rate(declared float64) float64 {
	measured := r.bits.fps
	if declared > 0 && (measured <= 0 || math.Abs(declared-measured) <= declared/10) {
		measured = declared
	}
	return math.Round(measured*1000) / 1000
}

func codecsOf(tracks []stream.TrackHeader) (list []string) {
	for i := range tracks {
		if s, err := fmp4.CodecString(tracks[i].Track); err == nil && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// String describes the packager, for logs.
func (p *Packager) String() string { return fmt.Sprintf("HLS of %s", p.path) }

// rate measures what segments need.
type rate struct {
	peak  int // bits per second of the worst segment
	bytes int64
	time  time.Duration
	fps   float64
}

func (r *rate) add(s *segment, leadFrames int) {
	if s.duration <= 0 {
		return
	}
	r.peak = max(r.peak, int(float64(s.size)*8/s.duration.Seconds()))
	r.bytes += int64(s.size)
	r.time += s.duration
	r.fps = float64(leadFrames) / s.duration.Seconds()
}

func (r *rate) average() int {
	if r.time <= 0 {
		return 0
	}
	return min(int(float64(r.bytes)*8/r.time.Seconds()), r.peak)
}
