package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxStreams is how many streams have series of their own. Those beyond share one, otherStreams, which
	// is no stream's path: that has a slash.
	maxStreams   = 1000
	otherStreams = "other"
	// keepOffline is how long the series of a stream without a publisher stay, at 0.
	keepOffline = 5 * time.Minute
)

// Stream is what one stream that has a publisher does now.
type Stream struct {
	Path          string
	Bitrate       int64         // bits per second
	FrameRate     float64       // pictures a second; 0: unknown
	KeyInterval   time.Duration // between key frames
	Width, Height int           // 0: unknown
	Players       int
	Faults        int // things that are wrong with it
}

// perStream collects the series of single streams.
type perStream struct {
	source func(yield func(Stream)) (on bool)

	mu   sync.Mutex           // guards below
	seen map[string]time.Time // when those that have series of their own had a publisher last

	bitrate, frameRate, keyInterval, width, height, players, faults *prometheus.Desc
}

func newPerStream(source func(yield func(Stream)) bool) *perStream {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"stream"}, nil)
	}
	return &perStream{
		source: source, seen: map[string]time.Time{},
		bitrate:     desc("weir_stream_bits_per_second", "What the stream's publisher sent over the last two seconds."),
		frameRate:   desc("weir_stream_frames_per_second", "Pictures a second of the stream; 0 while unknown."),
		keyInterval: desc("weir_stream_key_interval_seconds", "Time between the stream's newest two key frames, or since the newest."),
		width:       desc("weir_stream_width_pixels", "Width of the stream's picture; 0 while unknown."),
		height:      desc("weir_stream_height_pixels", "Height of the stream's picture; 0 while unknown."),
		players:     desc("weir_stream_players", "Players of the stream."),
		faults:      desc("weir_stream_faults", "Things that are wrong with the stream; 0 is healthy."),
	}
}

// Describe implements prometheus.Collector.
func (p *perStream) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.bitrate, p.frameRate, p.keyInterval, p.width, p.height, p.players, p.faults} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *perStream) Collect(ch chan<- prometheus.Metric) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, live := time.Now(), map[string]bool{}
	for path, at := range p.seen {
		if now.Sub(at) > keepOffline {
			delete(p.seen, path)
		}
	}
	other, others := Stream{Path: otherStreams}, 0
	on := p.source(func(s Stream) {
		if _, ok := p.seen[s.Path]; !ok && len(p.seen) >= maxStreams {
			others++
			other.Bitrate += s.Bitrate
			other.Players += s.Players
			other.Faults += s.Faults
			return
		}
		p.seen[s.Path], live[s.Path] = now, true
		p.emit(ch, &s, true)
	})
	if !on {
		clear(p.seen)
		return
	}
	for path := range p.seen {
		if !live[path] {
			p.emit(ch, &Stream{Path: path}, true)
		}
	}
	if others > 0 {
		p.emit(ch, &other, false)
	}
}

// emit makes the series of one stream, or those of several that can be added up.
func (p *perStream) emit(ch chan<- prometheus.Metric, s *Stream, one bool) {
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Path)
	}
	gauge(p.bitrate, float64(s.Bitrate))
	gauge(p.players, float64(s.Players))
	gauge(p.faults, float64(s.Faults))
	if one {
		gauge(p.frameRate, s.FrameRate)
		gauge(p.keyInterval, s.KeyInterval.Seconds())
		gauge(p.width, float64(s.Width))
		gauge(p.height, float64(s.Height))
	}
}
