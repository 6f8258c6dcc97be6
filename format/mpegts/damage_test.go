package mpegts

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"weir/av"
)

// sample is a short stream of video, sound and data, and the frames in it.
func sample(t testing.TB) ([]byte, []av.Frame) {
	t.Helper()
	v, a := sourceNamed(t, "h264-high"), sourceNamed(t, "aac-44100-2")
	m := newMuxer(t, Options{}, v.track, a.track, av.Track{Kind: av.Data, Codec: SCTE35})
	fs := interleave(v.frames(20, 0), a.frames(30, 0), []av.Frame{{Kind: av.Data, Codec: SCTE35, DTS: 400 * time.Millisecond, Payload: splice(500)}})
	return write(t, m, fs), fs
}

// TestPrefixes reads every prefix of a stream: no frame is made up.
func TestPrefixes(t *testing.T) {
	b, _ := sample(t)
	whole, _ := demux(b)
	for n := range b {
		if n%PacketSize > 20 && n%7 != 0 { // headers at every byte, payload at some
			continue
		}
		got, _ := demux(b[:n])
		if len(got) > len(whole) {
			t.Fatalf("%d bytes: %d frames", n, len(got))
		}
		for i := range got {
			if got[i].Type == av.Media && got[i].Kind != av.Data && !slices.ContainsFunc(whole, func(f av.Frame) bool { return sameFrame(f, got[i]) }) {
				t.Fatalf("%d bytes: frame %d is not in the whole", n, i)
			}
		}
	}
}

// TestC244_Corruption damages streams at random: nothing breaks, and every packet is
// either read or counted.
func TestC244_Corruption(t *testing.T) {
	b, _ := sample(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		c := bytes.Clone(b)
		for range 1 + r.IntN(40) {
			c[r.IntN(len(c))] = byte(r.Uint32())
		}
		if r.IntN(2) == 0 {
			at := r.IntN(len(c))
			c = slices.Delete(c, at, min(at+r.IntN(400), len(c)))
		}
		if r.IntN(2) == 0 {
			c = slices.Insert(c, r.IntN(len(c)), bytes.Repeat([]byte{syncByte}, r.IntN(300))...)
		}
		var d Demuxer
		var n int
		for piece := range slices.Chunk(c, 1+r.IntN(2000)) {
			n += len(d.Demux(nil, piece))
		}
		n += len(d.Flush(nil))
		if got := d.counters.Packets*PacketSize + d.counters.Skipped; got > uint64(len(c)) {
			t.Fatalf("%d of %d bytes counted", got, len(c))
		}
		if n > 120 || d.held != 0 {
			t.Fatalf("%d frames, %d bytes held", n, d.held)
		}
	}
}

// drop leaves out the packets for which out says so.
func drop(b []byte, out func(n int, p packet) bool) []byte {
	var kept []byte
	n := 0
	for raw := range slices.Chunk(b, PacketSize) {
		if p, _ := parsePacket(raw); !out(n, p) {
			kept = append(kept, raw...)
		}
		n++
	}
	return kept
}

// TestC244_Loss leaves out packets: the frames they are of go, no other does.
func TestC244_Loss(t *testing.T) {
	b, in := sample(t)
	whole, _ := demux(b)
	lost := 0
	got, c := demux(drop(b, func(n int, p packet) bool {
		if p.pid == firstPID && !p.start && n > 20 && lost == 0 {
			lost++
			return true
		}
		return false
	}))
	if c.Gaps != 1 || c.DroppedPES != 1 || len(media(got, av.Video)) != len(media(in, av.Video))-1 || len(media(got, av.Audio)) != len(media(in, av.Audio)) {
		t.Errorf("%d frames, %+v", len(got), c)
	}
	for _, f := range got {
		if f.Kind != av.Data && !slices.ContainsFunc(whole, func(g av.Frame) bool { return sameFrame(f, g) }) {
			t.Errorf("frame at %v is new", f.DTS)
		}
	}
}

// TestRepeats sends every packet twice.
func TestRepeats(t *testing.T) {
	b, _ := sample(t)
	var twice []byte
	for p := range slices.Chunk(b, PacketSize) {
		twice = append(append(twice, p...), p...)
	}
	want, _ := demux(b)
	got, c := demux(twice)
	if !slices.EqualFunc(got, want, sameFrame) || c.Gaps > 0 || c.Duplicates == 0 {
		t.Errorf("%d frames, not %d: %+v", len(got), len(want), c)
	}
}

