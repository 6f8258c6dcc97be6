package fmp4

import (
	"errors"
	"fmt"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/opus"
)

// Track is a track of a presentation: its description and its number in the file.
type Track struct {
	av.Track
	// ID is the number of the track, from 1 on, which fragments name it by.
	ID uint32
	// Timescale is the ticks in a second of the track's times; 0 is Timescale(Track).
	Timescale uint32
	// Name is what players call the track, such as "Commentary"; empty is "Video" or "Sound".
	Name string
	// First is, of AC-3 and E-AC-3, which have no configuration record, a frame that
	// the sample entry is made of; nil makes it of the sample rate and the channels.
	First []byte
}

// Errors of this package.
var (
	// ErrCodec is returned for tracks that MP4, as this package writes it, cannot carry.
	ErrCodec = errors.New("the codec cannot be carried in MP4")
	// ErrConfig is returned for a configuration record that is missing or damaged.
	ErrConfig = errors.New("no usable codec configuration")
	// ErrTooLarge is returned for fragments of 2 GiB and more.
	ErrTooLarge = errors.New("too large")
	// ErrTrack is returned for track numbers that are 0 or not unique.
	ErrTrack = errors.New("bad track number")
)

// Supported reports whether a codec can be carried.
func Supported(c av.Codec) bool {
	switch c {
	case av.H264, av.H265, av.AV1, av.VP9, av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3:
		return true
	}
	return false
}

const (
	videoTimescale = 90000
	audioTimescale = 48000 // if the sample rate is unknown
)

// Timescale returns the ticks in a second of a track's times: 90,000 for video, the sample rate for
// audio, by which frames can be counted exactly, and 48,000 if that is unknown.
func Timescale(t av.Track) uint32 {
	if t.Kind == av.Video {
		return videoTimescale
	}
	if t.Codec == av.Opus {
		return opus.SampleRate
	}
	if t.Codec == av.AAC {
		if c, err := aac.ParseConfig(t.Config); err == nil && c.SampleRate > 0 {
			return uint32(c.SampleRate)
		}
	}
	if t.SampleRate > 0 {
		return uint32(t.SampleRate)
	}
	return audioTimescale
}

// timescale is the track's own, or what Timescale says.
func (t *Track) timescale() uint32 {
	if t.Timescale > 0 {
		return t.Timescale
	}
	return Timescale(t.Track)
}

// fail says what is wrong with a track.
func (t *Track) fail(err error) error {
	return fmt.Errorf("fmp4: track %d, %v: %w", t.ID, t.Codec, err)
}
