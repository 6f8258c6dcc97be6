package push

import (
	"fmt"
	"time"

	"weir/internal/stream"
)

// Note is something about a stream that a service does not want, although it may take it.
type Note struct {
	Since    time.Time // when it was found first
	Sentence string
	Setting  string // what to change, in the encoder
}

const (
	// keySlack is how much longer than wanted the time between two key frames may be: frame rates such
	// as 29.97 make 2 s 2.002.
	keySlack = 100 * time.Millisecond
	// bitrateSlack is how much more than wanted may come.
	bitrateSlack = 1.1
)

// notes returns what there is to say of a stream that goes to a service.
func notes(s *service, st *stream.Stream) (list []Note) {
	stats := st.Stats()
	if !stats.Live {
		return nil
	}
	if gap := stats.KeyInterval; s.most > 0 && gap > s.most+keySlack {
		list = append(list, Note{
			time.Time{},
			fmt.Sprintf("key frames every %v; %s wants %v", gap.Round(100*time.Millisecond), s.title, s.keys),
			fmt.Sprintf("Set the key-frame interval to %d seconds (OBS: Keyframe Interval; ffmpeg: -g with that many times the frame rate).", int(s.keys.Seconds())),
		})
	}
	if s.bitrate > 0 && float64(stats.Bitrate) > bitrateSlack*float64(s.bitrate) {
		list = append(list, Note{
			time.Time{},
			fmt.Sprintf("%.1f Mbit/s; %s takes %.1f Mbit/s", float64(stats.Bitrate)/1e6, s.title, float64(s.bitrate)/1e6),
			"Lower the bitrate of the encoder, or send this service a stream of its own.",
		})
	}
	return list
}
