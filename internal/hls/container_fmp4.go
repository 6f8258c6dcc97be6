package hls

import (
	"errors"
	"math"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/fmp4"
	"weir/internal/stream"
)

// mp4Container writes fragmented MP4: one fragment for each part.
type mp4Container struct {
	tracks   []*mp4Track
	sequence uint32
	events   uint32 // texts so far
	runs     []fmp4.Run
	scratch  []fmp4.Sample
}

var errMP3 = errors.New("browsers take no MP3 in MP4; set the encoder to AAC or Opus")

// eventScale is the ticks in a second of the times of texts.
const eventScale = 1000

// mp4Track is a track, and how far it has been written, in its own ticks.
type mp4Track struct {
	fmp4.Track
	key   trackKey
	scale int64
	next  int64 // where the last sample ended; -1 before the first
}

func (c *mp4Container) ext() string { return ".m4s" }

// check makes the initialization that the track would have. No browser takes MP3
// in MP4, except those with an HLS player of their own, whatever its sample entry: with it nothing would play.
func (c *mp4Container) check(t *av.Track) error {
	if t.Codec == av.MP3 {
		return errMP3
	}
	_, err := fmp4.AppendInit(nil, []fmp4.Track{{Track: *t, ID: 1}})
	return err
}

func (c *mp4Container) begin(headers []stream.TrackHeader, _ bool) ([]byte, error) {
	old := c.tracks
	c.tracks = nil
	list := make([]fmp4.Track, 0, len(headers))
	for i := range headers {
		t := &mp4Track{Track: fmp4.Track{Track: headers[i].Track, ID: uint32(i + 1)}, next: -1}
		t.key = trackKey{t.Kind, t.Track.Track.ID}
		t.Timescale = fmp4.Timescale(t.Track.Track)
		t.scale = int64(t.Timescale)
		for _, o := range old {
			if o.key == t.key && o.scale == t.scale {
				t.next = o.next
			}
		}
		c.tracks = append(c.tracks, t)
		list = append(list, t.Track)
	}
	return fmp4.AppendInit(nil, list)
}

func (c *mp4Container) encode(frames []frame, texts []text, lead trackKey, end time.Duration, _ bool) []byte {
	c.runs, c.scratch = c.runs[:0], c.scratch[:0]
	size := 0
	for _, t := range c.tracks {
		from := len(c.scratch)
		var dts int64
		if t.key == lead && t.Kind == av.Video {
			dts = c.video(t, frames, end)
		} else {
			dts = c.sound(t, frames)
		}
		samples := c.scratch[from:len(c.scratch):len(c.scratch)]
		if len(samples) == 0 {
			continue
		}
		for i := range samples {
			size += len(samples[i].Payload)
		}
		c.runs = append(c.runs, fmp4.Run{ID: t.Track.ID, DTS: dts, Samples: samples})
	}
	for i := range texts {
		size += 128 + len(texts[i].tag)
	}
	b := make([]byte, 0, size+256+64*len(c.runs)+16*len(c.scratch))
	for i := range texts {
		c.events++
		b = fmp4.AppendEmsg(b, fmp4.Emsg{
			Scheme: fmp4.SchemeID3, Timescale: eventScale, Time: av.Ticks(texts[i].at, eventScale), Duration: math.MaxUint32,
			ID: c.events, Data: texts[i].tag,
		})
	}
	c.sequence++
	b, err := fmp4.AppendFragment(b, c.sequence, c.runs)
	clear(c.scratch) // payloads must not be kept
	if err != nil {
		return nil
	}
	return b
}

// video appends the samples of a video track: each lasts until the next one, the last until end.
func (c *mp4Container) video(t *mp4Track, frames []frame, end time.Duration) (dts int64) {
	from := len(c.scratch)
	last := int64(0)
	for i := range frames {
		f := &frames[i]
		if keyOf(&f.Frame) != t.key {
			continue
		}
		payload, ok := fmp4.SamplePayload(t.Track.Track, &f.Frame)
		if !ok {
			continue
		}
		tick := max(av.Ticks(f.at, t.scale), t.next)
		if n := len(c.scratch); n > from {
			tick = max(tick, last+1)
			c.scratch[n-1].Duration = uint32(tick - last)
		} else {
			dts = tick
		}
		last = tick
		cts := f.PTS - f.DTS
		if cts.Abs() > maxCTS {
			cts = 0
		}
		c.scratch = append(c.scratch, fmp4.Sample{
			CTS: int32(av.Ticks(f.at+cts, t.scale) - tick), Key: f.IsKey(), Payload: payload,
		})
	}
	if n := len(c.scratch); n > from {
		t.next = max(av.Ticks(end, t.scale), last+1)
		c.scratch[n-1].Duration = uint32(t.next - last)
	}
	return dts
}

// sound appends the samples of a sound track. Their times are counted, since a publisher's
// milliseconds are not exact; time stamps far from the count are believed again.
func (c *mp4Container) sound(t *mp4Track, frames []frame) (dts int64) {
	from := len(c.scratch)
	drift := av.Ticks(maxDrift, t.scale)
	for i := range frames {
		f := &frames[i]
		if keyOf(&f.Frame) != t.key {
			continue
		}
		payload, ok := fmp4.SamplePayload(t.Track.Track, &f.Frame)
		if !ok || len(payload) == 0 {
			continue
		}
		tick := av.Ticks(f.at, t.scale)
		duration := av.Ticks(codec.FrameDuration(f.Codec, t.Config, payload), t.scale)
		switch {
		case t.next < 0:
			t.next = tick
		case tick > t.next+drift: // a hole
			if n := len(c.scratch); n > from {
				c.scratch[n-1].Duration += uint32(tick - t.next)
			}
			t.next = tick
		case tick < t.next-drift: // there is more sound than time
			continue
		}
		if len(c.scratch) == from {
			dts = t.next
		}
		if duration <= 0 { // unknown: until the next, as far as is known
			duration = max(t.scale/50, 1)
			if n := i + 1; n < len(frames) && keyOf(&frames[n].Frame) == t.key {
				duration = max(av.Ticks(frames[n].at, t.scale)-t.next, 1)
			}
		}
		c.scratch = append(c.scratch, fmp4.Sample{Duration: uint32(duration), Key: true, Payload: payload})
		t.next += duration
	}
	return dts
}
