package bits

// Writer appends bit fields to a byte slice. Its zero value writes to a new one.
type Writer struct {
	b    []byte
	free uint8 // bits of the last byte not yet written
}

// NewWriter returns a Writer that appends to b, beginning with a new byte.
func NewWriter(b []byte) Writer { return Writer{b: b} }

// U writes the low n bits of v, at most 64.
func (w *Writer) U(n int, v uint64) {
	for n > 0 {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		k := min(n, int(w.free))
		n -= k
		w.free -= uint8(k)
		w.b[len(w.b)-1] |= uint8(v>>n&(1<<k-1)) << w.free
	}
}

// Flag writes one bit.
func (w *Writer) Flag(v bool) {
	var u uint64
	if v {
		u = 1
	}
	w.U(1, u)
}

// UE writes an unsigned Exp-Golomb code, ue(v).
func (w *Writer) UE(v uint32) {
	n := 0
	for uint64(v)+1 >= 2<<n {
		n++
	}
	w.U(n, 0)
	w.U(n+1, uint64(v)+1)
}

// Align fills the present byte with zero bits.
func (w *Writer) Align() { w.free = 0 }

// Bytes returns what was written, the last byte filled with zero bits.
func (w *Writer) Bytes() []byte { return w.b }
