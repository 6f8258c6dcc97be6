package health

import (
	"fmt"
	"time"

	"weir/av"
)

// The bounds of the rules for one track.
const (
	// MaxKeyGap and longKeyGap are the times between two key frames from which on HLS begins late, and
	// players wait: 4 and 10 s, and a little for frame rates such as 29.97, which make 4 s 4.004.
	MaxKeyGap  = 4100 * time.Millisecond
	longKeyGap = 10100 * time.Millisecond
	// minRateShare is how much of the declared frame rate must come.
	minRateShare = 0.75
	// maxDeclared is the highest credible frame rate: a higher one is that of the clock.
	maxDeclared = 250
	// minRateFrames is how many frames are needed to tell a frame rate.
	minRateFrames = 10
	// maxBitrateShare is how much more than declared may come, and lowBitrateShare what is far less.
	maxBitrateShare = 1.5
	lowBitrateShare = 0.5
	// minDeclaredBitrate is the lowest credible bitrate of video: a lower one is a placeholder.
	minDeclaredBitrate = 64_000
)

// Track is what the rules go by of one track. The zero value of a figure says nothing.
type Track struct {
	// Info is the track as its configuration describes it.
	Info av.Track
	// Chroma and BitDepth are what Sampling returns.
	Chroma   string
	BitDepth int
	// NoHeader says that it needs a configuration and has none, BadHeader why it has none that can be used.
	NoHeader  bool
	BadHeader string
	// Frames is the number of media frames. FrameRate is how many come in a second while they come.
	Frames    int
	FrameRate float64
	// DeclaredFrameRate is what the configuration or the metadata promises.
	DeclaredFrameRate float64
	// Bitrate and DeclaredBitrate are in bits per second.
	Bitrate, DeclaredBitrate int64
	// KeyGap is the longest time between two key frames, or since the last one, gaps left out.
	KeyGap time.Duration
	// Gaps is how many times there were between two frames that are too long, of more than MaxGap; the
	// longest is LongestGap. Frames that are all far apart have none.
	Gaps               int
	MaxGap, LongestGap time.Duration
	// Back is how often the decoding time goes back a little.
	Back int
	// Mislabeled is the number of frames whose key flag the bitstream contradicts.
	Mislabeled int
	// Drift is how much the time stamps of sound gain on the sound.
	Drift Drift
	// Reorders says that there are B-frames.
	Reorders bool
	// Within ends sentences with numbers, such as " in the last minute".
	Within string
}

// Judge returns what is to be said of the track.
func (t *Track) Judge() []Finding {
	j := judge{about: &t.Info}
	t.judgeSetup(&j)
	if t.Back > 0 {
		j.find(KindBackward, fmt.Sprintf("%s: the decoding time goes back %s%s", j.name(), Plural(t.Back, "time"), t.Within),
			"Look for a second encoder on the same stream, or an unstable clock.")
	}
	if t.Gaps > 0 {
		j.find(KindGap, fmt.Sprintf("%s: %s of more than %v%s, the longest %v", j.name(), Plural(t.Gaps, "gap"), t.MaxGap, t.Within, t.LongestGap.Round(time.Millisecond)),
			"The encoder or its network drops out: lower the bitrate, or look at its CPU load.")
	}
	if d := t.Drift; d.By != 0 {
		j.find(KindDrift, fmt.Sprintf("%s: %v of sound in %v of time stamps: it drifts %v a second from the picture", j.name(),
			(d.In-d.By).Round(10*time.Millisecond), d.In.Round(10*time.Millisecond), d.perSecond()),
			"The sample rate in the header is not the real one, or the encoder stamps sound by a clock of another speed (ffmpeg: -af aresample=async=1).")
	}
	if t.Info.Kind == av.Video {
		t.judgeRates(&j)
		t.judgePicture(&j)
	}
	return j.found
}

// judge collects what is found of one track, or of a stream.
type judge struct {
	about *av.Track // nil: the stream
	found []Finding
}

// name is how sentences call the track.
func (j *judge) name() string { return name(j.about) }

func (j *judge) find(kind, sentence, setting string) {
	f := Finding{Kind: kind, Sentence: sentence, Setting: setting}
	if j.about != nil {
		f.Track = label(j.about)
	}
	j.found = append(j.found, f)
}

