package admin

import (
	"time"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// Stream is one stream in the API: durations in seconds, rates in bits per second.
type Stream struct {
	Path          string       `json:"path"`
	Live          bool         `json:"live"`
	Started       *time.Time   `json:"started,omitempty"`
	Duration      float64      `json:"duration"`
	Players       int          `json:"players"`
	Publisher     *Publisher   `json:"publisher,omitempty"`
	Publishers    int          `json:"publishers"`
	BytesReceived int64        `json:"bytes_received"`
	Bitrate       int64        `json:"bitrate"`      // over the last two seconds
	Stalled       bool         `json:"stalled"`      // the publisher is connected and sends nothing
	Silent        float64      `json:"silent"`       // for how long it has sent nothing
	KeyInterval   float64      `json:"key_interval"` // the longest of the present publisher
	Frames        FrameCounts  `json:"frames"`
	Repairs       RepairCounts `json:"repairs"`
	Tracks        []Track      `json:"tracks"`
}

// Publisher is the publisher of a stream.
type Publisher struct {
	Session  string `json:"session"`
	Protocol string `json:"protocol"`
	Remote   string `json:"remote"`
}

// FrameCounts are the frames that a stream has received, and those of them that it dropped.
type FrameCounts struct {
	Video   int64 `json:"video"`
	Audio   int64 `json:"audio"`
	Data    int64 `json:"data"`
	Dropped int64 `json:"dropped"`
}

// RepairCounts are the faults of a stream's publishers that were repaired, by kind.
type RepairCounts struct {
	Clamped    int64 `json:"clamped"`
	Jumps      int64 `json:"jumps"`
	Shifted    int64 `json:"shifted"`
	Mislabeled int64 `json:"mislabeled"`
}

// Track is one track of a stream.
type Track struct {
	Kind       string  `json:"kind"`
	ID         uint8   `json:"id"`
	Codec      string  `json:"codec"`
	Profile    string  `json:"profile,omitempty"`
	Level      string  `json:"level,omitempty"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty"`
	SampleRate int     `json:"sample_rate,omitempty"`
	Channels   int     `json:"channels,omitempty"`
	// Unusable says why HLS and MPEG-TS leave the track out; empty if they do not.
	Unusable string `json:"unusable,omitempty"`
}

func (s *server) listStreams() any {
	list := []Stream{}
	for _, st := range s.Hub.List() {
		list = append(list, describeStream(st))
	}
	return map[string]any{"streams": list}
}

func describeStream(st *stream.Stream) Stream {
	stats := st.Stats()
	info := Stream{
		Path: st.Path(), Live: stats.Live, Duration: stats.Duration.Seconds(),
		Players: stats.Players, Publishers: stats.Publishers, BytesReceived: stats.Bytes, KeyInterval: stats.KeyInterval.Seconds(),
		Frames:  FrameCounts{stats.Frames[av.Video], stats.Frames[av.Audio], stats.Frames[av.Data], stats.Dropped},
		Repairs: RepairCounts{stats.Clamped, stats.Jumps, stats.Shifted, stats.Mislabeled},
		Tracks:  []Track{},
	}
	if !stats.Started.IsZero() {
		info.Started = &stats.Started
	}
	if p, ok := st.Publisher(); ok {
		info.Publisher = &Publisher{p.Session, p.Protocol, p.Remote}
		info.Bitrate, info.Stalled, info.Silent = stats.Bitrate, stats.Stalled, stats.Silent.Seconds()
	}
	for _, t := range st.Headers().Tracks {
		unusable := ""
		if t.Unusable != nil {
			unusable = t.Unusable.Error()
		}
		info.Tracks = append(info.Tracks, Track{
			Kind: t.Kind.String(), ID: t.ID, Codec: t.Codec.String(), Profile: t.Profile, Level: t.Level,
			Width: t.Size.Width, Height: t.Size.Height, FrameRate: t.FrameRate,
			SampleRate: t.SampleRate, Channels: t.Channels, Unusable: unusable,
		})
	}
	return info
}

// Session is one session in the API.
type Session struct {
	ID            string       `json:"id"`
	Protocol      string       `json:"protocol"`
	Role          session.Role `json:"role"`
	Stream        string       `json:"stream,omitempty"`
	Remote        string       `json:"remote"`
	UserAgent     string       `json:"user_agent,omitempty"`
	Started       time.Time    `json:"started"`
	Duration      float64      `json:"duration"`
	BytesReceived uint64       `json:"bytes_received"`
	BytesSent     uint64       `json:"bytes_sent"`
	Skips         uint64       `json:"skips"`
}

func (s *server) listSessions() any {
	list := []Session{}
	for _, x := range s.Sessions.List() {
		list = append(list, Session{
			ID: x.ID, Protocol: x.Protocol, Role: x.Role(), Stream: x.Stream(), Remote: x.From(), UserAgent: x.UserAgent(),
			Started: x.Started, Duration: time.Since(x.Started).Seconds(),
			BytesReceived: x.BytesIn.Load(), BytesSent: x.BytesOut.Load(), Skips: x.Skips.Load(),
		})
	}
	return map[string]any{"sessions": list}
}
