package mpegts

import (
	"math/rand/v2"
	"testing"
	"time"

	"weir/av"
)

// timing is what a checker of a stream looks at: the order of packets alone.
type timing struct {
	counters map[uint16]uint8
	pcr      int64 // the newest; -1 before the first
	tables   int64 // the decoding time when there was a program map last; -1 before the first
	dts      map[uint16]int64
	found    int // clock references
}

// checkCadence checks what can be measured of a stream (H.222.0, 2.4.2.2, 2.7.2; ETSI TS
// 101 154, 4.1.5): that counters count, that clock references go up and are at most 40 ms
// apart, that no access unit is due before it is said to arrive, and that program maps are at
// most every apart in the time of any stream.
func checkCadence(t *testing.T, b []byte, every time.Duration) timing {
	t.Helper()
	c := timing{counters: map[uint16]uint8{}, pcr: -1, tables: -1, dts: map[uint16]int64{}}
	atTables := map[uint16]int64{}
	if len(b)%PacketSize != 0 {
		t.Fatalf("%d bytes", len(b))
	}
	for n := 0; n < len(b); n += PacketSize {
		p, err := parsePacket(b[n : n+PacketSize])
		if b[n] != syncByte || err != nil {
			t.Fatalf("packet %d: %x", n/PacketSize, b[n:n+PacketSize])
		}
		last, known := c.counters[p.pid]
		if want := (last + 1) & 0x0f; known && p.hasPayload && p.counter != want {
			t.Fatalf("packet %d of PID %#x: counter %d, not %d", n/PacketSize, p.pid, p.counter, want)
		} else if known && !p.hasPayload && p.counter != last {
			t.Fatalf("packet %d of PID %#x: counter %d without payload after %d", n/PacketSize, p.pid, p.counter, last)
		}
		if known || p.hasPayload {
			c.counters[p.pid] = p.counter
		}
		if p.pcr >= 0 {
			d := (p.pcr - c.pcr) & (wrap - 1)
			if c.pcr >= 0 && p.flags&flagDiscontinuity == 0 && (d == 0 || d > clockEvery) {
				t.Errorf("packet %d: clock %d after %d", n/PacketSize, p.pcr, c.pcr)
			}
			c.pcr = p.pcr
			c.found++
		}
		switch {
		case p.pid == patPID:
		case p.pid == pmtPID:
			c.tables = 0
			for pid, dts := range c.dts {
				atTables[pid] = dts
			}
		case p.start && p.payload[0] == 0 && p.payload[1] == 0:
			if c.tables < 0 {
				t.Fatal("media before tables")
			}
			h, ok, err := parsePESHeader(p.payload)
			if !ok || err != nil || h.pts == noTime {
				t.Fatalf("packet %d: PES header %x: %v", n/PacketSize, p.payload, err)
			}
			if early := (h.dts - c.pcr) & (wrap - 1); c.pcr >= 0 && early > wrap/2 {
				t.Errorf("packet %d: due at %d, clock is at %d", n/PacketSize, h.dts, c.pcr)
			}
			if early := (h.pts - h.dts) & (wrap - 1); early > wrap/2 {
				t.Errorf("packet %d: decoded at %d, shown at %d", n/PacketSize, h.dts, h.pts)
			}
			if at, ok := atTables[p.pid]; ok && (h.dts-at)&(wrap-1) > ticks(every) {
				t.Errorf("packet %d: %v without program map", n/PacketSize, fromTicks((h.dts-at)&(wrap-1)))
			}
			if _, ok := atTables[p.pid]; !ok {
				atTables[p.pid] = h.dts
			}
			c.dts[p.pid] = h.dts
		}
	}
	return c
}

