package mpegts

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/nal"
)

// TestSupported asks of every codec there is.
func TestSupported(t *testing.T) {
	yes := []av.Codec{av.H264, av.H265, av.AAC, av.MP3, av.AC3, av.EAC3, av.Opus, ID3, SCTE35}
	no := []av.Codec{
		0, av.VVC, av.AV1, av.VP8, av.VP9, av.SorensonH263, av.ScreenVideo, av.ScreenVideo2, av.VP6, av.VP6Alpha,
		av.FLAC, av.PCMA, av.PCMU, av.PCM, av.ADPCM, av.Nellymoser, av.Speex,
	}
	for _, c := range append(slices.Clone(yes), no...) {
		want := slices.Contains(yes, c)
		if Supported(c) != want {
			t.Errorf("%v: %v", c, !want)
		}
		_, err := NewMuxer([]av.Track{{Kind: kindOf(c), Codec: c}}, Options{})
		if (err == nil) != want || !want && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestRefusals gives a Muxer tracks and frames that it cannot take.
func TestRefusals(t *testing.T) {
	many := make([]av.Track, 33)
	for i := range many {
		many[i] = av.Track{Kind: av.Audio, ID: uint8(i), Codec: av.MP3}
	}
	for _, c := range []struct {
		name   string
		tracks []av.Track
		want   error
	}{
		{"none", nil, ErrTracks},
		{"too many", many, ErrTracks},
		{"twice", []av.Track{{Codec: av.H264}, {Codec: av.H265}}, ErrTracks},
		{"wrong kind", []av.Track{{Kind: av.Audio, Codec: av.H264}}, ErrUnsupported},
		{"xHE-AAC", []av.Track{{Kind: av.Audio, Codec: av.AAC, Config: []byte{0xf9, 0x40, 0x40, 0, 0}}}, ErrUnsupported},
		{"AAC, damaged", []av.Track{{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x12}}}, ErrUnsupported},
		{"Opus, damaged", []av.Track{{Kind: av.Audio, Codec: av.Opus, Config: []byte("OpusHead")}}, ErrUnsupported},
		{"Opus of 10 channels", []av.Track{{Kind: av.Audio, Codec: av.Opus, Config: []byte("OpusHead\x01\x0a\x00\x00\x80\xbb\x00\x00\x00\x00\xff\x0a\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09")}}, ErrUnsupported},
	} {
		if _, err := NewMuxer(c.tracks, Options{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}

	m := newMuxer(t, Options{}, av.Track{Codec: av.H264}, av.Track{Kind: av.Audio, Codec: av.AAC}, av.Track{Kind: av.Data, Codec: SCTE35}, av.Track{Kind: av.Audio, ID: 1, Codec: av.MP3})
	for _, c := range []struct {
		name string
		f    av.Frame
		want error
	}{
		{"no such track", av.Frame{Track: 1, Codec: av.H264, Payload: []byte{0, 0, 0, 1, 5}}, ErrTrack},
		{"another codec", av.Frame{Codec: av.H265, Payload: []byte{0, 0, 0, 1, 5}}, ErrTrack},
		{"empty", av.Frame{Codec: av.H264}, ErrFrame},
		{"no whole unit", av.Frame{Codec: av.H264, Payload: []byte{0, 0, 0, 9, 5}}, ErrFrame},
		{"a delimiter only", av.Frame{Codec: av.H264, Payload: []byte{0, 0, 0, 2, 9, 0xf0}}, ErrFrame},
		{"raw AAC without configuration", av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: []byte{1}}, ErrFrame},
		{"sound too long", av.Frame{Kind: av.Audio, Track: 1, Codec: av.MP3, Payload: make([]byte, 1<<16)}, ErrFrame},
		{"no section", av.Frame{Kind: av.Data, Codec: SCTE35, Payload: []byte{0xfc, 0x30, 2, 0}}, ErrFrame},
		{"damaged configuration", av.Frame{Kind: av.Audio, Codec: av.AAC, Type: av.Config, Payload: []byte{0}}, ErrUnsupported},
		{"no media", av.Frame{Codec: av.H264, Type: av.End}, nil},
	} {
		if b, err := m.AppendFrame([]byte("before"), &c.f); !errors.Is(err, c.want) || string(b) != "before" {
			t.Errorf("%s: %q, %v", c.name, b, err)
		}
	}
	for _, n := range []int{8184 + 1, 70000} {
		m := newMuxer(t, Options{}, av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}})
		if _, err := m.AppendFrame(nil, &av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: make([]byte, n)}); !errors.Is(err, ErrFrame) {
			t.Errorf("%d bytes of raw AAC: %v", n, err)
		}
	}
}

