package hls

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// sized is payload with bytes added to its last NAL unit, so that it has n in all.
func sized(payload []byte, n int) []byte {
	b := append([]byte(nil), payload...)
	if n <= len(b) {
		return b
	}
	// One unit of filler data (Rec. ITU-T H.264, 7.3.2.7) makes up the rest.
	filler := make([]byte, n-len(b))
	for i := range filler {
		filler[i] = byte(rand.Uint32()) | 1
	}
	size := len(filler) - 4
	if size < 1 {
		return b
	}
	filler[0], filler[1], filler[2], filler[3], filler[4] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size), 12
	return append(b, filler...)
}

// BenchmarkPackaging packages a stream of 2.5 Mbit/s, 30 pictures and 47 packets of sound a
// second. An operation is two seconds of it; "%core" is what packaging alone takes of a core:
// what the stream itself takes is measured before, and taken off.
func BenchmarkPackaging(b *testing.B) {
	r := newRig(b, Default(), stream.Default())
	key, inter := sized(r.key, 80_000), sized(r.inter, 8_300)
	w := what{fps: 30, gop: 2 * time.Second, audio: 1}
	r.publish(w)
	frames := r.frames(w, 2*time.Second)
	for i := range frames {
		switch {
		case frames[i].Kind == av.Audio:
		case frames[i].IsKey():
			frames[i].Payload = key
		default:
			frames[i].Payload = inter
		}
	}
	send := func() {
		for _, f := range frames {
			f.DTS, f.PTS = f.DTS+r.at, f.PTS+r.at
			r.write(&f)
		}
		r.at += 2 * time.Second
	}
	for range 3 {
		send()
	}
	const before = 300
	begun := time.Now()
	for range before {
		send()
	}
	without := time.Since(begun) / before
	r.open()
	send()
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		send()
		n++
	}
	per := b.Elapsed()/time.Duration(max(n, 1)) - without
	b.ReportMetric(float64(per)/float64(2*time.Second)*100, "%core")
}

// BenchmarkBlockedReload has 1,000 requests wait for a part. An operation is from the part to the
// last answer.
func BenchmarkBlockedReload(b *testing.B) {
	const requests = 1000
	r := newRig(b, Default(), stream.Default())
	w := what{fps: 30, gop: 2 * time.Second, audio: 1}
	r.publish(w)
	frames := r.frames(w, 2*time.Second)
	next := 0
	step := func() {
		f := frames[next%len(frames)]
		d := time.Duration(next/len(frames)) * 2 * time.Second
		f.DTS, f.PTS = f.DTS+d, f.PTS+d
		r.write(&f)
		next++
	}
	for range len(frames) * 2 {
		step()
	}
	r.open()
	for range len(frames) * 3 {
		step()
	}
	main := r.p.Rendition("main")
	texts := make([]*Text, requests)
	b.ResetTimer()
	rounds, renderings := 0, 0
	for b.Loop() {
		b.StopTimer()
		r.p.mu.Lock()
		at := Position{Number: main.next, Part: 0}
		if s := main.openSegment(); s != nil {
			at = Position{Number: s.number, Part: len(s.parts)}
		}
		r.p.mu.Unlock()
		var waiting, done sync.WaitGroup
		waiting.Add(requests)
		for i := range requests {
			done.Go(func() {
				waiting.Done()
				if err := main.Wait(context.Background(), at); err != nil {
					b.Error(err)
				}
				text, err := main.Playlist(Whole)
				if err != nil {
					b.Error(err)
				}
				texts[i] = text
			})
		}
		waiting.Wait()
		for !main.Holds(at) {
			b.StartTimer()
			step()
			if !main.Holds(at) {
				b.StopTimer()
			}
		}
		done.Wait()
		b.StopTimer()
		made := map[*Text]struct{}{}
		for _, t := range texts {
			made[t] = struct{}{}
		}
		renderings += len(made)
		rounds++
		b.StartTimer()
	}
	b.ReportMetric(float64(renderings)/float64(max(rounds, 1)), "renderings/op")
}
