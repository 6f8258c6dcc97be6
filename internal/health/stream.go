package health

import (
	"fmt"
	"time"

	"weir/av"
)

// The bounds of the rules for a whole stream.
const (
	// maxSilence is how long a publisher may send nothing.
	maxSilence = 2 * time.Second
	// maxBegin is how far apart the first frames of sound and picture may be.
	maxBegin = 100 * time.Millisecond
	// maxLead is how far sound and picture of one time may come apart for long: players that keep less in
	// their buffer have one without the other.
	maxLead = time.Second
	// minSpeed is how much of the stream must come in the time that it lasts.
	minSpeed = 0.85
	// maxQuiet is how long sound may stop while the picture goes on, and the other way round.
	maxQuiet = 5 * time.Second
)

// Stream is what the rules go by of a whole stream. The zero value of a figure says nothing.
type Stream struct {
	// Silence is for how long the publisher, which is connected, has sent nothing.
	Silence time.Duration
	// Speed is how much of the stream comes in the time that it lasts: 1 is as it should be. SpeedOver is the
	// time over which it was measured.
	Speed     float64
	SpeedOver time.Duration
	// Quiet are the tracks that have stopped while others go on.
	Quiet []Quiet
	// Missing are the tracks that the metadata promises and that have not come.
	Missing []av.Kind
	// NoSound says that there is no sound, and none was promised.
	NoSound bool
	// Jumps is how often the clock jumps, and Shifted how many tracks began far from the others.
	Jumps, Shifted int
	// Begin is how far apart the first frames of sound and picture are.
	Begin time.Duration
	// Lead is how much further the picture that has come is than the sound, at the least of late; negative
	// if the sound is.
	Lead time.Duration
	// Drift is how much the sound falls behind the picture.
	Drift Drift
	// Within ends sentences with numbers, such as " in the last minute".
	Within string
}

// Quiet is a track that has stopped.
type Quiet struct {
	Info av.Track
	For  time.Duration
	// Step is the time between two of its frames before.
	Step time.Duration
}

// Judge returns what is to be said of the stream, besides of each of its tracks.
func (s *Stream) Judge() []Finding {
	var j judge
	if s.Silence >= maxSilence {
		j.find(KindStalled, fmt.Sprintf("the publisher is connected and has sent nothing for %v", s.Silence.Round(time.Second)),
			"See whether the encoder runs, and whether its network carries the stream.")
		return j.found // all else follows from it
	}
	if s.Speed > 0 && s.Speed < minSpeed {
		over := s.SpeedOver.Seconds()
		j.find(KindBehind, fmt.Sprintf("%.1f s of the stream have come in %.1f s: players run out of it", s.Speed*over, over),
			"The encoder or its network is too slow: lower the bitrate, or take a faster preset or a smaller picture.")
	}
	s.judgeTracks(&j)
	if s.Jumps > 0 {
		j.find(KindClockJump, fmt.Sprintf("the clock jumps %s%s", Plural(s.Jumps, "time"), s.Within), ClockAdvice)
	}
	if s.Shifted > 0 {
		j.find(KindShifted, fmt.Sprintf("%s began far from the others%s, and %s moved to them", Plural(s.Shifted, "track"), s.Within, was(s.Shifted)),
			"Sound and picture have different clocks: take both from one device, or restart the encoder. See with a clap whether they are in step.")
	}
	if s.Begin.Abs() > maxBegin {
		j.find(KindOffset, fmt.Sprintf("audio and video begin %v apart", s.Begin.Abs().Round(time.Millisecond)),
			"Players show this as sound out of step if the encoder's times are wrong: compare with a clap.")
	}
	if s.Lead.Abs() > maxLead {
		first, second := "sound", "picture"
		if s.Lead < 0 {
			first, second = second, first
		}
		j.find(KindOffset, fmt.Sprintf("the %s comes %v later than the %s of the same time: players must keep more than that, or stop", first, s.Lead.Abs().Round(10*time.Millisecond), second),
			"Let the encoder send both at once: take out a delay that one of them has (OBS: Advanced Audio Properties, Sync Offset; ffmpeg: -itsoffset), or lower its look-ahead.")
	}
	if d := s.Drift; d.By != 0 {
		way := "behind"
		if d.By < 0 {
			way = "ahead of"
		}
		j.find(KindDrift, fmt.Sprintf("the sound falls %v %s the picture in %v: it drifts %v a second", d.By.Abs().Round(10*time.Millisecond), way,
			d.In.Round(10*time.Millisecond), d.perSecond()),
			"One of the two has a clock of another speed: take both from one device, or let the encoder resample the sound (ffmpeg: -af aresample=async=1).")
	}
	return j.found
}

// ClockAdvice is what to do about a clock that jumps.
const ClockAdvice = "The encoder was restarted, or two files were joined, or its clock was set: one stream should have one clock. Weir's players see it go on."

// judgeTracks looks for tracks that should be there.
func (s *Stream) judgeTracks(j *judge) {
	for _, q := range s.Quiet {
		if q.For < maxQuiet || q.For < 4*q.Step {
			continue
		}
		j.about = &q.Info
		other := "the picture"
		if q.Info.Kind == av.Video {
			other = "the sound"
		}
		j.find(KindSilentTrack, fmt.Sprintf("%s has stopped for %v while %s goes on", name(&q.Info), q.For.Round(time.Second), other),
			"See whether its source is connected and chosen in the encoder, and whether the encoder keeps up.")
		j.about = nil
	}
	for _, kind := range s.Missing {
		j.find(KindMissingTrack, fmt.Sprintf("the metadata promises %s, and none came", kind),
			"Some players wait for it: remove the track from the encoder's settings, or connect its source.")
	}
	if s.NoSound {
		j.info(KindNoSound, "the stream has no sound", "If it should have, choose a source of sound in the encoder.")
	}
}

// was returns "was" or "were" for a number of things.
func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