// info is find for what is no fault.
func (j *judge) info(kind, sentence, setting string) {
	j.find(kind, sentence, setting)
	j.found[len(j.found)-1].Info = true
}

// perSecond is how far it drifts in a second.
func (d Drift) perSecond() time.Duration {
	return time.Duration(d.By.Abs().Seconds() / d.In.Seconds() * float64(time.Second)).Round(100 * time.Microsecond)
}

// judgeSetup checks a track's configuration, and whether its frames are marked as what they are.
func (t *Track) judgeSetup(j *judge) {
	if t.NoHeader {
		j.find(KindNoHeader, j.name()+" has no sequence header: nobody can decode it",
			"Restart the encoder; if it is behind a relay, see whether that passes headers on.")
	}
	if t.BadHeader != "" {
		j.find(KindBadHeader, fmt.Sprintf("%s has a sequence header that cannot be used: %s", j.name(), t.BadHeader),
			"Restart or update the encoder; players that go by the header cannot play the track.")
	}
	if t.Mislabeled > 0 {
		j.find(KindKeyFlag, fmt.Sprintf("%s: the key-frame flag of %s contradicts what the frame holds%s", j.name(), Plural(t.Mislabeled, "frame"), t.Within),
			"Weir corrects it; other servers may start players in the wrong place. Update the encoder.")
	}
}

// judgeRates looks at key frames, frames and bits a second.
func (t *Track) judgeRates(j *judge) {
	const keyAdvice = "Set the key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g with twice the frame rate)."
	switch gap := t.KeyGap.Round(time.Millisecond); {
	case t.KeyGap > longKeyGap:
		j.find(KindKeyFrames, fmt.Sprintf("%s: no key frame for %v: players wait for it, and HLS begins late", j.name(), gap), keyAdvice)
	case t.KeyGap > MaxKeyGap:
		j.find(KindKeyFrames, fmt.Sprintf("%s: no key frame for %v: HLS begins late", j.name(), gap), keyAdvice)
	}
	if d := t.DeclaredFrameRate; d <= maxDeclared && t.Frames >= minRateFrames && t.FrameRate > 0 && t.FrameRate < minRateShare*d {
		j.find(KindFrameRate, fmt.Sprintf("%s: %.4g frames a second come, and %.4g are declared", j.name(), t.FrameRate, d),
			"The encoder cannot keep up: look at its CPU load, or lower size or rate. If it is meant to be so, declare the rate that it has.")
	}
	if t.DeclaredBitrate < minDeclaredBitrate || t.Bitrate <= 0 {
		return
	}
	rates := fmt.Sprintf("%s: %s come, and %s are declared", j.name(), Bitrate(t.Bitrate), Bitrate(t.DeclaredBitrate))
	switch share := float64(t.Bitrate) / float64(t.DeclaredBitrate); {
	case share > maxBitrateShare:
		j.find(KindBitrate, rates, "Bound the bitrate, so that viewers' connections carry it (OBS: Rate Control CBR; ffmpeg: -maxrate and -bufsize).")
	case share < lowBitrateShare:
		j.info(KindLowBitrate, rates, "The picture is easy, or the encoder sends less because its network carries no more: look whether it drops frames.")
	}
}

// judgePicture looks for what few can decode.
func (t *Track) judgePicture(j *judge) {
	const advice = "Encode 4:2:0 with 8 bits (ffmpeg: -pix_fmt yuv420p; OBS: Settings, Advanced, Color Format NV12)."
	switch {
	case t.Chroma != "":
		j.find(KindChroma, fmt.Sprintf("%s has %s chroma, which browsers, phones and televisions cannot decode", j.name(), t.Chroma), advice)
	case t.BitDepth > 8 && t.Info.Codec == av.H264:
		j.find(KindBitDepth, fmt.Sprintf("%s has %d bits a sample, which browsers, phones and televisions cannot decode in H.264", j.name(), t.BitDepth), advice)
	}
	if t.Reorders {
		j.info(KindReorder, j.name()+" has B-frames, which WebRTC players cannot play",
			"Only if players use WebRTC: turn B-frames off (OBS: Max B-frames 0; ffmpeg: -bf 0).")
	}
}
