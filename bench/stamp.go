package bench

import "encoding/binary"

// A stamp stands in each coded frame at a place that depends on its kind only, and its
// tail in the last bytes of the frame: a frame whose end is another's is torn.
const (
	stampMagic  = 0x57627631
	stampSize   = 24
	stampTail   = 4
	stampVideo  = 12 // behind tag header (5), NAL length (4), NAL header and two bytes of slice
	stampAudio  = 4  // behind tag header (2) and two bytes of AAC
	stampWithin = stampVideo + stampSize
	frameMin    = stampWithin + stampTail
)

// stamp is what a frame says of itself.
type stamp struct {
	run    uint32 // chosen anew by each publisher
	stream uint32
	seq    uint32 // counts the frames of one kind
	sent   int64  // the clock's time just before it was written
}

// put writes the stamp at the beginning of b.
func (s stamp) put(b []byte) {
	binary.BigEndian.PutUint32(b, stampMagic)
	binary.BigEndian.PutUint32(b[4:], s.run)
	binary.BigEndian.PutUint32(b[8:], s.stream)
	binary.BigEndian.PutUint32(b[12:], s.seq)
	binary.BigEndian.PutUint64(b[16:], uint64(s.sent))
}

// tail is what the frame ends with.
func (s stamp) tail() uint32 { return stampMagic ^ s.run ^ s.seq }

// parseStamp reads the stamp at the beginning of b; false if there is none.
func parseStamp(b []byte) (stamp, bool) {
	if len(b) < stampSize || binary.BigEndian.Uint32(b) != stampMagic {
		return stamp{}, false
	}
	return stamp{
		run:    binary.BigEndian.Uint32(b[4:]),
		stream: binary.BigEndian.Uint32(b[8:]),
		seq:    binary.BigEndian.Uint32(b[12:]),
		sent:   int64(binary.BigEndian.Uint64(b[16:])),
	}, true
}
