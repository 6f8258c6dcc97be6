package hls

import (
	"slices"
	"time"

	"weir/av"
	"weir/format/mpegts"
	"weir/internal/stream"
)

// textTrack is what texts go out on.
var textTrack = av.Track{Kind: av.Data, Codec: mpegts.ID3}

// tsContainer writes MPEG-TS: a segment begins with the tables, and each sound packet
// holds some frames.
type tsContainer struct {
	muxer *mpegts.Muxer
}

func (c *tsContainer) ext() string { return ".ts" }

func (c *tsContainer) check(t *av.Track) error { return mpegts.CheckTrack(t) }

func (c *tsContainer) begin(headers []stream.TrackHeader, discontinuity bool) ([]byte, error) {
	tracks := make([]av.Track, len(headers), len(headers)+1)
	for i := range headers {
		tracks[i] = headers[i].Track
	}
	tracks = append(tracks, textTrack)
	var err error
	if c.muxer == nil {
		c.muxer, err = mpegts.NewMuxer(tracks, mpegts.Options{Gather: mpegts.MaxGather})
		return nil, err
	}
	if discontinuity {
		c.muxer.Discontinue()
	}
	return nil, c.muxer.SetTracks(tracks)
}

func (c *tsContainer) encode(frames []frame, texts []text, _ trackKey, _ time.Duration, first bool) []byte {
	for i := range texts {
		f := frame{at: texts[i].at}
		f.Kind, f.Codec, f.Track, f.Payload = textTrack.Kind, textTrack.Codec, textTrack.ID, texts[i].tag
		f.DTS, f.PTS = f.at, f.at
		frames = append(frames, f)
	}
	slices.SortStableFunc(frames, func(a, b frame) int { return int(a.at - b.at) })
	size := 0
	for i := range frames {
		size += len(frames[i].Payload)
	}
	b := make([]byte, 0, size+size/16+4*mpegts.PacketSize*(len(frames)+2)/3)
	if first {
		b = c.muxer.AppendTables(b)
	}
	for i := range frames {
		f := frames[i].Frame
		f.PTS += frames[i].at - f.DTS
		f.DTS = frames[i].at
		f.Flags &^= av.Discontinuity // begin has said so
		// A frame that cannot be carried is damaged: players go on without it.
		b, _ = c.muxer.AppendFrame(b, &f)
	}
	return c.muxer.Flush(b)
}