// TestC244_Resync puts rubbish before, between and behind packets.
func TestC244_Resync(t *testing.T) {
	b, _ := sample(t)
	want, _ := demux(b)
	rubbish := bytes.Repeat([]byte("rubbish G "), 50)
	at := len(b) / PacketSize / 2 * PacketSize
	got, c := demux(slices.Concat(rubbish, b[:at], rubbish, b[at:], rubbish))
	if !slices.EqualFunc(got, want, sameFrame) {
		t.Errorf("%d frames, not %d", len(got), len(want))
	}
	if c.Resyncs != 2 || c.Skipped != uint64(3*len(rubbish)) {
		t.Errorf("%+v", c)
	}
	// One wrong sync byte costs one packet.
	damaged := bytes.Clone(b)
	damaged[at] = 0
	if _, c := demux(damaged); c.Resyncs != 1 || c.Packets != uint64(len(b)/PacketSize)-1 {
		t.Errorf("%+v", c)
	}
}

// TestFlush goes on with another stream after the end of one.
func TestFlush(t *testing.T) {
	b, _ := sample(t)
	whole, _ := demux(b)
	var d Demuxer
	d.Flush(d.Demux(nil, b[:len(b)/2/PacketSize*PacketSize+100]))
	before := d.counters
	got := d.Flush(d.Demux(nil, b))
	if len(media(got, av.Video)) != len(media(whole, av.Video)) || d.counters.Gaps != before.Gaps || d.counters.DroppedPES != before.DroppedPES {
		t.Errorf("%d frames, not %d: %+v", len(got), len(whole), d.counters)
	}
}

// TestMarked passes over packets that are marked as damaged or are scrambled.
func TestMarked(t *testing.T) {
	b, _ := sample(t)
	n := 0
	for p := range slices.Chunk(b, PacketSize) {
		if h, _ := parsePacket(p); h.pid == firstPID+1 && h.start {
			switch n++; n {
			case 3:
				p[1] |= 0x80
			case 6:
				p[3] |= 0x80
			case 9:
				p[3] |= 0x20
				p[4] = 200
			}
		}
	}
	got, c := demux(b)
	if c.Errors != 1 || c.Scrambled != 1 || c.Malformed != 1 || c.Gaps != 3 || len(media(got, av.Audio)) >= 30 {
		t.Errorf("%d frames, %+v", len(media(got, av.Audio)), c)
	}
}

// sections packs sections into the packets of a PID.
func sections(pid uint16, counter *uint8, all ...[]byte) (b []byte) {
	for _, s := range all {
		b = appendSection(b, pid, counter, s)
	}
	return b
}