// payloads returns the PES payloads of a PID.
func payloads(t *testing.T, b []byte, pid uint16) [][]byte {
	t.Helper()
	var out [][]byte
	for n := 0; n < len(b); n += PacketSize {
		p, err := parsePacket(b[n : n+PacketSize])
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case p.pid != pid:
		case p.start:
			h, ok, err := parsePESHeader(p.payload)
			if !ok || err != nil {
				t.Fatalf("%x", p.payload)
			}
			out = append(out, bytes.Clone(p.payload[h.size:]))
		default:
			out[len(out)-1] = append(out[len(out)-1], p.payload...)
		}
	}
	return out
}

// TestAccessUnits checks which units a Muxer adds and leaves out.
func TestAccessUnits(t *testing.T) {
	s := sourceNamed(t, "h264-high")
	m := newMuxer(t, Options{}, s.track)
	sets := m.outputs[0].sets
	aud, idr, sei, slice := []byte{9, 0x10}, []byte{0x65, 1, 2}, []byte{6, 5, 1, 1}, []byte{0x41, 1, 2}
	var inBand [][]byte
	for u := range nal.AnnexB(sets) {
		inBand = append(inBand, u)
	}
	if len(inBand) != 2 {
		t.Fatalf("%d parameter sets", len(inBand))
	}
	join := func(units ...[]byte) (out []byte) {
		for _, u := range units {
			out, _ = nal.Append(out, u, 4)
		}
		return out
	}
	joinB := func(units ...[]byte) (out []byte) {
		for _, u := range units {
			out = nal.AppendAnnexB(out, u)
		}
		return out
	}
	ours := []byte{9, 0xf0}
	for _, c := range []struct {
		name string
		key  bool
		in   []byte
		want []byte
	}{
		{"key", true, join(sei, idr), joinB(ours, inBand[0], inBand[1], sei, idr)},
		{"no key", false, join(slice), joinB(ours, slice)},
		{"delimiter there", true, join(aud, idr), joinB(ours, inBand[0], inBand[1], idr)},
		{"delimiter within", false, join(slice, aud, slice), joinB(ours, slice, slice)},
		{"sets there", true, join(inBand[0], inBand[1], idr), joinB(ours, inBand[0], inBand[1], idr)},
		{"one set there", true, join(inBand[0], idr), joinB(ours, inBand[0], inBand[1], inBand[0], idr)},
		{"start codes", true, joinB(aud, sei, idr), joinB(ours, inBand[0], inBand[1], sei, idr)},
		{"start codes of three bytes", false, append([]byte{0, 0, 1}, slice...), joinB(ours, slice)},
		{"empty unit", false, join(slice, nil, slice), joinB(ours, slice, slice)},
		{"cut short", false, append(join(slice), 0, 0, 0, 9, 1), joinB(ours, slice)},
	} {
		f := av.Frame{Codec: av.H264, Payload: c.in}
		if c.key {
			f.Flags = av.Key
		}
		f.DTS += 40 * time.Millisecond
		b, err := m.AppendFrame(nil, &f)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := payloads(t, b, firstPID); len(got) != 1 || !bytes.Equal(got[0], c.want) {
			t.Errorf("%s: %x, not %x", c.name, got, c.want)
		}
	}
}

// TestADTSThere passes on sound that is in ADTS already, and reads it again.
func TestADTSThere(t *testing.T) {
	s := sourceNamed(t, "aac-44100-2")
	c, err := aac.ParseConfig(s.track.Config)
	if err != nil {
		t.Fatal(err)
	}
	header, err := c.AppendADTS(nil, len(s.media[0]))
	if err != nil {
		t.Fatal(err)
	}
	adts := append(header, s.media[0]...)
	for _, track := range []av.Track{s.track, {Kind: av.Audio, Codec: av.AAC}} {
		m := newMuxer(t, Options{}, track)
		b := write(t, m, []av.Frame{{Kind: av.Audio, Codec: av.AAC, Payload: adts}})
		if got := payloads(t, b, firstPID); len(got) != 1 || !bytes.Equal(got[0], adts) {
			t.Errorf("%x", got)
		}
	}
}

