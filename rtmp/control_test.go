package rtmp

import (
	"encoding/hex"
	"testing"
)

// The golden bytes of a server's control messages, and what a reader makes of them.
func TestControl_Golden(t *testing.T) {
	u32 := func(f func([]byte) (uint32, bool)) func([]byte) (uint32, uint32, bool) {
		return func(b []byte) (uint32, uint32, bool) { v, ok := f(b); return v, 0, ok }
	}
	event := func(b []byte) (uint32, uint32, bool) {
		e, data, ok := parseUserControl(b)
		if !ok || len(data) < 4 {
			return uint32(e), 0, false
		}
		v, ok := parse32(data)
		return uint32(e), v, ok
	}
	bandwidth := func(b []byte) (uint32, uint32, bool) {
		size, limit, ok := parsePeerBandwidth(b)
		return size, uint32(limit), ok
	}
	for _, c := range []struct {
		name string
		got  []byte
		want string
		read func([]byte) (uint32, uint32, bool)
		a, b uint32
	}{
		{"WindowAckSize", appendWindowAckSize(nil, 2_500_000), "020000000000040500000000002625a0", u32(parseWindowAckSize), 2_500_000, 0},
		{"SetPeerBandwidth", appendPeerBandwidth(nil, 2_500_000, 2), "020000000000050600000000002625a002", bandwidth, 2_500_000, 2},
		{"SetChunkSize", appendSetChunkSize(nil, 65536), "02000000000004010000000000010000", u32(parseSetChunkSize), 65536, 0},
		{"SetChunkSize 4096", appendSetChunkSize(nil, 4096), "02000000000004010000000000001000", u32(parseSetChunkSize), 4096, 0},
		{"StreamBegin", appendEvent(nil, eventStreamBegin, 1), "020000000000060400000000000000000001", event, eventStreamBegin, 1},
		{"StreamEOF", appendEvent(nil, eventStreamEOF, 1), "020000000000060400000000000100000001", event, eventStreamEOF, 1},
		{"PingRequest", appendPingRequest(nil, 0x1234), "020000000000060400000000000600001234", event, eventPingRequest, 0x1234},
		{"PingResponse", appendPingResponse(nil, 0x1234), "020000000000060400000000000700001234", event, eventPingResponse, 0x1234},
		{"Acknowledgement", appendAck(nil, 2_500_000), "020000000000040300000000002625a0", u32(parse32), 2_500_000, 0},
		{"Abort", appendAbort(nil, 6), "02000000000004020000000000000006", u32(parseAbort), 6, 0},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		_, ms, err := ways[0].read(c.got)
		if len(ms) != 1 {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body := ms[0].Payload
		if a, b, ok := c.read(body); !ok || a != c.a || b != c.b {
			t.Errorf("%s: read as %d, %d, %v", c.name, a, b, ok)
		}
		if a, b, ok := c.read(append(body, 1, 2, 3)); !ok || a != c.a || b != c.b {
			t.Errorf("%s: too long, read as %d, %d, %v", c.name, a, b, ok)
		}
		for n := range body {
			if _, _, ok := c.read(body[:n]); ok && n < 4 {
				t.Errorf("%s: %d bytes are enough", c.name, n)
			}
		}
	}
	if size, limit, ok := parsePeerBandwidth([]byte{0, 0, 1, 0}); !ok || size != 256 || limit != 2 {
		t.Errorf("SetPeerBandwidth without limit: %d, %d, %v", size, limit, ok)
	}
}

// C-078, of parsing: any length of any event.
func TestC078_ParseUserControl(t *testing.T) {
	for n := range 12 {
		for e := range byte(51) {
			event, data, ok := parseUserControl(append([]byte{0, e}, make([]byte, 10)...)[:n])
			if ok != (n >= 2) || ok && (event != uint16(e) || len(data) != n-2) {
				t.Errorf("event %d in %d bytes: %d, %d bytes, %v", e, n, event, len(data), ok)
			}
		}
	}
}
