package record

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mp4"
	"weir/format/mpegts"
	"weir/internal/accessunit"
	"weir/internal/stream"
)

// selected is a track of a file.
type selected struct {
	stream.TrackHeader
	title string
	first []byte // a frame of it, if one is known
}

// checkTrack returns nil if a format can carry a track, else why it cannot.
func checkTrack(format string, t *stream.TrackHeader) error {
	if t.Unusable != nil {
		return t.Unusable
	}
	switch format {
	case "mp4":
		return mp4.Check(&t.Track)
	case "ts":
		return mpegts.CheckTrack(&t.Track)
	}
	f := av.Frame{Kind: t.Kind, Track: t.ID, Codec: t.Codec, Payload: []byte{0}}
	if _, ok := flv.AppendHeader(nil, &f, flv.Form{}); !ok {
		return flv.ErrForm
	}
	return nil
}

// newContainer makes the container of a file, which begins at a time of the stream. It adds to info how the tracks are coded.
func newContainer(info *File, at time.Duration, tracks []selected, p *plan) (container, error) {
	info.Coding = codingOf(tracks)
	switch info.Format {
	case "mp4":
		h := mp4.Head{Path: info.Stream, Epoch: info.Epoch, Start: info.Start, At: at}
		if p.Faststart == "reserve" {
			h.Reserve = plannedTable(p.Cut, len(tracks))
		}
		for i := range tracks {
			h.Tracks = append(h.Tracks, mp4.Track{Track: tracks[i].Track, Name: tracks[i].title, First: tracks[i].first})
		}
		h.Note = labelOf(info)
		m, err := mp4.NewMuxer(h)
		if err == nil {
			info.Coding, err = m.Coding()
		}
		return &mp4File{m, p.Finalize != "none"}, err
	case "flv":
		return newFLV(tracks, p.Cut, labelOf(info)), nil
	case "ts":
		return newTS(tracks, labelOf(info))
	}
	return nil, fmt.Errorf("the format %q is not known", info.Format)
}

// codecsOf names the codecs of a file's tracks (RFC 6381).
func codecsOf(tracks []selected) string {
	list := make([]av.Track, len(tracks))
	for i := range tracks {
		list[i] = tracks[i].Track
	}
	return fmp4.CodecNames(list)
}

// plannedTable is how large the table of contents of a file that lasts as long as planned is, without a plan of time that of an hour: up to
// 60 pictures a second with B-frames, or 94 frames of sound, in each track.
func plannedTable(plan time.Duration, tracks int) int {
	const least, perSecond = 16 << 10, 800
	if plan <= 0 {
		plan = time.Hour
	}
	return least + int(min(plan, 24*time.Hour)/time.Second)*perSecond*tracks
}

// mp4File is fragmented MP4, which becomes plain MP4 if it is to.
type mp4File struct {
	*mp4.Muxer
	plain bool
}

func (c *mp4File) append(dst []byte, frames []av.Frame, end time.Duration) ([]byte, error) {
	return c.AppendFragment(dst, frames, end)
}

func (c *mp4File) duration() time.Duration { return c.Duration() }

func (c *mp4File) finish(f file, size int64) error {
	if !c.plain {
		return f.Sync()
	}
	return mp4.Finish(f, size)
}

// span is the time that the frames of a file take, for containers that do not count it.
type span struct {
	begun bool
	base  time.Duration // the decoding time that is 0 in the file
	from  time.Duration // the first time of presentation
	kinds [2]struct {
		seen     bool
		to, last time.Duration    // the last time of presentation, and of decoding
		steps    [2]time.Duration // between the last frames; the smaller is how long one lasts, for there may be a hole
	}
}

// add takes the frames of a piece; the first piece tells where the file begins.
func (s *span) add(frames []av.Frame) {
	for i := range frames {
		f := &frames[i]
		if f.Kind == av.Data {
			continue
		}
		if !s.begun {
			s.begun, s.base, s.from = true, f.DTS, f.PTS
			for k := range frames {
				s.base = min(s.base, frames[k].DTS)
			}
		}
		k := &s.kinds[f.Kind]
		if d := f.DTS - k.last; k.seen && d > 0 && d < time.Second {
			k.steps[0], k.steps[1] = k.steps[1], d
		}
		s.from, k.to, k.last, k.seen = min(s.from, f.PTS), max(k.to, f.PTS), f.DTS, true
	}
}

