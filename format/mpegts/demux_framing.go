package mpegts

import "bytes"

// framing finds packets in bytes.
type framing struct {
	stride int    // from packet to packet; 0 while that is not known
	skip   int    // bytes to come that stand between packets
	buf    []byte // what is left of before
}

// strides are the sizes of packets: as such, behind a time code of 4 bytes, and before
// 16 check bytes.
var strides = [...]int{PacketSize, 192, 204}

// confirm is how many sync bytes must be in their places for packets to be found.
const confirm = 5

// feed takes the next bytes and calls packet with each packet.
func (g *framing) feed(b []byte, c *Counters, packet func([]byte)) {
	if len(g.buf) > 0 {
		g.buf = append(g.buf, b...)
		rest := g.split(g.buf, c, packet, false)
		g.buf = append(g.buf[:0], rest...)
		return
	}
	g.buf = append(g.buf[:0], g.split(b, c, packet, false)...)
}

// flush parses what it can of the bytes left at the end.
func (g *framing) flush(c *Counters, packet func([]byte)) {
	rest := g.split(g.buf, c, packet, true)
	c.Skipped += uint64(len(rest))
	*g = framing{buf: g.buf[:0]}
}

// split calls packet with each packet in b, and returns what it needs to see again with
// more behind it.
func (g *framing) split(b []byte, c *Counters, packet func([]byte), end bool) []byte {
	for {
		if g.stride == 0 {
			skip, stride := find(b, end)
			c.Skipped += uint64(skip)
			b = b[skip:]
			if g.stride = stride; stride == 0 {
				return b
			}
		}
		for {
			n := min(g.skip, len(b))
			b, g.skip = b[n:], g.skip-n
			if len(b) < PacketSize || b[0] != syncByte {
				break
			}
			packet(b[:PacketSize])
			b, g.skip = b[PacketSize:], g.stride-PacketSize
		}
		if len(b) == 0 || b[0] == syncByte {
			return b
		}
		c.Resyncs++
		g.stride = 0
	}
}

// find looks for the first packet in b: it returns how many bytes are surely not part
// of one, and the distance of packets; 0 if it needs more bytes to tell. At the end it puts up
// with fewer packets, if there is nothing but packets.
func find(b []byte, end bool) (skip, stride int) {
	for at := 0; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], syncByte)
		if i < 0 {
			return len(b), 0
		}
		at += i
		wait := false
		for _, stride := range strides {
			n := 1
			for n < confirm && at+n*stride < len(b) && b[at+n*stride] == syncByte {
				n++
			}
			switch {
			case n == confirm:
				return at, stride
			case at+n*stride >= len(b):
				if end && (n > 1 || len(b) == PacketSize) && at+(n-1)*stride+PacketSize <= len(b) {
					return at, stride
				}
				wait = true
			}
		}
		if wait && !end {
			return at, 0
		}
	}
	return len(b), 0
}
