package fmp4

import (
	"encoding/binary"
	"time"

	"weir/av"
	"weir/codec"
)

// moov reads the description of the tracks (ISO/IEC 14496-12, 8.2.1).
func (r *Reader) moov(b []byte) error {
	r.scale = 1000
	if h := find(b, "mvhd"); len(h) >= 16 {
		at := 12
		if h[0] == 1 {
			at = 20
		}
		if len(h) >= at+4 {
			r.scale = max(int64(binary.BigEndian.Uint32(h[at:])), 1)
		}
	}
	ids := map[av.Kind]uint8{}
	if err := inner(b, func(typ string, body []byte) error {
		if typ != "trak" || len(r.tracks) >= maxTracks {
			return nil
		}
		t, err := r.trak(body)
		if err != nil {
			return err
		}
		if t == nil {
			if mdia := find(body, "mdia"); len(r.leftOut) < maxTracks {
				r.leftOut = append(r.leftOut, describeUnread(mdia, find(find(find(mdia, "minf"), "stbl"), "stsd")))
			}
			return nil
		}
		t.Track.Track.ID = ids[t.Kind]
		ids[t.Kind]++
		r.tracks = append(r.tracks, t)
		return nil
	}); err != nil {
		return err
	}
	return inner(find(b, "mvex"), func(typ string, body []byte) error {
		if typ != "trex" || len(body) < 24 {
			return nil
		}
		if t := r.track(binary.BigEndian.Uint32(body[4:])); t != nil {
			t.defaults = sampleDefaults{
				duration: binary.BigEndian.Uint32(body[12:]), size: binary.BigEndian.Uint32(body[16:]), flags: binary.BigEndian.Uint32(body[20:]),
			}
		}
		return nil
	})
}

func (r *Reader) track(id uint32) *readTrack {
	for _, t := range r.tracks {
		if t.Track.ID == id {
			return t
		}
	}
	return nil
}

// trak reads one track; nil if it is none that can be read.
func (r *Reader) trak(b []byte) (*readTrack, error) {
	head := find(b, "tkhd")
	mdia := find(b, "mdia")
	mdhd, minf := find(mdia, "mdhd"), find(mdia, "minf")
	stbl := find(minf, "stbl")
	if len(head) < 24 || len(mdhd) < 20 || stbl == nil {
		return nil, nil
	}
	t := &readTrack{}
	at := 12
	if head[0] == 1 {
		at = 20
	}
	t.Track.ID = binary.BigEndian.Uint32(head[at:])
	at = 12
	if mdhd[0] == 1 && len(mdhd) >= 32 {
		at = 20
	}
	t.Timescale = binary.BigEndian.Uint32(mdhd[at:])
	if t.Timescale == 0 || t.Track.ID == 0 || r.track(t.Track.ID) != nil {
		return nil, nil
	}
	entry, ok := readEntry(find(stbl, "stsd"))
	if !ok {
		return nil, nil
	}
	t.Kind, t.Codec, t.Config = entry.kind, entry.codec, entry.config
	if d, err := codec.Describe(entry.codec, entry.kind, entry.config); err == nil {
		t.Track.Track = d
	} else {
		t.SampleRate, t.Channels = entry.rate, entry.channels
	}
	if t.Kind == av.Audio && t.SampleRate == 0 {
		t.SampleRate, t.Channels = entry.rate, entry.channels
	}
	if t.Kind == av.Video && t.Size.Width == 0 {
		t.Size = entry.size
	}
	t.shift = r.edits(find(find(b, "edts"), "elst"), int64(t.Timescale))
	var err error
	t.table, err = newSampleTable(stbl, t.Kind == av.Video)
	return t, err
}

// edits is by how much an edit list moves the beginning of a track (8.6.6): an empty edit
// makes it come later, the media time of the first other one is shown first.
func (r *Reader) edits(b []byte, scale int64) (shift time.Duration) {
	if len(b) < 8 {
		return 0
	}
	count, size := binary.BigEndian.Uint32(b[4:]), 12
	if b[0] == 1 {
		size = 20
	}
	const day = 24 * time.Hour
	for b = b[8:]; count > 0 && len(b) >= size; count, b = count-1, b[size:] {
		length, media := int64(binary.BigEndian.Uint32(b)), int64(int32(binary.BigEndian.Uint32(b[4:])))
		if size == 20 {
			length, media = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
		}
		if media >= 0 {
			shift -= av.Duration(media, scale)
			break
		}
		shift += av.Duration(max(length, 0), r.scale)
	}
	return min(max(shift, -day), day)
}
