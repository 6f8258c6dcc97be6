package mpegts

import (
	"slices"

	"weir/av"
)

// Lead returns the packets of frames that a receiver is given before the next ones of m: they
// begin with the tables, and the counters of m go on from theirs. There is an element for each
// frame, which is empty for one that cannot be written. It does not change m, and returns the same
// whatever m gathers.
func (m *Muxer) Lead(frames []av.Frame) [][]byte {
	count := m.Fork()
	for i := range frames {
		_, _ = count.AppendFrame(nil, &frames[i])
	}
	lead := m.Fork()
	lead.patCount -= count.patCount - m.patCount
	lead.pmtCount -= count.pmtCount - m.pmtCount
	for i, o := range lead.known {
		o.counter -= count.known[i].counter - m.known[i].counter
	}
	packets := make([][]byte, len(frames))
	for i := range frames {
		packets[i], _ = lead.AppendFrame(nil, &frames[i])
	}
	return packets
}

// Fork returns a copy of m, for Lead at a later time, that begins as a receiver does that joins: with
// tables, a clock reference and no time so far. Its counters are those of m.
func (m *Muxer) Fork() *Muxer {
	f := *m
	f.started, f.fresh, f.hasPCR, f.gather, f.writer = false, false, false, 0, pesWriter{}
	f.known = make([]*output, len(m.known))
	for i, o := range m.known {
		c := *o
		c.started, c.broken, c.pending = false, false, nil
		f.known[i] = &c
	}
	same := func(o *output) *output { return f.known[slices.Index(m.known, o)] }
	f.outputs = make([]*output, len(m.outputs))
	for i, o := range m.outputs {
		f.outputs[i] = same(o)
	}
	f.clock = same(m.clock)
	return &f
}
