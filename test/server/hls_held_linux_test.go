package server_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrived waits until something has come on each connection.
func (c *crowd) arrived(t testing.TB) {
	t.Helper()
	for _, nc := range c.conns {
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n == 0; {
			if cerr := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) }); cerr != nil || err != nil {
				t.Fatal(cerr, err)
			}
			if n == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
}

// BenchmarkHLSHeld has a thousand connections wait for a part: how long from before its last picture
// is sent until the last one has its playlist.
func BenchmarkHLSHeld(b *testing.B) {
	r := start(b, hlsStream(nil))
	s, c := r.stepHLS("live/a")
	all := newCrowd(b, r.Addr("http").String(), 1000)
	var took []float64 // ms
	different := 0
	for b.Loop() {
		all.ask(b, c.shared()+c.hinted())
		s.pictures(perPart - 1)
		time.Sleep(200 * time.Millisecond)
		begun := time.Now()
		s.pictures(1)
		all.arrived(b)
		took = append(took, float64(time.Since(begun).Microseconds())/1000)
		different += len(all.answers(b))
	}
	b.ReportMetric(0, "ns/op") // most of it is waiting
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2], "ms/part")
	b.ReportMetric(took[len(took)*9/10], "ms-p90")
	b.ReportMetric(float64(different)/float64(b.N), "playlists/part")
}