// stamps returns the time stamps of a PID's PES packets, and the flags that come with them.
func stamps(t *testing.T, b []byte, pid uint16) (hs []pesHeader, flags []uint8) {
	t.Helper()
	for n := 0; n < len(b); n += PacketSize {
		p, err := parsePacket(b[n : n+PacketSize])
		if err != nil {
			t.Fatal(err)
		}
		if p.pid == pid && p.start {
			h, _, err := parsePESHeader(p.payload)
			if err != nil {
				t.Fatal(err)
			}
			hs, flags = append(hs, h), append(flags, p.flags)
		}
	}
	return hs, flags
}

// TestStamps checks time stamps of odd times.
func TestStamps(t *testing.T) {
	const ms, delay = clockRate / 1000, clockRate / 5
	type stampPair struct{ dts, pts int64 }
	for _, c := range []struct {
		name     string
		dts, pts []int // ms
		want     []stampPair
	}{
		{"B frames", []int{0, 40, 80}, []int{80, 200, 120}, []stampPair{{delay, delay + 80*ms}, {delay + 40*ms, delay + 200*ms}, {delay + 80*ms, delay + 120*ms}}},
		{"C-189 equal times", []int{0, 0, 0, 40}, []int{0, 0, 0, 40}, []stampPair{{delay, delay}, {delay + 1, delay + 1}, {delay + 2, delay + 2}, {delay + 40*ms, delay + 40*ms}}},
		{"C-189 a little back", []int{100, 60, 140}, []int{100, 60, 140}, []stampPair{{delay + 100*ms, delay + 100*ms}, {delay + 100*ms + 1, delay + 100*ms + 1}, {delay + 140*ms, delay + 140*ms}}},
		{"C-193 shown before decoded", []int{0, 40, 80, 120}, []int{0, 120, 40, 80}, []stampPair{
			{delay, delay},
			{delay + 40*ms, delay + 120*ms},
			{delay + 40*ms + 1, delay + 40*ms + 1},
			{delay + 80*ms, delay + 80*ms},
		}},
		{"C-193 shown long before decoded", []int{0, 1000}, []int{0, 0}, []stampPair{{delay, delay}, {1000 * ms, 1000 * ms}}},
		{"C-193 shown 20 s later", []int{0, 40}, []int{20000, 20040}, []stampPair{{delay, delay + 20000*ms}, {delay + 40*ms, delay + 20040*ms}}},
		{"a jump back", []int{5000, 0, 40}, []int{5000, 0, 40}, []stampPair{{delay + 5000*ms, delay + 5000*ms}, {delay, delay}, {delay + 40*ms, delay + 40*ms}}},
		{"before 0", []int{-1000}, []int{-1000}, []stampPair{{wrap - 800*ms, wrap - 800*ms}}},
	} {
		s := sourceNamed(t, "h264-high")
		m := newMuxer(t, Options{}, s.track)
		var fs []av.Frame
		for i := range c.dts {
			fs = append(fs, av.Frame{Codec: av.H264, Payload: s.media[1], DTS: time.Duration(c.dts[i]) * time.Millisecond, PTS: time.Duration(c.pts[i]) * time.Millisecond})
		}
		hs, _ := stamps(t, write(t, m, fs), firstPID)
		var got []stampPair
		for _, h := range hs {
			got = append(got, stampPair{h.dts, h.pts})
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, not %v", c.name, got, c.want)
		}
	}
}

// TestFlags checks what adaptation fields say: key frames, and once per PID that time
// does not go on.
func TestFlags(t *testing.T) {
	v, a := sourceNamed(t, "h265-main"), sourceNamed(t, "ac3-48000-2")
	m := newMuxer(t, Options{}, v.track, a.track)
	fs := interleave(v.frames(10, 0), a.frames(10, 0))
	write(t, m, fs)
	if _, flags := stamps(t, write(t, newMuxer(t, Options{}, v.track, a.track), fs), firstPID); flags[0] != flagRandomAccess|flagPCR || flags[1] != flagPCR {
		t.Errorf("flags %#x", flags)
	}

	again := interleave(v.frames(10, time.Second), a.frames(10, time.Second))
	again[0].Flags |= av.Discontinuity
	again[1].Flags |= av.Discontinuity
	b := write(t, m, again)
	if p, _ := parsePacket(b); p.pid != patPID {
		t.Errorf("PID %#x comes first", p.pid)
	}
	for _, pid := range []uint16{firstPID, firstPID + 1} {
		said := 0
		for n := 0; n < len(b); n += PacketSize {
			p, _ := parsePacket(b[n : n+PacketSize])
			if p.pid == pid && p.flags&flagDiscontinuity != 0 {
				if said++; p.pid == firstPID && p.pcr < 0 {
					t.Error("no clock with the discontinuity")
				}
			}
		}
		if said != 1 {
			t.Errorf("PID %#x: %d discontinuities", pid, said)
		}
	}
	if out, c := demux(b); len(media(out, av.Video)) != 10 || len(media(out, av.Audio)) != 10 || c.Gaps > 0 {
		t.Errorf("%d frames, %+v", len(out), c)
	}
}

