package fetch

import (
	"slices"
	"time"

	"weir/av"
)

// Bounds of what is kept back of a source until each of its tracks has begun.
const (
	maxBeginning       = time.Second // between the first and the newest frame
	maxBeginningFrames = 512
)

// beginning puts what of a transport stream is earlier than its first frame before that: most multiplexers send the first sound behind the first picture, though
// it is heard before, and a stream that has begun with the picture has no time for it.
type beginning struct {
	over bool
	kept []av.Frame
}

// take takes the next frames, and returns those that may go on. tracks is how many tracks of sound and pictures the source has, as far as it is known; last says that
// nothing is to be kept back.
func (b *beginning) take(frames []av.Frame, tracks int, last bool) []av.Frame {
	if b.over {
		return frames
	}
	b.kept = append(b.kept, frames...)
	begun := map[trackKey]bool{}
	var first, newest time.Duration
	for i := range b.kept {
		f := &b.kept[i]
		if !isMedia(f) {
			continue
		}
		if len(begun) == 0 {
			first, newest = f.DTS, f.DTS
		}
		begun[trackKey{f.Kind, f.Track}], newest = true, max(newest, f.DTS)
	}
	if !last && (len(begun) == 0 || len(begun) < tracks) && newest-first < maxBeginning && len(b.kept) < maxBeginningFrames {
		return nil
	}
	list := b.kept
	b.over, b.kept = true, nil
	early := func(f *av.Frame) bool { return f.Kind != av.Data && f.DTS < first && first-f.DTS < maxBeginning }
	slices.SortStableFunc(list, func(x, y av.Frame) int {
		switch a, b := early(&x), early(&y); {
		case a && b:
			return int(x.DTS - y.DTS)
		case a:
			return -1
		case b:
			return 1
		}
		return 0
	})
	return list
}

// isMedia reports whether a frame is a picture or sound.
func isMedia(f *av.Frame) bool { return f.Type == av.Media && f.Kind != av.Data }

// playable counts the tracks of sound and pictures.
func playable(tracks []av.Track) (n int) {
	for i := range tracks {
		if tracks[i].Kind != av.Data {
			n++
		}
	}
	return n
}
