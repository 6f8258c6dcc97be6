package server

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	trimEvery = time.Second
	// trimAfter is how often sessions must have come, gone or begun for the memory that
	// their set-up used to be worth a collection.
	trimAfter = 100
	// Once in collectEvery garbage is collected, if collectWorth bytes were allocated since: left alone,
	// the runtime collects a server that has become quiet only after two minutes, and until then
	// what has ended is held, the files in memory of HLS among it.
	collectEvery = 15 * time.Second
	collectWorth = 16 << 20
	// collectAgain is how many times more garbage is collected then: what has ended may have been in use for a while, by
	// a deadline or by the pools of buffers, and a little of it keeps whole pages.
	collectAgain = 4
	// quietAllocs in collectEvery are a quiet server's, which gives memory back to the system: a busy
	// one would need it again at once.
	quietAllocs = 128 << 20
)

// trim returns to the system the memory that nobody needs any more. A wave of sessions leaves much
// behind: handshakes and commands use several times what a session keeps.
func (s *Server) trim(ctx context.Context) error {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	var wave wave
	idle := idleness{at: time.Now(), allocs: allocated()}
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			collect, release := idle.due(now, allocated)
			if wave.over(s.sessions.Moves()) {
				collect, release = true, true
			}
			if collect {
				runtime.GC() // empties the pools of buffers once FreeOSMemory collects again
			}
			if release {
				debug.FreeOSMemory()
			}
		}
	}
}

// allocated returns how many bytes the program has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// idleness finds the moments at which a collection is worth its cost.
type idleness struct {
	at     time.Time // of the last look
	allocs uint64    // by then
	again  int       // as collectAgain
}

// due reports whether garbage is to be collected now, and whether memory is to be given back.
func (d *idleness) due(now time.Time, allocated func() uint64) (collect, release bool) {
	if now.Sub(d.at) < collectEvery {
		return false, false
	}
	total := allocated()
	n := total - d.allocs
	d.at, d.allocs = now, total
	if n >= collectWorth {
		d.again = collectAgain + 1
	}
	collect, d.again = d.again > 0, max(0, d.again-1)
	return collect, collect && n < quietAllocs
}

// wave finds the ends of waves in a count that grows.
type wave struct{ done, last uint64 }

// over reports whether a wave has ended: many sessions have changed since the last wave, and hardly
// any since the last call.
func (w *wave) over(n uint64) bool {
	still := n-w.last < trimAfter/10
	w.last = n
	if !still || n-w.done < trimAfter {
		return false
	}
	w.done = n
	return true
}