// versions returns the versions of the program maps in b.
func versions(t *testing.T, b []byte) (out []uint8) {
	t.Helper()
	for n := 0; n < len(b); n += PacketSize {
		if p, _ := parsePacket(b[n : n+PacketSize]); p.pid == pmtPID && p.start {
			out = append(out, p.payload[1+5]>>1&0x1f)
		}
	}
	return out
}

// TestSetTracks changes tracks and configurations.
func TestSetTracks(t *testing.T) {
	v, a, o := sourceNamed(t, "h264-high"), sourceNamed(t, "aac-44100-2"), sourceNamed(t, "opus-2")
	other := sourceNamed(t, "h264-baseline")
	m := newMuxer(t, Options{}, v.track)
	b := write(t, m, v.frames(2, 0))
	if err := m.SetTracks([]av.Track{v.track}); err != nil || m.version != 0 {
		t.Fatal("the same tracks changed the version", err)
	}
	if err := m.SetTracks([]av.Track{v.track, a.track}); err != nil {
		t.Fatal(err)
	}
	b = append(b, write(t, m, interleave(v.frames(4, 80*time.Millisecond), a.frames(3, 80*time.Millisecond)))...)
	config := av.Frame{Codec: av.H264, Type: av.Config, Payload: other.track.Config}
	b = append(b, write(t, m, append([]av.Frame{config}, other.frames(4, 300*time.Millisecond)...))...)
	b = append(b, write(t, m, []av.Frame{config})...)
	o.track.Kind, o.track.ID = av.Audio, 0
	if err := m.SetTracks([]av.Track{other.track, o.track}); err != nil {
		t.Fatal(err)
	}
	b = append(b, write(t, m, interleave(other.frames(4, 500*time.Millisecond), o.frames(4, 500*time.Millisecond)))...)
	if err := m.SetTracks([]av.Track{{Codec: av.AV1}}); !errors.Is(err, ErrUnsupported) || len(m.Tracks()) != 2 {
		t.Fatal(err, m.Tracks())
	}
	if got := slices.Compact(versions(t, b)); !slices.Equal(got, []uint8{0, 1, 2, 3}) {
		t.Errorf("versions %v", got)
	}
	checkCadence(t, b, time.Second)
	fs, c := demux(b)
	if c.TableChanges != 3 || c.Gaps+c.BadSections+c.DroppedPES+c.BadFrames+c.Undecodable > 0 {
		t.Errorf("%+v", c)
	}
	var configs []av.Codec
	for _, f := range fs {
		if f.Type == av.Config {
			configs = append(configs, f.Codec)
		}
	}
	if want := []av.Codec{av.H264, av.AAC, av.H264, av.Opus}; !slices.Equal(configs, want) {
		t.Errorf("configurations of %v, not %v", configs, want)
	}
	if n := len(media(fs, av.Video)); n != 14 {
		t.Errorf("%d frames of video", n)
	}
	if n := len(media(fs, av.Audio)); n != 7 {
		t.Errorf("%d frames of sound", n)
	}
}

// TestAppendTables checks that tables that have just been written are not repeated.
func TestAppendTables(t *testing.T) {
	v := sourceNamed(t, "h264-high")
	m := newMuxer(t, Options{}, v.track)
	b := m.AppendTables(nil)
	if len(b) != 2*PacketSize {
		t.Fatalf("%d bytes", len(b))
	}
	b = append(b, write(t, m, v.frames(3, 0))...) // the first and third are key frames
	if got := versions(t, b); len(got) != 2 {
		t.Errorf("%d program maps", len(got))
	}
	var many []av.Track
	for i := range 32 {
		many = append(many, av.Track{Kind: av.Audio, ID: uint8(i), Codec: av.Opus})
	}
	b = newMuxer(t, Options{}, many...).AppendTables(nil)
	var d Demuxer
	d.Flush(d.Demux(nil, b))
	if got := d.Tracks(); len(b) <= 3*PacketSize || len(got) != 32 || got[31].ID != 31 {
		t.Errorf("%d bytes, %d tracks, %+v", len(b), len(got), d.Counters())
	}
}
