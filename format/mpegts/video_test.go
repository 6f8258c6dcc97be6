package mpegts

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec/h264"
	"weir/codec/nal"
)

// demuxVideo demuxes one PES packet of H.264 after those that came before.
func demuxVideo(d *Demuxer, s *stream, t times, units ...[]byte) []av.Frame {
	var b []byte
	for _, u := range units {
		b = nal.AppendAnnexB(b, u)
	}
	d.out = nil
	d.readVideo(s, t, b, false)
	return d.out
}

// TestParameterSets feeds parameter sets in several orders.
func TestParameterSets(t *testing.T) {
	parse := func(name string) (sps, pps []byte) {
		c, err := h264.ParseConfig(sourceNamed(t, name).track.Config)
		if err != nil || len(c.SPS) != 1 || len(c.PPS) != 1 {
			t.Fatal(err)
		}
		return c.SPS[0], c.PPS[0]
	}
	sps, pps := parse("h264-high")
	sps2, pps2 := parse("h264-baseline")
	aud, idr, slice, b := []byte{9, 0xf0}, []byte{0x65, 0x88, 1}, []byte{0x41, 0x9a, 1}, []byte{0x01, 0x9e, 1}
	var d Demuxer
	s := &stream{codec: av.H264}
	at := func(n int64) times { return times{pts: n * 3600, dts: n * 3600, known: true} }
	same := func(got []av.Frame, want ...av.Type) {
		t.Helper()
		var types []av.Type
		for _, f := range got {
			types = append(types, f.Type)
		}
		if !slices.Equal(types, want) {
			t.Errorf("frames of types %v, not %v", types, want)
		}
	}
	same(demuxVideo(&d, s, at(0), aud, slice)) // nothing can be decoded yet
	same(demuxVideo(&d, s, at(1), aud, sps))
	same(demuxVideo(&d, s, at(2), aud, pps), av.Config)
	got := demuxVideo(&d, s, at(3), aud, sps, pps, idr)
	same(got, av.Media)
	if !got[0].IsKey() || got[0].DTS != 120*time.Millisecond || !bytes.Equal(got[0].Payload, append([]byte{0, 0, 0, 3}, idr...)) {
		t.Errorf("%+v", got[0])
	}
	same(demuxVideo(&d, s, at(4), aud, sps2, pps2, idr), av.Config, av.Media)
	c, err := h264.ParseConfig(s.config)
	if err != nil || len(c.SPS) != 1 || !bytes.Equal(c.SPS[0], sps2) || !bytes.Equal(c.PPS[0], pps2) {
		t.Errorf("configuration %x", s.config)
	}
	got = demuxVideo(&d, s, at(5), aud, b)
	if same(got, av.Media); got[0].Flags != av.Disposable {
		t.Errorf("flags %b", got[0].Flags)
	}
	// Two access units in one PES packet, then one without time stamps.
	got = demuxVideo(&d, s, at(6), aud, slice, aud, slice, slice)
	if same(got, av.Media, av.Media); got[1].DTS != 280*time.Millisecond || len(got[1].Payload) != 2*len(got[0].Payload) {
		t.Errorf("at %v: %x", got[1].DTS, got[1].Payload)
	}
	if got = demuxVideo(&d, s, times{}, slice); len(got) != 1 || got[0].DTS != 320*time.Millisecond {
		t.Errorf("%v", got)
	}
	before := d.counters
	same(demuxVideo(&d, s, at(9)))
	same(demuxVideo(&d, s, at(9), []byte{6, 5, 1, 1}))
	same(demuxVideo(&d, s, at(9), []byte{7, 1, 2}, []byte{8}))
	if d.counters.BadFrames != before.BadFrames+2 {
		t.Errorf("%+v", d.counters)
	}
}

// TestC244_LongPES sends PES packets that do not end: what is held is bounded.
func TestC244_LongPES(t *testing.T) {
	v := sourceNamed(t, "h264-high")
	var tracks []av.Track
	for i := range 8 {
		track := v.track
		track.ID = uint8(i)
		tracks = append(tracks, track)
	}
	m := newMuxer(t, Options{}, tracks...)
	b := m.AppendTables(nil)
	var d Demuxer
	d.Demux(nil, b)
	most := 0
	zero := make([]byte, maxPayload)
	for n := range 60000 {
		for _, o := range m.outputs[:4] {
			p := appendHeader(b[:0], o.pid, n == 0, payloadOnly, o.counter)
			o.counter++
			if n == 0 {
				p = appendPESHeader(p, idVideo, 0, 0, 1<<20)
			}
			zero[0] = byte(n) // or else it would be the packet before again
			d.Demux(nil, append(p, zero[:PacketSize-len(p)]...))
		}
		most = max(most, d.held)
	}
	if most > 16<<20 || d.counters.DroppedPES == 0 {
		t.Errorf("%d bytes held, %+v", most, d.counters)
	}
	if d.Flush(nil); d.held != 0 {
		t.Errorf("%d bytes held at the end", d.held)
	}
}