// TestCadence checks the streams of several frame rates and combinations.
func TestCadence(t *testing.T) {
	v, a, o := sourceNamed(t, "h264-high"), sourceNamed(t, "aac-48000-1"), sourceNamed(t, "opus-2")
	low := sourceNamed(t, "aac-16000-1")
	const ms = time.Millisecond
	at := func(s source, step time.Duration, n int, from time.Duration) []av.Frame {
		s.step = step
		return s.frames(n, from)
	}
	for _, c := range []struct {
		name   string
		tracks []av.Track
		frames []av.Frame
		every  time.Duration
	}{
		{"25 fps", []av.Track{v.track}, at(v, 40*ms, 100, 0), 100 * ms},
		{"30 fps", []av.Track{v.track}, at(v, 33*ms, 100, 0), 100 * ms},
		{"60 fps", []av.Track{v.track}, at(v, 16*ms, 100, 0), 100 * ms},
		{"10 fps", []av.Track{v.track}, at(v, 100*ms, 100, 0), 100 * ms},
		{"1 fps", []av.Track{v.track}, at(v, time.Second, 10, 0), time.Second},
		{"25 fps and sound", []av.Track{v.track, a.track}, interleave(at(v, 40*ms, 100, 0), a.frames(180, 0)), 100 * ms},
		{"1 fps and sound", []av.Track{v.track, a.track}, interleave(at(v, time.Second, 5, 0), a.frames(230, 0)), time.Second},
		{"sound first", []av.Track{v.track, a.track}, interleave(at(v, 40*ms, 100, 300*ms), a.frames(180, 0)), 100 * ms},
		{"video first", []av.Track{v.track, a.track}, interleave(at(v, 40*ms, 100, 0), a.frames(180, 300*ms)), 100 * ms},
		{"sound only", []av.Track{a.track}, a.frames(200, 0), 100 * ms},
		{"slow sound only", []av.Track{low.track}, low.frames(100, 0), 130 * ms},
		{"two of sound", []av.Track{a.track, {Kind: av.Audio, ID: 1, Codec: av.Opus}}, interleave(a.frames(200, 0), other(o.frames(200, 7*ms))), 100 * ms},
		{"video ends", []av.Track{v.track, a.track}, interleave(at(v, 40*ms, 10, 0), a.frames(300, 0)), 100 * ms},
		{"no video", []av.Track{v.track, a.track}, a.frames(300, 0), 100 * ms},
		{"around 33 bits", []av.Track{v.track, a.track}, interleave(at(v, 40*ms, 100, fromTicks(wrap)-2*time.Second), a.frames(180, fromTicks(wrap)-2*time.Second)), 100 * ms},
	} {
		for _, o := range []Options{{}, {Gather: MaxGather}} {
			t.Run(c.name+"/"+o.Gather.String(), func(t *testing.T) {
				every := c.every
				if o.Gather > 0 {
					every += o.Gather // in the time of a PES packet, not of its frames
				}
				b := write(t, newMuxer(t, o, c.tracks...), c.frames)
				got := checkCadence(t, b, every)
				span := c.frames[len(c.frames)-1].DTS - c.frames[0].DTS
				if most := 2 * int(span/(16*ms)); got.found < int(span/(40*ms)) || got.found > most {
					t.Errorf("%d clock references in %v", got.found, span)
				}
				out, counters := demux(b)
				if n := len(media(out, av.Video)) + len(media(out, av.Audio)); n != len(c.frames) {
					t.Errorf("%d frames became %d: %+v", len(c.frames), n, counters)
				}
			})
		}
	}
}

// other makes frames those of the second track of their kind.
func other(fs []av.Frame) []av.Frame {
	for i := range fs {
		fs[i].Track = 1
	}
	return fs
}

// TestCadenceUneven writes frames of which one track runs ahead, in bursts: the clock
// never overtakes what comes.
func TestCadenceUneven(t *testing.T) {
	v, a := sourceNamed(t, "h265-main"), sourceNamed(t, "aac-48000-1")
	for _, lead := range []time.Duration{-5 * time.Second, -150 * time.Millisecond, 150 * time.Millisecond, 5 * time.Second} {
		t.Run(lead.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			fs := interleave(v.frames(200, 0), a.frames(400, 0))
			for i := range fs {
				if fs[i].Kind == av.Audio {
					fs[i].DTS += lead + max(-lead, 0)
					fs[i].PTS = fs[i].DTS
				} else {
					fs[i].DTS += max(-lead, 0)
					fs[i].PTS = fs[i].DTS
				}
			}
			for i := 0; i+8 < len(fs); i += 8 { // sound in bursts
				if r.IntN(2) == 0 {
					continue
				}
				sortKind(fs[i : i+8])
			}
			b := write(t, newMuxer(t, Options{}, v.track, a.track), fs)
			var pcr int64 = -1
			for n := 0; n < len(b); n += PacketSize {
				p, _ := parsePacket(b[n : n+PacketSize])
				if p.pcr >= 0 {
					if p.pcr <= pcr || p.flags&flagDiscontinuity != 0 {
						t.Fatalf("clock %d after %d, flags %#x", p.pcr, pcr, p.flags)
					}
					pcr = p.pcr
				}
				if p.start && p.pid == firstPID {
					if h, ok, _ := parsePESHeader(p.payload); ok && h.dts < pcr {
						t.Fatalf("video due at %d, clock is at %d", h.dts, pcr)
					}
				}
			}
		})
	}
}

// sortKind puts sound before video.
func sortKind(fs []av.Frame) {
	var sound, video []av.Frame
	for _, f := range fs {
		if f.Kind == av.Audio {
			sound = append(sound, f)
		} else {
			video = append(video, f)
		}
	}
	copy(fs[copy(fs, sound):], video)
}
