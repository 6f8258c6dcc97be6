// Package health says what is wrong with a stream, and which setting of the encoder mends it. Its rules
// go by figures that are measured elsewhere: frame by frame in a probe, and by Monitor, once a second, in a
// running server. A rule that may be wrong stays silent.
package health

import (
	"fmt"
	"time"

	"weir/av"
)

// Finding is one thing that is to be said of a stream.
type Finding struct {
	// Kind is the rule's name, such as "long_gop".
	Kind string `json:"kind"`
	// Track is the one that it is about, such as "video 0"; empty if it is about the whole stream.
	Track string `json:"track,omitempty"`
	// Since is when it was found first; zero in a probe.
	Since time.Time `json:"since"`
	// Sentence says what is found.
	Sentence string `json:"sentence"`
	// Setting says what to change, in the encoder as a rule.
	Setting string `json:"setting"`
	// Info says that nothing is wrong: some players alone are concerned.
	Info bool `json:"info,omitempty"`
}

// The kinds of findings.
const (
	KindStalled      = "stalled"             // the publisher is connected and sends nothing
	KindBehind       = "behind"              // less of the stream comes than time goes by
	KindGap          = "gap"                 // frames are missing
	KindSilentTrack  = "silent_track"        // a track has stopped while another goes on
	KindMissingTrack = "missing_track"       // a track that the metadata promises has not come
	KindNoHeader     = "no_sequence_header"  // a track without the configuration that its codec needs
	KindBadHeader    = "bad_sequence_header" // a configuration that cannot be used
	KindKeyFlag      = "key_flag"            // frames marked as key frames that are none, or the other way round
	KindBackward     = "dts_backward"        // times that go back a little
	KindClockJump    = "clock_jump"          // the clock jumps
	KindShifted      = "track_shifted"       // a track began far from the others
	KindOffset       = "av_offset"           // sound and picture of one time come far apart
	KindDrift        = "drift"               // sound and picture have clocks of different speeds
	KindKeyFrames    = "long_gop"            // key frames that are far apart
	KindFrameRate    = "frame_rate"          // fewer frames than declared
	KindBitrate      = "bitrate"             // more bits than declared
	KindLowBitrate   = "low_bitrate"         // far fewer; for information
	KindChroma       = "chroma"              // a chroma format that few can decode
	KindBitDepth     = "bit_depth"           // a bit depth that few can decode
	KindReorder      = "b_frames"            // B-frames; for information
	KindNoSound      = "no_sound"            // no sound at all; for information
)

// faults are the kinds that are not for information.
var faults = []string{
	KindStalled, KindBehind, KindGap, KindSilentTrack, KindMissingTrack, KindNoHeader, KindBadHeader, KindKeyFlag, KindBackward,
	KindClockJump, KindShifted, KindOffset, KindDrift, KindKeyFrames, KindFrameRate, KindBitrate, KindChroma, KindBitDepth,
}

// name is how sentences call a track.
func name(t *av.Track) string { return fmt.Sprintf("%s track %d (%v)", t.Kind, t.ID, t.Codec) }

// label is how Finding.Track calls it.
func label(t *av.Track) string { return fmt.Sprintf("%s %d", t.Kind, t.ID) }

// Plural is a number of things.
func Plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Bitrate returns bits per second for people.
func Bitrate(bps int64) string {
	if bps == 0 {
		return "bitrate unknown"
	}
	if bps >= 1e6 {
		return fmt.Sprintf("%.2f Mbit/s", float64(bps)/1e6)
	}
	return fmt.Sprintf("%.0f kbit/s", float64(bps)/1e3)
}
