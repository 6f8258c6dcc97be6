package fmp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"weir/av"
)

// Bounds of what is read.
const (
	maxMoov      = 64 << 20
	maxMoof      = 16 << 20
	maxSample    = 32 << 20
	maxTracks    = 32
	maxTop       = 1 << 20 // boxes before moov
	maxLookahead = 32      // fragments that are read ahead to put tracks in order
	maxQueue     = 1 << 20 // samples of one fragment, and those at which no more is read ahead
)

// Errors of reading; they are wrapped.
var (
	// ErrNotMP4 is returned for a file without a moov box.
	ErrNotMP4 = errors.New("not an MP4 file")
	// ErrBox is returned for boxes that do not fit in each other, or whose tables do not
	// fit in them.
	ErrBox = errors.New("damaged box")
	// ErrNoTracks is returned for a file in which there is nothing that can be read.
	ErrNoTracks = errors.New("no track of a known codec")
)

// Reader reads the frames of an MP4 file, plain or fragmented, in the order of their decoding
// times over all tracks. The configurations of all tracks come first. Tracks of codecs
// that are not known are left out, see LeftOut. What is whole in a file that is cut off is read.
type Reader struct {
	in      io.ReaderAt
	size    int64
	tracks  []*readTrack
	leftOut []string // see LeftOut
	at      int64    // of the next box at the top, of a fragmented file
	seen    int64    // samples in fragments so far
	queued  int      // samples in the last fragment
	moofEnd int64    // where the memory that a fragment's description was read into would end in the file
	end     bool     // there are no more fragments
	scale   int64
	base    time.Duration // the earliest decoding time, which becomes 0
	based   bool
}

// readTrack is a track that is read.
type readTrack struct {
	Track
	shift    time.Duration // by the edit list
	table    *sampleTable  // of a plain file
	queue    []readSample
	sent     bool // the configuration
	defaults sampleDefaults
	next     int64 // decoding time after the last fragment, ticks
	timeAt   int64 // see SampleRun
}

// readSample is where a sample is, and when.
type readSample struct {
	offset   int64
	size     int
	dts      int64
	cts      int64
	duration uint32
	key      bool
}

// NewReader reads the description of a file of so many bytes. It fails with ErrNotMP4,
// ErrBox, ErrNoTracks, or the error of r.
func NewReader(r io.ReaderAt, size int64) (*Reader, error) {
	x := &Reader{in: r, size: size}
	if err := x.open(); err != nil {
		return nil, fmt.Errorf("fmp4: reading: %w", err)
	}
	return x, nil
}

// Tracks returns the tracks that are read.
func (r *Reader) Tracks() []Track {
	list := make([]Track, len(r.tracks))
	for i, t := range r.tracks {
		list[i] = t.Track
	}
	return list
}

// open finds moov, before or behind the media.
func (r *Reader) open() error {
	for at, n := int64(0), 0; ; n++ {
		b, err := ReadBox(r.in, at, r.size)
		if errors.Is(err, io.EOF) || n > maxTop {
			return ErrNotMP4
		}
		if err != nil {
			return err
		}
		if b.Type == "moov" {
			body, err := r.body(b, maxMoov)
			if err != nil {
				return err
			}
			if err := r.moov(body); err != nil {
				return err
			}
			if len(r.tracks) == 0 {
				if len(r.leftOut) > 0 {
					return fmt.Errorf("%w, but %s", ErrNoTracks, strings.Join(r.leftOut, ", "))
				}
				return ErrNoTracks
			}
			r.at = b.End
			return nil
		}
		if n == 0 && !slices.Contains([]string{"ftyp", "styp", "free", "skip", "mdat", "wide", "moof"}, b.Type) {
			return ErrNotMP4
		}
		at = b.End
	}
}

