package mpegts

import (
	"testing"
)

// pesCases drive writing and reading of PES headers.
var pesCases = []struct {
	name     string
	id       uint8
	pts, dts int64
	size     int
	length   int
}{
	{"sound", idAudio, 90000, 90000, 100, 108},
	{"video", idVideo, 90000, 86400, 100, 113},
	{"the largest", idVideo, wrap - 1, wrap - 2, maxPESLength - 13, maxPESLength},
	{"larger", idVideo, wrap - 1, 0, maxPESLength - 12, 0},
	{"all bits in turn", idPrivate, 0x155555555, 0x0aaaaaaaa, 0, 13},
	{"at 0", idPrivate, 0, 0, 1, 9},
}

func TestPESHeader(t *testing.T) {
	for _, c := range pesCases {
		b := appendPESHeader(nil, c.id, c.pts, c.dts, c.size)
		if len(b) != pesHeaderSize(c.pts, c.dts) {
			t.Errorf("%s: %d bytes", c.name, len(b))
		}
		h, ok, err := parsePESHeader(b)
		want := pesHeader{id: c.id, aligned: true, pts: c.pts, dts: c.dts, length: c.length, size: len(b)}
		if !ok || err != nil || h != want {
			t.Errorf("%s: %+v, %v, %v", c.name, h, ok, err)
		}
		for n := range b {
			if _, ok, err := parsePESHeader(b[:n]); ok || err != nil {
				t.Errorf("%s: %d bytes: %v, %v", c.name, n, ok, err)
			}
		}
	}
	for _, c := range []struct{ name, b string }{
		{"no start code", "\x00\x00\x02\xe0\x00\x00\x80\x00\x00"},
		{"not of MPEG-2", "\x00\x00\x01\xe0\x00\x00\x0f\x00\x00"},
		{"header longer than the packet", "\x00\x00\x01\xe0\x00\x07\x80\x80\x05\x21\x00\x01\x00\x01"},
	} {
		if _, ok, err := parsePESHeader([]byte(c.b)); ok || err == nil {
			t.Errorf("%s: %v, %v", c.name, ok, err)
		}
	}
	for _, c := range []struct{ name, b string }{
		{"no time stamps", "\x00\x00\x01\xe0\x00\x00\x80\x00\x00"},
		{"time stamp cut short", "\x00\x00\x01\xe0\x00\x00\x80\x80\x02\xff\xff"},
	} {
		if h, ok, err := parsePESHeader([]byte(c.b)); !ok || err != nil || h.pts != noTime {
			t.Errorf("%s: %+v, %v, %v", c.name, h, ok, err)
		}
	}
}

// TestPacketHeader drives writing and reading of packet headers by one table.
func TestPacketHeader(t *testing.T) {
	for _, c := range []packet{
		{pid: 0x100, start: true, hasPayload: true, counter: 15, pcr: -1},
		{pid: nullPID, hasPayload: true, pcr: -1},
		{pid: 1, counter: 1, flags: flagPCR | flagDiscontinuity, pcr: wrap - 1},
		{pid: 1, start: true, hasPayload: true, counter: 1, flags: flagPCR | flagRandomAccess, pcr: 0x155555555},
	} {
		control, field := uint8(payloadOnly), 0
		if c.flags != 0 {
			control, field = both, pcrFieldLen
		}
		if !c.hasPayload {
			control, field = adaptationOnly, maxPayload
		}
		b := appendHeader(nil, c.pid, c.start, control, c.counter)
		b = appendAdaptation(b, field, c.flags, c.pcr)
		n := PacketSize - len(b)
		b = append(b, stuffing[:n]...)
		p, err := parsePacket(b)
		if err != nil || p.pid != c.pid || p.start != c.start || p.hasPayload != c.hasPayload || p.counter != c.counter || p.flags != c.flags || p.pcr != c.pcr || len(p.payload) != n {
			t.Errorf("%+v became %+v, %v", c, p, err)
		}
	}
	for size := 1; size <= maxPayload; size++ { // adaptation fields of all sizes
		b := appendAdaptation(appendHeader(nil, 1, false, both, 0), size, 0, 0)
		p, err := parsePacket(append(b, stuffing[:PacketSize-len(b)]...))
		if err != nil || len(p.payload) != maxPayload-size {
			t.Errorf("field of %d bytes: payload of %d, %v", size, len(p.payload), err)
		}
	}
	for _, bad := range []string{"\x47\x00\x01\x30\xb8", "\x47\x00\x01\x30\x06\x10"} {
		b := append([]byte(bad), make([]byte, PacketSize-len(bad))...)
		if _, err := parsePacket(b); err == nil {
			t.Errorf("%x was taken", bad)
		}
	}
}

func TestUnwrap(t *testing.T) {
	var u unwrapper
	for _, c := range []struct{ in, want int64 }{
		{wrap - 3600, wrap - 3600},
		{0, wrap},
		{3600, wrap + 3600},
		{wrap - 1, wrap - 1},
		{1, wrap + 1},
		{wrap/2 - 1, wrap + wrap/2 - 1},
		{wrap - 2, 2*wrap - 2},
		{5, 2*wrap + 5},
	} {
		if got := u.unwrap(c.in); got != c.want {
			t.Errorf("%d became %d, not %d", c.in, got, c.want)
		}
	}
}

func TestCRC(t *testing.T) {
	if got := crc([]byte("123456789")); got != 0x0376e6e7 { // CRC-32/MPEG-2's check value
		t.Errorf("%#x", got)
	}
}
