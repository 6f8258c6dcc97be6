package accessunit

import (
	"iter"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/nal"
)

// track is what is held back of one track.
type track struct {
	kind       av.Kind
	id         uint8
	codec      av.Codec
	lengthSize int  // of the configuration; 0 if there is none
	split      bool // pictures come in several frames of slices

	held    []piece
	bytes   int  // of payload in held
	picture bool // held has slices

	shown   bool          // a picture went out
	shownAt time.Duration // its DTS
}

// piece is one frame that is held back.
type piece struct {
	av.Frame
	content
	lengthSize int // of its own NAL units
}

// video takes a frame of video and appends the pictures that are whole.
func (t *track) video(out []av.Frame, f *av.Frame) []av.Frame {
	if f.Flags&av.Discontinuity != 0 {
		out = t.release(out)
		t.drop()
		t.shown = false
	}
	p := piece{Frame: *f, content: look(t.codec, f.Payload, t.lengthSize), lengthSize: t.lengthSize}
	switch {
	case p.more && t.picture, p.suffix && t.picture:
		if t.hold(&p) {
			return out
		}
		return t.release(out)
	case p.suffix: // its picture has gone, and is decoded as well without it
		return out
	case p.more && t.shown && f.DTS == t.shownAt:
		// Its picture has gone without it: from now on pictures wait for what follows.
		t.split = true
		return out
	}
	out = t.release(out)
	if !p.slice {
		if !t.hold(&p) {
			t.drop()
		}
		return out
	}
	if t.split && t.hold(&p) {
		t.picture = true
		return out
	}
	if len(t.held) == 0 && !p.annexB {
		t.shown, t.shownAt = true, f.DTS
		return append(out, *f)
	}
	t.held, t.picture = append(t.held, p), true
	return t.release(out)
}

// hold keeps a piece back; it reports false if there is no room for it.
func (t *track) hold(p *piece) bool {
	if len(t.held) == maxPieces || t.bytes+len(p.Payload) > maxHeld {
		return false
	}
	t.held = append(t.held, *p)
	t.bytes += len(p.Payload)
	return true
}

// drop gives up what is held back.
func (t *track) drop() {
	clear(t.held)
	t.held, t.bytes, t.picture = t.held[:0], 0, false
}

// release appends the picture that is held back, if there is one.
func (t *track) release(out []av.Frame) []av.Frame {
	if !t.picture {
		return out
	}
	f := t.join()
	t.drop()
	t.shown, t.shownAt = true, f.DTS
	if len(f.Payload) == 0 {
		return out
	}
	return append(out, f)
}

// join makes one frame of the pieces: the first one with a slice, with the payload of all.
func (t *track) join() av.Frame {
	var f av.Frame
	var broken av.Flags
	found := false
	size, room := orDefault(t.lengthSize), 0
	for i := range t.held {
		p := &t.held[i]
		broken |= p.Flags & av.Discontinuity
		room += len(p.Payload) + 16
		if p.slice && !found {
			f, found = p.Frame, true
		}
	}
	f.Flags |= broken
	if len(t.held) == 1 && !t.held[0].annexB && t.held[0].lengthSize == t.lengthSize {
		return f
	}
	b := make([]byte, 0, room)
	for i := range t.held {
		p := &t.held[i]
		for u := range p.units() {
			if codec.RoleOf(t.codec, u) == codec.UnitDelimiter {
				continue // it would have to go before what has been appended, and no decoder needs it
			}
			if longer, err := nal.Append(b, u, size); err == nil { // otherwise its length does not fit
				b = longer
			}
		}
	}
	f.Payload = b
	return f
}

// units yields the NAL units of a piece.
func (p *piece) units() iter.Seq[[]byte] {
	if p.annexB {
		return nal.AnnexB(p.Payload)
	}
	return nal.Units(p.Payload, orDefault(p.lengthSize))
}