// TestTables reads tables of all kinds.
func TestTables(t *testing.T) {
	const network, other = 0, 7
	video := appendStream(nil, typeH264, 0x111, nil)
	body := func(streams ...[]byte) []byte {
		return append([]byte{0xe1, 0x11, 0xf0, 0}, slices.Concat(streams...)...)
	}
	pat := func(entries ...uint16) []byte {
		var b []byte
		for _, e := range entries {
			b = binary.BigEndian.AppendUint16(b, e)
		}
		return appendLongSection(nil, tablePAT, 1, 0, b)
	}
	pmt := func(number uint16, version uint8, body []byte) []byte {
		return appendLongSection(nil, tablePMT, number, version, body)
	}
	var manyStreams []byte
	for i := range 100 {
		manyStreams = appendStream(manyStreams, typeADTS, 0x200+uint16(i), nil)
	}
	later := pmt(1, 1, body(video, video))
	later[5] &^= 1
	binary.BigEndian.PutUint32(later[len(later)-crcSize:], crc(later[:len(later)-crcSize]))
	damaged := pmt(1, 0, body(video))
	damaged[12] ^= 1
	for _, c := range []struct {
		name     string
		pat      []byte
		pmt      [][]byte
		tracks   int
		counters Counters
	}{
		{"one program", pat(1, 0x1000), [][]byte{pmt(1, 0, body(video))}, 1, Counters{}},
		{"with the network's", pat(network, 0x10, 1, 0x1000), [][]byte{pmt(1, 0, body(video))}, 1, Counters{}},
		{"two programs", pat(1, 0x1000, other, 0x1001), [][]byte{pmt(other, 0, body(video, video)), pmt(1, 0, body(video))}, 1, Counters{}},
		{"damaged", pat(1, 0x1000), [][]byte{damaged}, 0, Counters{BadSections: 1}},
		{"damaged, then whole", pat(1, 0x1000), [][]byte{damaged, pmt(1, 0, body(video))}, 1, Counters{BadSections: 1}},
		{"not yet", pat(1, 0x1000), [][]byte{later}, 0, Counters{}},
		{"again", pat(1, 0x1000), [][]byte{pmt(1, 0, body(video)), pmt(1, 0, body(video))}, 1, Counters{}},
		{"changed", pat(1, 0x1000), [][]byte{pmt(1, 0, body(video)), pmt(1, 1, body(video, appendStream(nil, typeADTS, 0x112, nil)))}, 2, Counters{TableChanges: 1}},
		{"the same PID twice", pat(1, 0x1000), [][]byte{pmt(1, 0, body(video, video))}, 1, Counters{Unsupported: 1}},
		{"MPEG-2 video", pat(1, 0x1000), [][]byte{pmt(1, 0, body(appendStream(nil, 2, 0x111, nil)))}, 0, Counters{Unsupported: 1}},
		{"DTS on a disc", pat(1, 0x1000), [][]byte{pmt(1, 0, body(appendStream(nil, 0x86, 0x111, appendRegistration(nil, "HDMV"))))}, 0, Counters{Unsupported: 1}},
		{"DVB AC-3 and E-AC-3", pat(1, 0x1000), [][]byte{pmt(1, 0, body(appendStream(nil, 6, 0x111, []byte{0x6a, 1, 0}), appendStream(nil, 6, 0x112, []byte{0x7a, 1, 0})))}, 2, Counters{}},
		{"C-244 100 streams", pat(1, 0x1000), [][]byte{pmt(1, 0, body(manyStreams))}, 64, Counters{Unsupported: 36}},
		{"too short", pat(1, 0x1000), [][]byte{pmt(1, 0, []byte{0xe1, 0x11})}, 0, Counters{BadSections: 1}},
		{"descriptors too long", pat(1, 0x1000), [][]byte{pmt(1, 0, []byte{0xe1, 0x11, 0xf0, 9})}, 0, Counters{BadSections: 1}},
		{"stream cut short", pat(1, 0x1000), [][]byte{pmt(1, 0, body(video[:3]))}, 0, Counters{BadSections: 1}},
		{"stream's descriptors too long", pat(1, 0x1000), [][]byte{pmt(1, 0, body([]byte{0x1b, 0xe1, 0x11, 0xf0, 1}))}, 0, Counters{BadSections: 1}},
		{"PMT on the PAT's PID", pat(1, 0), [][]byte{pmt(1, 0, body(video))}, 0, Counters{}},
	} {
		var counter, patCounter uint8
		b := append(sections(patPID, &patCounter, c.pat), sections(0x1000, &counter, c.pmt...)...)
		var d Demuxer
		for range 5 { // so that there are enough packets to find them
			b = append(b, appendAdaptation(appendHeader(nil, nullPID, false, adaptationOnly, 0), maxPayload, 0, 0)...)
		}
		if got := d.Demux(nil, b); len(got) != 0 {
			t.Errorf("%s: %d frames", c.name, len(got))
		}
		c.counters.Packets = uint64(len(b) / PacketSize)
		if n := len(d.Tracks()); n != c.tracks || d.counters != c.counters {
			t.Errorf("%s: %d tracks, %+v", c.name, n, d.counters)
		}
	}
}

// TestSections puts sections together that lie across packets in all ways.
func TestSections(t *testing.T) {
	section := splice(300)
	long := []byte{tableSCTE35, 0x3f, 0xff}
	first := func(b ...byte) packet { return packet{start: true, hasPayload: true, payload: b} }
	then := func(b ...byte) packet { return packet{hasPayload: true, payload: b} }
	with := func(head []byte, tail ...[]byte) []byte { return slices.Concat(append([][]byte{head}, tail...)...) }
	for _, c := range []struct {
		name    string
		packets []packet
		whole   int
		bad     uint64
	}{
		{"in two", []packet{first(with([]byte{0}, section[:100])...), then(section[100:]...)}, 1, 0},
		{"header across", []packet{first(with([]byte{0}, section[:2])...), then(section[2:]...)}, 1, 0},
		{"two in one", []packet{first(with([]byte{0}, section, section)...)}, 2, 0},
		{"behind the right end of another", []packet{first(with([]byte{0}, section[:200])...), first(with([]byte{byte(len(section) - 200)}, section[200:], section)...)}, 2, 0},
		{"stuffing behind", []packet{first(with([]byte{0}, section, stuffing[:20])...)}, 1, 0},
		{"begins in the middle", []packet{then(section[100:]...), first(with([]byte{0}, section)...)}, 1, 0},
		{"pointer too long", []packet{first(9, 1, 2)}, 0, 0},
		{"no payload", []packet{first()}, 0, 0},
		{"too long", []packet{first(with([]byte{0}, long)...), then(section...)}, 0, 1},
		{"a new one too early", []packet{first(with([]byte{0}, section[:100])...), first(with([]byte{0}, section)...)}, 1, 1},
	} {
		var r sectionReader
		var counters Counters
		whole := 0
		for i := range c.packets {
			p := &c.packets[i]
			p.counter = uint8(i)
			r.packet(p, &counters, func(b []byte) {
				if whole++; !bytes.Equal(b, section) {
					t.Errorf("%s: %x", c.name, b)
				}
			})
		}
		if whole != c.whole || counters.BadSections != c.bad {
			t.Errorf("%s: %d sections, %+v", c.name, whole, counters)
		}
	}
}
