package fmp4

import (
	"encoding/binary"
	"io"
)

// sampleDefaults are what samples have that do not say otherwise.
type sampleDefaults struct{ duration, size, flags uint32 }

// fragment reads the next fragment into the tracks' queues. At the end, and at what cannot
// be read, there are no more.
func (r *Reader) fragment() {
	for {
		b, err := ReadBox(r.in, r.at, r.size)
		if err != nil {
			r.end = true
			return
		}
		r.at = b.End
		if b.Type != "moof" {
			continue
		}
		r.queued = 0
		body, err := r.body(b, maxMoof)
		if err == nil {
			data := b.End // of the first run that does not say where its data is
			err = inner(body, func(typ string, traf []byte) error {
				if typ != "traf" {
					return nil
				}
				data, err = r.traf(traf, b.Begin, data)
				return err
			})
		}
		if err != nil {
			r.end = true
		}
		return
	}
}

// traf reads the samples of a track in a fragment (ISO/IEC 14496-12, 8.8.6). moof and data are
// where the fragment begins, and where the data goes on. It returns where it ends.
func (r *Reader) traf(b []byte, moof, data int64) (int64, error) {
	head := find(b, "tfhd")
	if len(head) < 8 {
		return data, ErrBox
	}
	flags := binary.BigEndian.Uint32(head) & 0xffffff
	t := r.track(binary.BigEndian.Uint32(head[4:]))
	d := sampleDefaults{}
	if t != nil {
		d = t.defaults
	}
	f := fields{b: head[8:]}
	base := data
	switch {
	case flags&0x1 != 0:
		base = int64(f.u64())
	case flags&tfhdBaseIsMoof != 0:
		base = moof
	}
	if flags&0x2 != 0 {
		f.u32()
	}
	if flags&tfhdDuration != 0 {
		d.duration = f.u32()
	}
	if flags&0x10 != 0 {
		d.size = f.u32()
	}
	if flags&tfhdFlags != 0 {
		d.flags = f.u32()
	}
	if f.bad || base < 0 {
		return data, ErrBox
	}
	dts := int64(0)
	if t != nil {
		dts = t.next
	}
	if x := find(b, "tfdt"); len(x) >= 8 {
		dts = int64(binary.BigEndian.Uint32(x[4:]))
		if x[0] == 1 && len(x) >= 12 {
			dts = int64(binary.BigEndian.Uint64(x[4:]) &^ (1 << 63))
			if t != nil { // all are slices of one, and their capacities end where it does
				t.timeAt = r.moofEnd - int64(cap(x)) + 4
			}
		}
	}
	at := base
	err := inner(b, func(typ string, body []byte) error {
		if typ != "trun" {
			return nil
		}
		var err error
		at, dts, err = r.trun(t, body, d, base, at, dts)
		return err
	})
	if t != nil {
		t.next = dts
	}
	return at, err
}

// fields reads numbers.
type fields struct {
	b   []byte
	bad bool // there were too few
}

func (f *fields) u32() uint32 {
	if len(f.b) < 4 {
		f.bad, f.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) u64() uint64 { return uint64(f.u32())<<32 | uint64(f.u32()) }

// trun reads one run (8.8.8). A track of nil is passed over.
func (r *Reader) trun(t *readTrack, b []byte, d sampleDefaults, base, at, dts int64) (int64, int64, error) {
	f := fields{b: b}
	flags := f.u32() & 0xffffff
	count := f.u32()
	if flags&trunOffset != 0 {
		at = base + int64(int32(f.u32()))
	}
	first, hasFirst := uint32(0), flags&0x4 != 0
	if hasFirst {
		first = f.u32()
	}
	row := 0
	for _, bit := range []uint32{trunDuration, trunSize, trunFlags, trunCTS} {
		if flags&bit != 0 {
			row += 4
		}
	}
	// Samples need no row if all are alike, but a file has no more of them than bytes.
	r.seen += int64(count)
	r.queued += int(count)
	if f.bad || uint64(count)*uint64(row) > uint64(len(f.b)) || r.queued > maxQueue || r.seen > r.size {
		return at, dts, ErrBox
	}
	for i := range count {
		s := readSample{offset: at, dts: dts, duration: d.duration}
		size, sampleFlags := d.size, d.flags
		if flags&trunDuration != 0 {
			s.duration = f.u32()
		}
		if flags&trunSize != 0 {
			size = f.u32()
		}
		if flags&trunFlags != 0 {
			sampleFlags = f.u32()
		} else if i == 0 && hasFirst {
			sampleFlags = first
		}
		if flags&trunCTS != 0 {
			s.cts = int64(int32(f.u32()))
		}
		s.size = int(size)
		const notSync = 1 << 16
		s.key = sampleFlags&notSync == 0
		if size > maxSample || at < 0 || at > r.size-int64(size) {
			return at, dts, io.ErrUnexpectedEOF
		}
		at += int64(size)
		dts += int64(s.duration)
		if t != nil {
			t.queue = append(t.queue, s)
		}
	}
	return at, dts, nil
}
