package stream

import (
	"time"

	"weir/av"
	"weir/codec"
)

// TrackStats is what a track of the present publisher has carried so far. Times are on the stream's timeline.
type TrackStats struct {
	Kind av.Kind
	ID   uint8
	// Frames is the number of media frames; several with one time are the pieces of one.
	Frames int64
	Bytes  int64
	// First and Last are the decoding times of the first and the newest frame.
	First, Last time.Duration
	// Silent is for how long nothing has come.
	Silent time.Duration
	// Sound is how long the frames of sound last together, without the Unmeasured ones, whose length
	// their codec does not tell.
	Sound      time.Duration
	Unmeasured int64
	// Gaps is how often more than MaxGap lay between two frames, and LastGap the newest such time.
	Gaps    int64
	LastGap time.Duration
	// Keys is the number of key frames, KeyStep the time between the newest two, and SinceKey that from
	// the newest to the newest frame, or from the first frame on if there was none; without gaps.
	Keys              int64
	KeyStep, SinceKey time.Duration
	// Clamped, Shifted and Mislabeled are the repairs of its frames; see Stats.
	Clamped, Shifted, Mislabeled int64
	// Unusable is for how long it has carried media and cannot be used; see TrackHeader.
	Unusable time.Duration
	// Reorders says that frames are shown in another order than they come: there are B-frames.
	Reorders bool
}

// MaxGap is the longest time between two frames of a track that is no gap.
const MaxGap = time.Second

// figures counts what TrackStats shows. It is made anew for each publisher.
type figures struct {
	TrackStats
	shown   time.Duration // the highest presentation time
	keyAt   time.Duration // decoding time of the newest key frame, or of the first frame
	keyGaps time.Duration // the sum of the gaps since
}

// count takes the next media frame, placed in time, of the track with header h.
func (f *figures) count(e *av.Frame, h *TrackHeader) {
	begins := f.Frames == 0
	if begins {
		f.First, f.Last, f.shown, f.keyAt = e.DTS, e.DTS, e.PTS, e.DTS
	}
	if step := e.DTS - f.Last; step > MaxGap {
		f.Gaps++
		f.LastGap = step
		f.keyGaps += step
	}
	if begins || e.DTS != f.Last {
		f.Frames++
	}
	f.Bytes += int64(len(e.Payload))
	f.Last = e.DTS
	switch e.Kind {
	case av.Audio:
		var lasts time.Duration
		if h.Unusable == nil {
			lasts = codec.FrameDuration(e.Codec, h.Config, e.Payload)
		}
		if f.Sound += lasts; lasts <= 0 {
			f.Unmeasured++
		}
	case av.Video:
		f.Reorders = f.Reorders || e.PTS < f.shown
		f.shown = max(f.shown, e.PTS)
		if e.IsKey() && (f.Keys == 0 || e.DTS != f.keyAt) {
			if f.Keys > 0 {
				f.KeyStep = e.DTS - f.keyAt - f.keyGaps
			}
			f.Keys++
			f.keyAt, f.keyGaps = e.DTS, 0
		}
	}
}

// Figures returns the stream's figures and, as they are at the same moment, its headers and those of the
// present publisher's tracks of video and sound, in the order of the headers, appended to buf.
func (s *Stream) Figures(buf []TrackStats) (Stats, *Headers, []TrackStats) {
	now := s.hub.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(now)
	for i := range s.headers.Tracks {
		h := &s.headers.Tracks[i]
		t := s.tracks[trackKey{h.Kind, h.ID}]
		if t == nil || h.Kind == av.Data {
			continue
		}
		st := t.figures.TrackStats
		st.Kind, st.ID = h.Kind, h.ID
		st.Silent = max(now-t.heard, 0)
		if t.unusable > 0 && h.Unusable != nil {
			st.Unusable = max(now-t.unusable, 0)
		}
		if h.Kind == av.Video {
			st.SinceKey = max(st.Last-t.figures.keyAt-t.figures.keyGaps, 0)
		}
		buf = append(buf, st)
	}
	return s.statsAt(now), s.headers, buf
}