func (s *span) duration() (d time.Duration) {
	for i := range s.kinds {
		if k := &s.kinds[i]; k.seen {
			step := min(k.steps[0], k.steps[1])
			if k.steps[0] == 0 {
				step = k.steps[1]
			}
			d = max(d, k.to+step-s.from)
		}
	}
	return d
}

// flvFile is FLV with an index of its key frames.
type flvFile struct {
	span
	tracks []selected
	room   int // key frames for which there is room in the index
	label  []byte
	begun  bool
}

// plannedKeyFrames is how many key frames a file that lasts as long as planned has, at most; without a plan of time it is that
// of an hour.
func plannedKeyFrames(plan time.Duration) int {
	const least, spare, hour = 64, 2, time.Hour
	if plan <= 0 {
		plan = hour
	}
	return least + spare*int(plan/(2*time.Second))
}

func newFLV(tracks []selected, plan time.Duration, label []byte) *flvFile {
	return &flvFile{tracks: tracks, room: plannedKeyFrames(plan), label: label}
}

func (c *flvFile) append(dst []byte, frames []av.Frame, _ time.Duration) ([]byte, error) {
	if len(frames) == 0 {
		return dst, nil
	}
	c.add(frames)
	if !c.begun {
		c.begun = true
		dst = c.appendHead(dst)
	}
	var header [64]byte
	for i := range frames {
		f := frames[i]
		f.DTS, f.PTS = f.DTS-c.base, f.PTS-c.base
		f.Wire, f.Side = 0, nil
		h, ok := flv.AppendHeader(header[:0], &f, flv.Form{})
		if !ok {
			continue
		}
		dst = flv.AppendTag(dst, flv.TagTypeOf(&f), av.Milliseconds(max(f.DTS, 0)), h, f.Payload)
	}
	return dst, nil
}

// appendHead appends what comes before the media: header, metadata with room for the index, configurations.
func (c *flvFile) appendHead(dst []byte) []byte {
	var list []av.Track
	has := func(k av.Kind) bool {
		return slices.ContainsFunc(c.tracks, func(t selected) bool { return t.Kind == k })
	}
	for i := range c.tracks {
		list = append(list, c.tracks[i].Track)
	}
	dst = flv.AppendFileHeader(dst, has(av.Audio), has(av.Video))
	dst = flv.AppendTag(dst, flv.TagScript, 0, nil, flv.BuildFileMetadata(list, c.room, string(c.label)))
	for i := range c.tracks {
		f := accessunit.ConfigFrame(&c.tracks[i].TrackHeader)
		if f == nil {
			continue
		}
		now := *f
		now.Wire, now.Side, now.DTS, now.PTS = 0, nil, 0, 0
		if h, ok := flv.AppendHeader(nil, &now, flv.Form{}); ok {
			dst = flv.AppendTag(dst, flv.TagTypeOf(&now), 0, h, now.Payload)
		}
	}
	return dst
}

func (c *flvFile) finish(f file, size int64) error {
	return errors.Join(flv.FinishFile(f, size), f.Sync())
}

// tsFile is MPEG-TS, which needs nothing to be whole.
type tsFile struct {
	span
	mux   *mpegts.Muxer
	label []byte // until it is written
}

func newTS(tracks []selected, label []byte) (*tsFile, error) {
	list := make([]av.Track, len(tracks))
	for i := range tracks {
		list[i] = tracks[i].Track
	}
	m, err := mpegts.NewMuxer(list, mpegts.Options{})
	return &tsFile{mux: m, label: label}, err
}

func (c *tsFile) append(dst []byte, frames []av.Frame, _ time.Duration) ([]byte, error) {
	c.add(frames)
	dst = mpegts.AppendNote(dst, c.label)
	c.label = nil
	for i := range frames {
		f := frames[i]
		if f.Type != av.Media || !c.mux.Carries(&f) {
			continue
		}
		f.DTS, f.PTS = f.DTS-c.base, f.PTS-c.base
		f.Flags &^= av.Discontinuity // the file's clock goes on
		out, err := c.mux.AppendFrame(dst, &f)
		if err != nil {
			continue // a frame that is not what its track says
		}
		dst = out
	}
	return dst, nil
}

func (c *tsFile) finish(f file, _ int64) error { return f.Sync() }
