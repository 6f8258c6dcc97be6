package mpegts

import "slices"

// pesWriter cuts one PES packet of known size into transport packets, without a copy
// in between.
type pesWriter struct {
	dst    []byte
	out    *output
	left   int   // bytes of the PES packet that are still to come
	room   int   // in the present transport packet
	start  bool  // the next packet is the first
	flags  uint8 // of the adaptation field of the first
	pcr    int64 // if flags has it
	header [pesFixed + 2*stampSize]byte

	scratch [opusControlMax]byte // for what goes before a frame of sound
}

// begin appends the PES header. size is that of the payload, all of which write must
// be given afterwards.
func (w *pesWriter) begin(pts, dts int64, size int) {
	n := pesHeaderSize(pts, dts)
	w.left, w.start = n+size, true
	w.dst = slices.Grow(w.dst, packetsFor(w.left)*PacketSize)
	w.write(appendPESHeader(w.header[:0], w.out.streamID, pts, dts, size))
}

// packetsFor returns how many packets n bytes of PES packet take at most.
func packetsFor(n int) int { return (n+pcrFieldLen)/maxPayload + 1 }

// write writes a part of the payload.
func (w *pesWriter) write(b []byte) {
	for len(b) > 0 {
		n := w.next(len(b))
		w.dst = append(w.dst, b[:n]...)
		b = b[n:]
	}
}

// writeString is write of a string.
func (w *pesWriter) writeString(s string) {
	for len(s) > 0 {
		n := w.next(len(s))
		w.dst = append(w.dst, s[:n]...)
		s = s[n:]
	}
}

// next returns how many of n bytes go in the present transport packet, and counts them.
func (w *pesWriter) next(n int) int {
	if w.room == 0 {
		w.open()
	}
	n = min(n, w.room)
	w.room -= n
	w.left -= n
	return n
}

// open begins a transport packet, with an adaptation field if it is the first and has
// something to say, or the last and has room left.
func (w *pesWriter) open() {
	flags, field := uint8(0), 0
	if w.start && w.flags != 0 {
		flags, field = w.flags, 2
		if flags&flagPCR != 0 {
			field = pcrFieldLen
		}
	}
	fill := max(maxPayload-field-w.left, 0)
	control := uint8(payloadOnly)
	if field+fill > 0 {
		control = both
	}
	w.dst = appendHeader(w.dst, w.out.pid, w.start, control, w.out.counter)
	w.out.counter++
	w.out.used = true
	w.dst = appendAdaptation(w.dst, field+fill, flags, w.pcr)
	w.room = maxPayload - field - fill
	w.start = false
}

// appendAdaptation appends an adaptation field of size bytes in all.
func appendAdaptation(dst []byte, size int, flags uint8, pcr int64) []byte {
	if size == 0 {
		return dst
	}
	end := len(dst) + size
	dst = append(dst, byte(size-1))
	if size > 1 {
		dst = append(dst, flags)
	}
	if flags&flagPCR != 0 {
		dst = appendPCR(dst, pcr)
	}
	return append(dst, stuffing[:end-len(dst)]...)
}

// appendClock appends a packet that holds nothing but a clock reference.
func (m *Muxer) appendClock(dst []byte, pcr int64) []byte {
	o := m.clock
	flags := uint8(flagPCR)
	if o.broken {
		flags |= flagDiscontinuity
		o.broken = false
	}
	o.used = true
	dst = appendHeader(dst, o.pid, false, adaptationOnly, o.counter-1)
	dst = appendAdaptation(dst, maxPayload, flags, pcr&(wrap-1))
	for _, o := range m.outputs {
		if m.hasPCR {
			o.atPCR += pcr - m.pcr
		} else {
			o.atPCR = o.dts
		}
	}
	m.pcr, m.hasPCR, m.fresh = pcr, true, false
	return dst
}

// appendSection appends the packets of a section (H.222.0, 2.4.4).
func appendSection(dst []byte, pid uint16, counter *uint8, section []byte) []byte {
	for start := true; start || len(section) > 0; start = false {
		dst = appendHeader(dst, pid, start, payloadOnly, *counter)
		*counter++
		end := len(dst) + maxPayload
		if start {
			dst = append(dst, 0) // pointer_field: the section begins at once
		}
		n := min(len(section), end-len(dst))
		dst = append(dst, section[:n]...)
		section = section[n:]
		dst = append(dst, stuffing[:end-len(dst)]...)
	}
	return dst
}
