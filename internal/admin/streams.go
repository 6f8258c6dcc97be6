package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/av"
	"weir/internal/session"
	"weir/internal/stream"
)

// Stream is one stream in the API: durations in seconds, rates in bits per second.
type Stream struct {
	Path          string       `json:"path" doc:"Its name: application and name." example:"live/cam"`
	Live          bool         `json:"live" doc:"Whether it has a publisher now."`
	Started       *time.Time   `json:"started,omitempty" doc:"When its first frame came."`
	Duration      float64      `json:"duration" doc:"Seconds of media so far."`
	Players       int          `json:"players" doc:"Who plays it or waits for it."`
	Publisher     *Publisher   `json:"publisher,omitempty" doc:"Absent while it waits for one."`
	Publishers    int          `json:"publishers" doc:"Publishers so far."`
	BytesReceived int64        `json:"bytes_received" doc:"Bytes of media received."`
	Bitrate       int64        `json:"bitrate" doc:"Bits per second received over the last two seconds."`
	BitrateOut    int64        `json:"bitrate_out" doc:"Bits per second sent to its players over the last two seconds."`
	FrameRate     float64      `json:"frames_per_second" doc:"Pictures per second received over the last ten seconds; 0 before that, and without a picture."`
	Stalled       bool         `json:"stalled" doc:"The publisher is connected and sends nothing."`
	Silent        float64      `json:"silent" doc:"Seconds for which the publisher has sent nothing."`
	KeyInterval   float64      `json:"key_interval" doc:"The longest time between two key frames of the present publisher, in seconds."`
	Frames        FrameCounts  `json:"frames"`
	Repairs       RepairCounts `json:"repairs"`
	Tracks        []Track      `json:"tracks" nullable:"false"`
}

// Publisher is the publisher of a stream.
type Publisher struct {
	Session  string `json:"session" doc:"The id of its session."`
	Protocol string `json:"protocol" example:"rtmp"`
	Remote   string `json:"remote" example:"203.0.113.7:51234"`
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
	Clamped    int64 `json:"clamped" doc:"Times that went back a little."`
	Jumps      int64 `json:"jumps" doc:"Jumps of the clock."`
	Shifted    int64 `json:"shifted" doc:"Tracks that began far from the others."`
	Mislabeled int64 `json:"mislabeled" doc:"Frames whose key flag the bitstream contradicts."`
}

// Track is one track of a stream.
type Track struct {
	Kind       string  `json:"kind" enum:"video,audio,data"`
	ID         uint8   `json:"id"`
	Codec      string  `json:"codec" example:"H.264"`
	Profile    string  `json:"profile,omitempty"`
	Level      string  `json:"level,omitempty"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty" doc:"Frames per second, as the track says."`
	SampleRate int     `json:"sample_rate,omitempty"`
	Channels   int     `json:"channels,omitempty"`
	// Unusable says why HLS and MPEG-TS leave the track out; empty if they do not.
	Unusable string `json:"unusable,omitempty" doc:"Why HLS and MPEG-TS leave the track out."`
}

// Finding is one thing that is to be said of a stream.
type Finding struct {
	Kind     string    `json:"kind" doc:"A word for programs." example:"long_gop"`
	Track    string    `json:"track,omitempty" doc:"The track that it is about; absent if it is about the whole stream." example:"video 0"`
	Since    time.Time `json:"since" doc:"When it was found first."`
	Sentence string    `json:"sentence" doc:"What is found, and what follows from it."`
	Setting  string    `json:"setting" doc:"What to change, in the encoder as a rule."`
	Info     bool      `json:"info,omitempty" doc:"Nothing is wrong: some players alone are concerned."`
}

// StreamDetail is all that the API says of one stream.
type StreamDetail struct {
	Stream
	LastFrameAge *float64 `json:"last_frame_age,omitempty" doc:"Seconds since the newest frame; absent before the first."`
	// Health is nil if nobody judges it.
	Health   []Finding `json:"health,omitzero" nullable:"false" doc:"What is wrong with it now, each as a sentence with the setting to change; empty if nothing is."`
	Sessions []Session `json:"sessions" nullable:"false" doc:"Who publishes and plays it: the oldest 1000. /sessions?stream= has them all."`
}

