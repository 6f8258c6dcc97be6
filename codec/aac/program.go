package aac

import "weir/codec/bits"

// Program is a program_config_element (4.4.1.1), kept as it came.
type Program struct {
	Channels int
	Comment  []byte
	fields   []byte // what comes before the alignment
	bits     int    // in fields
}

// readProgram reads a program_config_element; nil if it is cut short.
func readProgram(r *bits.Reader) *Program {
	var p Program
	var w bits.Writer
	u := func(n int) int {
		v := r.U(n)
		w.U(n, v)
		p.bits += n
		return int(v)
	}
	u(10) // element_instance_tag, object_type, sampling_frequency_index
	counts := [3]int{u(4), u(4), u(4)}
	lfe, data, coupling := u(2), u(3), u(4)
	for _, n := range []int{4, 4, 3} { // mono, stereo and matrix mixdown
		if u(1) == 1 {
			u(n)
		}
	}
	for _, n := range counts { // front, side, back
		for range n {
			p.Channels += 1 + u(1) // is_cpe
			u(4)
		}
	}
	u(4*lfe + 4*data)
	p.Channels += lfe
	for range coupling {
		u(5)
	}
	r.Align()
	if n := int(r.U(8)); n > 0 && r.Bits() >= 8*n {
		p.Comment = make([]byte, n)
		for i := range p.Comment {
			p.Comment[i] = byte(r.U(8))
		}
	} else {
		r.Skip(8 * n)
	}
	if r.Err() != nil {
		return nil
	}
	p.fields = w.Bytes()
	return &p
}

// write writes the element as it came.
func (p *Program) write(w *bits.Writer) {
	for r, n := bits.NewReader(p.fields), p.bits; n > 0; n -= min(n, 64) {
		w.U(min(n, 64), r.U(min(n, 64)))
	}
	w.Align()
	w.U(8, uint64(len(p.Comment)))
	for _, v := range p.Comment {
		w.U(8, uint64(v))
	}
}

// elementProgram is the number of the element in a raw frame that holds a program config element.
const elementProgram = 5

// FrameProgram splits off the program config element that a raw frame begins with; it returns
// nil and raw if the frame begins with another element or is cut short. ADTS has no other
// place to tell channels that are none of its configurations.
func FrameProgram(raw []byte) (p *Program, rest []byte) {
	const elementBits = 3
	r := bits.NewReader(raw)
	if r.U(elementBits) != elementProgram {
		return nil, raw
	}
	if p = readProgram(&r); p == nil {
		return nil, raw
	}
	return p, raw[len(raw)-r.Bits()/8:] // the element ends with whole bytes
}

// AppendFrame appends the element, without its comment, as a raw frame may begin with it: whole
// bytes, which the frame's own can follow.
func (p *Program) AppendFrame(b []byte) []byte {
	const elementBits = 3
	plain := *p
	plain.Comment = nil
	w := bits.NewWriter(nil) // it aligns by its own first byte
	w.U(elementBits, elementProgram)
	plain.write(&w)
	return append(b, w.Bytes()...)
}
