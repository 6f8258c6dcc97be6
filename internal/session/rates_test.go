package session

import (
	"testing"
	"time"
)

// TestStreamRate: what players of a stream are sent is counted once, also of those that come and go between two looks, and what
// a session was sent before it played is not.
func TestStreamRate(t *testing.T) {
	r := New(Limits{}, Observer{})
	open := func(before uint64) *Session {
		s, err := r.Open(Info{Protocol: "test"})
		if err != nil {
			t.Fatal(err)
		}
		s.BytesOut.Add(before)
		s.Promote(Play, "live/a")
		return s
	}
	want := func(path string, bits int64) {
		t.Helper()
		if got := r.StreamRate(path); got != bits {
			t.Errorf("%s: %d bit/s, want %d", path, got, bits)
		}
	}
	now := time.Now()
	a := open(7000)
	r.MeasureStreams(now)
	want("live/a", 0)
	a.BytesOut.Add(1000)
	b := open(500)
	b.BytesOut.Add(200)
	b.CloseWith(nil)
	r.SentOf("test", "live/a", 50)
	p, err := r.Open(Info{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	p.Promote(Publish, "live/a")
	p.BytesOut.Add(100_000)
	r.MeasureStreams(now.Add(2 * time.Second))
	want("live/a", 5000)
	want("live/b", 0)
	a.Promote(Pending, "")
	a.BytesOut.Add(9000)
	a.Promote(Play, "live/b")
	a.BytesOut.Add(250)
	r.MeasureStreams(now.Add(3 * time.Second))
	want("live/a", 0)
	want("live/b", 2000)
	r.MeasureStreams(now.Add(4 * time.Second))
	want("live/b", 0)
	if n := r.Totals()[0].BytesOut; n != 7000+1000+700+50+100_000+9000+250 {
		t.Error(n)
	}
	a.CloseWith(nil)
	p.CloseWith(nil)
}