// streamName is the path parameter of a stream.
type streamName struct {
	Path string `path:"path" maxLength:"1024" doc:"The stream's path, with slashes or %2F for them." example:"live/cam"`
}

// streamsQuery asks for streams.
type streamsQuery struct {
	Page
	Filter
}

// streamsAnswer is a list of streams.
type streamsAnswer struct {
	Body struct {
		Listed
		Streams []Stream `json:"streams" nullable:"false"`
	} `nameHint:"Streams"`
}

func (s *Server) routeStreams(api huma.API) {
	register(api, huma.Operation{
		OperationID: "listStreams", Method: http.MethodGet, Path: "/streams", Tags: []string{"streams"},
		Summary: "List the streams", Description: "In the order of their paths: those that are published, wait for their publisher's return, or are waited for.",
	}, s.listStreams)
	register(api, huma.Operation{
		OperationID: "getStream", Method: http.MethodGet, Path: "/streams/{path}", Tags: []string{"streams"},
		Summary: "Describe a stream", Description: "With its tracks, rates, health and sessions.",
	}, s.getStream)
	register(api, huma.Operation{
		OperationID: "endStream", Method: http.MethodDelete, Path: "/streams/{path}", Tags: []string{"streams"},
		Summary: "End a stream", Description: "Its publisher and players are disconnected, and nobody waits for the publisher's return. The publisher may come back: to keep it away, revoke its key.",
	}, s.endStream)
}

func (s *Server) listStreams(_ context.Context, q *streamsQuery) (a *streamsAnswer, err error) {
	var fit []*stream.Stream
	for _, st := range s.conf.Hub.List() {
		p, live := st.Publisher()
		if q.fits(st.Path(), p.Protocol, func() bool { return live }) {
			fit = append(fit, st)
		}
	}
	a = &streamsAnswer{}
	a.Body.Streams, a.Body.Listed, err = list(&q.Page, fit, (*stream.Stream).Path, s.describeStream)
	return a, err
}

// detailAnswer is one stream.
type detailAnswer struct{ Body StreamDetail }

func (s *Server) getStream(_ context.Context, q *streamName) (*detailAnswer, error) {
	st := s.conf.Hub.Get(q.Path)
	if st == nil {
		return nil, notFound("stream", q.Path)
	}
	d := StreamDetail{Stream: s.describeStream(st), Sessions: []Session{}}
	if stats := st.Stats(); !stats.Started.IsZero() {
		age := stats.Age.Seconds()
		d.LastFrameAge = &age
	}
	if s.conf.Health != nil {
		d.Health = append([]Finding{}, s.conf.Health(q.Path)...)
	}
	for _, x := range s.conf.Sessions.List() {
		if x.Stream() == q.Path && len(d.Sessions) < maxListed {
			d.Sessions = append(d.Sessions, describeSession(x))
		}
	}
	return &detailAnswer{d}, nil
}

// errEnded is the cause of what the API ends.
var errEnded = session.Because(session.Kicked, errors.New("ended through the API"))

func (s *Server) endStream(ctx context.Context, q *streamName) (*struct{}, error) {
	if !s.conf.Hub.End(q.Path, errEnded) {
		return nil, notFound("stream", q.Path)
	}
	s.changed(ctx, "stream ended", slog.String("stream", q.Path))
	return nil, nil //nolint:nilnil // nothing is answered
}

func (s *Server) describeStream(st *stream.Stream) Stream {
	stats := st.Stats()
	info := Stream{
		Path: st.Path(), Live: stats.Live, BitrateOut: s.conf.Sessions.StreamRate(st.Path()), Duration: stats.Duration.Seconds(),
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
		if s.conf.FrameRate != nil {
			info.FrameRate = s.conf.FrameRate(st.Path())
		}
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
