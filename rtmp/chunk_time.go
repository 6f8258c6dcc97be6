package rtmp

import "encoding/binary"

// Bounds, in milliseconds, beyond which a time from a peer is not taken as sent.
const (
	doublingLimit   = 10_000 // beyond it fmt 3 after fmt 0 does not add the timestamp to itself
	absurdDelta     = 10 * 60 * 1000
	absoluteLeeway  = 60 * 1000
	omitsExtForSure = 2 // observations after which a peer is known to omit it
)

// near reports whether two times, modulo 2^32, are at most within apart.
func near(a, b uint32, within int32) bool {
	d := int32(a - b)
	return -within <= d && d <= within
}

// advance adds the delta of a fmt 1 or 2 header, which may be negative. Some peers send an absolute
// time in the extended field: a delta that would be a long jump but is close to the last time is
// taken as an absolute time.
func (r *chunkReader) advance(cs *chunkStream, field uint32) {
	cs.delta = field
	if cs.hasExt && !near(field, 0, absurdDelta) && near(field, cs.timestamp, absoluteLeeway) {
		r.notes |= noteAbsoluteDelta
		cs.delta = field - cs.timestamp
	}
	cs.timestamp += cs.delta
}

// fmt3 reads what a chunk without message header may carry: the repeated extended
// timestamp. It continues the message under way or begins the next one.
func (r *chunkReader) fmt3(cs *chunkStream) error {
	if cs.partial {
		if cs.hasExt && r.omitsExt < omitsExtForSure {
			return r.repeatedExt(cs)
		}
		return nil
	}
	next := cs.timestamp + cs.delta
	if cs.after0 && cs.delta > doublingLimit {
		r.notes |= noteNoDoubling
		next = cs.timestamp
	}
	if cs.hasExt && r.omitsExt == 0 {
		b, err := r.in.peek(4)
		if err != nil {
			return inside(err)
		}
		// If it is no repetition, it is the message's own time.
		if v := binary.BigEndian.Uint32(b); v != cs.ext {
			if near(v, cs.timestamp, absoluteLeeway) {
				r.notes |= noteAbsoluteDelta
				next = v
			}
			cs.ext = v
		}
		r.in.discard(4)
	}
	cs.timestamp = next
	return r.begin(cs)
}

// repeatedExt consumes the extended timestamp of a continuation, if there is one: many
// peers leave it out, and then the payload stands in its place. Some repeat the
// message's absolute time where the header carried a delta, some only 31 bits. It is
// compared byte by byte, so as not to wait for more than the peer has to send.
func (r *chunkReader) repeatedExt(cs *chunkStream) error {
	var want [4][4]byte
	for i, v := range [4]uint32{cs.ext, cs.timestamp, cs.ext &^ (1 << 31), cs.timestamp &^ (1 << 31)} {
		binary.BigEndian.PutUint32(want[i][:], v)
	}
	for n := 1; n <= 4; n++ {
		b, err := r.in.peek(n)
		if err != nil {
			if len(b) >= min(r.chunkSize, int(cs.length-cs.got)) {
				return nil // all of it is payload: there is no extended timestamp
			}
			return inside(err)
		}
		match := false
		for i := range want {
			match = match || string(want[i][:n]) == string(b)
		}
		if !match {
			r.omitsExt++
			r.notes |= noteOmitsExt
			return nil
		}
	}
	r.omitsExt = 0
	r.in.discard(4)
	return nil
}