// body reads what is in a box of at most so many bytes.
func (r *Reader) body(b Box, most int64) ([]byte, error) {
	n := b.End - b.Body
	if n > most || b.End > r.size {
		return nil, fmt.Errorf("%w: %q of %d bytes", ErrBox, b.Type, n)
	}
	body := make([]byte, n)
	if k, err := r.in.ReadAt(body, b.Body); int64(k) < n {
		return nil, err
	}
	return body, nil
}

// Start returns the file's own time of what Next returns as 0; it is known once Next was called.
func (r *Reader) Start() time.Duration { return r.base }

// Next returns the next frame; its times begin at 0. It fails with io.EOF at the end of the file, or
// of what is whole of it.
func (r *Reader) Next() (*av.Frame, error) {
	for {
		t, err := r.earliest()
		if err != nil {
			return nil, err
		}
		for _, t := range r.tracks {
			if !t.sent && len(t.Config) > 0 {
				t.sent = true
				return &av.Frame{Kind: t.Kind, Type: av.Config, Track: t.Track.Track.ID, Codec: t.Codec, Payload: t.Config}, nil
			}
		}
		s := t.queue[0]
		t.queue = t.queue[1:]
		if s.size == 0 {
			continue
		}
		f := t.frame(&s, r.base)
		f.Payload = make([]byte, s.size)
		if n, err := r.in.ReadAt(f.Payload, s.offset); n < s.size {
			return nil, fmt.Errorf("fmp4: reading a sample: %w", err)
		}
		return f, nil
	}
}

// frame is a sample without its payload.
func (t *readTrack) frame(s *readSample, base time.Duration) *av.Frame {
	f := &av.Frame{Kind: t.Kind, Track: t.Track.Track.ID, Codec: t.Codec}
	scale := int64(t.Timescale)
	f.DTS = av.Duration(s.dts, scale) + t.shift - base
	f.PTS = av.Duration(s.dts+s.cts, scale) + t.shift - base
	if s.key && t.Kind == av.Video {
		f.Flags = av.Key
	}
	return f
}

// earliest returns the track whose next sample comes first.
func (r *Reader) earliest() (*readTrack, error) {
	r.fill()
	var first *readTrack
	var when time.Duration
	for _, t := range r.tracks {
		if len(t.queue) == 0 {
			continue
		}
		if at := av.Duration(t.queue[0].dts, int64(t.Timescale)) + t.shift; first == nil || at < when {
			first, when = t, at
		}
	}
	if first == nil {
		return nil, io.EOF
	}
	if !r.based {
		r.base, r.based = when, true
	}
	return first, nil
}

// fill sees to it that each track has a sample in its queue, if it has any left.
func (r *Reader) fill() {
	for _, t := range r.tracks {
		if len(t.queue) == 0 && t.table != nil {
			if s, ok := t.table.next(r.size); ok {
				t.queue = append(t.queue[:0], s)
			} else {
				t.table = nil
			}
		}
	}
	for range maxLookahead {
		queued, hungry := 0, false
		for _, t := range r.tracks {
			queued += len(t.queue)
			hungry = hungry || len(t.queue) == 0 && t.table == nil
		}
		if r.end || !hungry || queued >= maxQueue {
			return
		}
		r.fragment()
	}
}

// inner walks over the boxes in b. It stops, and fails, at the first that does not fit.
func inner(b []byte, each func(typ string, body []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return nil // padding, as some writers leave it
		}
		size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		if size == 1 && len(b) >= 16 {
			size, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size == 0 {
			size = uint64(len(b))
		}
		if size < head || size > uint64(len(b)) {
			return fmt.Errorf("%w: %q of %d bytes in %d", ErrBox, b[4:8], size, len(b))
		}
		if err := each(string(b[4:8]), b[head:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// find returns what is in the first box of a type, nil if there is none.
func find(b []byte, typ string) (found []byte) {
	_ = inner(b, func(t string, body []byte) error {
		if t == typ && found == nil {
			found = body
			if found == nil {
				found = []byte{}
			}
		}
		return nil
	})
	return found
}
