package mux

import (
	"testing"

	"weir/internal/fanout"
	"weir/internal/stream"
)

// still is a variant whose encoder writes nothing.
type still struct{}

// Format implements Variant.
func (still) Format() string { return "still" }

// NewEncoder implements Variant.
func (still) NewEncoder() Encoder { return still{} }

// Append implements Encoder.
func (still) Append(*stream.Entry, Output) {}

// End implements Encoder.
func (still) End(Output) []byte { return nil }

// TestTwoTimersStopOneMuxer: a muxer's timer fires and waits for the lock while a player comes and
// goes, which starts another timer. The later of the two does not stop the muxer that has taken the
// first one's place.
func TestTwoTimersStopOneMuxer(t *testing.T) {
	engine := fanout.New(fanout.Options{Workers: 1})
	defer engine.Close()
	hub := stream.New(stream.Options{})
	defer hub.Close(nil)
	set := NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
	s, err := hub.Play("live/a")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Leave()
	open := func() *Muxer {
		t.Helper()
		m, err := set.Open(s, still{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := open()
	first.Release()
	first.stop() // the first timer
	second := open()
	if second == first {
		t.Fatal("a muxer that was stopped is opened again")
	}
	first.stop() // the second timer
	if third := open(); third != second {
		t.Error("a muxer with a player was taken out of the set")
	}
	second.Release()
	second.Release()
	second.stop()
	if n := set.Len(); n != 0 {
		t.Errorf("%d muxers left", n)
	}
}
