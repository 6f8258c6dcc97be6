package clip

import (
	"encoding/binary"
	"fmt"
)

// children walks over the boxes in b. It stops at the first error.
func children(b []byte, each func(typ string, whole, body []byte) error) error {
	for len(b) >= 8 {
		size, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		if size == 1 && len(b) >= 16 {
			size, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < head || size > uint64(len(b)) {
			return fmt.Errorf("%w: %q of %d bytes in %d", ErrDamaged, b[4:8], size, len(b))
		}
		if err := each(string(b[4:8]), b[:size], b[head:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// child returns what is in the first box of a type; nil if there is none.
func child(b []byte, typ string) (found []byte) {
	_ = children(b, func(t string, _, body []byte) error {
		if t == typ && found == nil {
			found = body
		}
		return nil
	})
	return found
}

// open begins a box, whose place is needed to close it.
func open(b []byte, typ string) (_ []byte, at int) {
	at = len(b)
	return append(append(b, 0, 0, 0, 0), typ...), at
}

// openFull begins a full box.
func openFull(b []byte, typ string, version byte, flags uint32) (_ []byte, at int) {
	b, at = open(b, typ)
	return be32(b, uint32(version)<<24|flags), at
}

// shut writes the size of a box that ends here. What it holds is bounded by maxSamples.
func shut(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at))
	return b
}

func be16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }
func be32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func be64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
