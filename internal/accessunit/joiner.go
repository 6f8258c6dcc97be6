// Package accessunit makes whole access units in canonical form of a stream's frames,
// for the formats that need them: MPEG-TS, MP4, and FLV where a stream is to be repaired.
//
// Some publishers send each NAL unit in a message of its own, start codes where lengths belong, or
// ADTS headers before raw AAC. A stream keeps all of it as it came.
package accessunit

import (
	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/nal"
	"weir/internal/stream"
)

// Bounds of what a track's pieces may hold. A piece beyond them is dropped or, if it belongs to a
// picture, the picture goes out without it.
const (
	maxPieces = 512
	maxHeld   = 16 << 20 // bytes
	// maxSplit is how many frames of ADTS one frame may hold.
	maxSplit = 64
)

// A Joiner turns the frames of a stream into access units: all NAL units of a picture
// in one frame, behind lengths as the track's configuration says, and raw AAC without
// ADTS headers. What is whole and canonical already goes through as it is, at once,
// without a copy or an allocation.
//
// Parameter sets and other units that come in frames of their own are held back
// until their picture comes. Of a track whose pictures were seen to come in several frames of
// slices, each picture is held back until something comes that is not part of it.
//
// The zero value has no tracks. A Joiner is not safe for concurrent use.
type Joiner struct {
	tracks []*track
	out    []av.Frame
}

// SetTracks takes the tracks of new headers. What is held back of a track goes on if the
// track does, and is dropped if it does not.
func (j *Joiner) SetTracks(headers []stream.TrackHeader) {
	old := j.tracks
	j.tracks = make([]*track, 0, len(headers))
	for i := range headers {
		h := &headers[i]
		t := find(old, h.Kind, h.ID)
		if t == nil || t.codec != h.Codec {
			t = &track{kind: h.Kind, id: h.ID, codec: h.Codec}
		}
		t.lengthSize = codec.NALLengthSize(h.Codec, h.Config)
		t.split = t.split || h.Split
		j.tracks = append(j.tracks, t)
	}
}

// Put takes the next frame and returns the frames that are ready: often f itself, none if it
// is held back, several if it completes a picture before it. The slice is valid until
// the next call; the payloads are not to be changed. Frames of tracks that the Joiner was not
// given, and those that are not media, are returned as they are, behind the picture of their
// track that is held back.
func (j *Joiner) Put(f *av.Frame) []av.Frame {
	j.out = j.out[:0]
	t := find(j.tracks, f.Kind, f.Track)
	switch {
	case t == nil || t.codec != f.Codec:
		j.out = append(j.out, *f)
	case f.Type != av.Media:
		j.out = append(t.release(j.out), *f)
	case f.Codec == av.H264 || f.Codec == av.H265:
		j.out = t.video(j.out, f)
	case f.Codec == av.AAC:
		j.out = sound(j.out, f)
	default:
		j.out = append(j.out, *f)
	}
	return j.out
}

// Flush returns the pictures that are held back, as is due at the end of the stream.
func (j *Joiner) Flush() []av.Frame {
	j.out = j.out[:0]
	for _, t := range j.tracks {
		j.out = t.release(j.out)
		t.drop()
	}
	return j.out
}

func find(tracks []*track, k av.Kind, id uint8) *track {
	for _, t := range tracks {
		if t.kind == k && t.id == id {
			return t
		}
	}
	return nil
}

// sound appends a frame of AAC without the headers of ADTS, one frame for each of its frames.
// A frame of several raw data blocks cannot be taken apart and stays as it is.
func sound(out []av.Frame, f *av.Frame) []av.Frame {
	if !aac.IsADTS(f.Payload) {
		return append(out, *f)
	}
	const perFrame = 1024
	samples, n := int64(0), 0
	for h, raw := range aac.ADTSFrames(f.Payload) {
		if n++; n > maxSplit {
			break
		}
		if h.Blocks != 1 {
			return append(out, *f)
		}
		one := *f
		shift := av.Duration(samples, int64(h.SampleRate))
		one.DTS, one.PTS, one.Payload = f.DTS+shift, f.PTS+shift, raw
		if samples > 0 {
			one.Flags &^= av.Discontinuity
		}
		samples += perFrame
		if len(raw) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// content says what is in a frame of video.
type content struct {
	annexB bool
	slice  bool // there is a slice
	more   bool // the first slice goes on with the picture before, and nothing precedes it
	suffix bool // the frame has only units that follow a picture's slices
}

// look reads the headers of a frame's NAL units up to its first slice.
func look(c av.Codec, b []byte, lengthSize int) content {
	what := content{annexB: nal.IsAnnexB(b, lengthSize), suffix: true}
	first := true
	read := func(u []byte) bool {
		r := codec.RoleOf(c, u)
		if r.IsSlice() {
			what.slice, what.suffix = true, false
			what.more = first && r == codec.UnitMoreSlice
			return false
		}
		what.suffix = what.suffix && r == codec.UnitSuffix
		first = false
		return true
	}
	if what.annexB {
		nal.AnnexB(b)(read)
	} else {
		nal.Units(b, orDefault(lengthSize))(read)
	}
	return what
}

// orDefault is how many bytes the lengths of NAL units take: 4 if no configuration says.
func orDefault(lengthSize int) int {
	if lengthSize == 0 {
		return 4
	}
	return lengthSize
}
