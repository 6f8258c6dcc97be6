package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		patterns string
		typ      string
		want     bool
	}{
		{"", "publish.start", true},
		{"*", "publish.start", true},
		{"publish.*", "publish.start", true},
		{"publish.*", "publisher.healthy", false},
		{"publish*", "publish.start", false},
		{"publish.start", "publish.start", true},
		{"publish.start", "publish.started", false},
		{"play.*,publish.stop", "publish.stop", true},
		{"play.*,publish.stop", "publish.start", false},
	} {
		var patterns []string
		if c.patterns != "" {
			patterns = strings.Split(c.patterns, ",")
		}
		if got := Matches(patterns, c.typ); got != c.want {
			t.Errorf("%q of %s: %v", c.patterns, c.typ, got)
		}
	}
}

func TestTypes(t *testing.T) {
	all := Types()
	for i, typ := range all {
		if slices.Contains(all[:i], typ) || strings.Count(typ, ".") != 1 {
			t.Error(typ)
		}
		if stop := StopOf(typ); stop != "" && (!slices.Contains(all, stop) || StartOf(stop) != typ || StopOf(stop) != "") {
			t.Errorf("%s and %s", typ, stop)
		}
	}
	if StopOf(PublishStart) != PublishStop || StopOf(PlayStart) != PlayStop || StopOf(StreamOnline) != StreamOffline || StartOf(ServerStop) != "" {
		t.Error("pairs")
	}
}

// TestULID holds ids to a known one, and to their order within a millisecond and when the clock goes back.
func TestULID(t *testing.T) {
	if got := encode([16]byte{0x01, 0x56, 0x3e, 0x3a, 0xb5, 0xd3, 0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b}); got != "01ARZ3NDEKTSV4RRFFQ69G5FAV" {
		t.Error(got)
	}
	if got := encode([16]byte{15: 1}); got != "00000000000000000000000001" {
		t.Error(got)
	}
	var s ids
	at := time.UnixMilli(1469918176385)
	first := s.next(at)
	if !strings.HasPrefix(first, "01ARYZ6S41") || len(first) != 26 {
		t.Error(first)
	}
	last := first
	for i := range 2000 {
		id := s.next(at.Add(time.Duration(i%7-5) * time.Millisecond))
		if id <= last {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
	if NewID(at) == NewID(at) {
		t.Error("one id twice")
	}
}

func TestBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBus()
		b.Publish(Event{Type: PublishStart}) // nobody wants it
		all, some := b.Subscribe(8, nil), b.Subscribe(1, []string{"play.*"})
		for _, typ := range []string{PublishStart, PlayStart, PlayStop} {
			b.Publish(Event{Type: typ})
		}
		some.Close()
		some.Close()
		b.Publish(Event{Type: PlayStop, ID: "given", Time: time.Unix(1, 0)})
		all.Close()
		var got []Event
		for e := range all.C() {
			got = append(got, e)
		}
		if len(got) != 4 || all.Dropped() != 0 {
			t.Fatalf("%v, %d dropped", got, all.Dropped())
		}
		for i, want := range []string{PublishStart, PlayStart, PlayStop, PlayStop} {
			if got[i].Type != want || got[i].ID == "" || got[i].Time.IsZero() || i > 0 && i < 3 && got[i].ID <= got[i-1].ID {
				t.Errorf("%d: %+v", i, got[i])
			}
		}
		if got[3].ID != "given" || !got[3].Time.Equal(time.Unix(1, 0)) {
			t.Errorf("%+v", got[3])
		}
		if e, ok := <-some.C(); !ok || e.Type != PlayStart || e.ID != got[1].ID || some.Dropped() != 1 {
			t.Errorf("%+v %v, %d dropped", e, ok, some.Dropped())
		}
		if _, ok := <-some.C(); ok {
			t.Error("more than the buffer")
		}
		if b.Wanted(PublishStart) {
			t.Error("wanted by nobody")
		}
	})
}

// TestBusOrder: all subscribers get the events of many goroutines in one order, that of their ids.
func TestBusOrder(t *testing.T) {
	b := NewBus()
	const n, each = 8, 500
	subs := []*Subscription{b.Subscribe(n*each, nil), b.Subscribe(n*each, []string{"*"})}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for range each {
				b.Publish(Event{Type: PlayStart})
			}
		})
	}
	wg.Wait()
	var ids [2][]string
	for i, s := range subs {
		s.Close()
		for e := range s.C() {
			ids[i] = append(ids[i], e.ID)
		}
	}
	if len(ids[0]) != n*each || !slices.Equal(ids[0], ids[1]) || !slices.IsSorted(ids[0]) {
		t.Errorf("%d and %d events, sorted %v", len(ids[0]), len(ids[1]), slices.IsSorted(ids[0]))
	}
}

func TestJSON(t *testing.T) {
	e := Event{
		ID: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Type: PublishStart, Time: time.Date(2026, 11, 27, 6, 0, 0, 123e6, time.UTC),
		Stream: &Stream{"live/a", 7}, Session: &Session{ID: "abc", Protocol: "rtmp", Role: "publish", Remote: "192.0.2.1:5"},
	}
	const want = `{"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","type":"publish.start","time":"2026-11-27T06:00:00.123Z",` +
		`"stream":{"path":"live/a","epoch":7},"session":{"id":"abc","protocol":"rtmp","role":"publish","remote":"192.0.2.1:5","tls":false}}`
	if got, err := json.Marshal(e); err != nil || string(got) != want {
		t.Errorf("%s %v", got, err)
	}
}

// BenchmarkPublish says what an event costs, without subscribers and with one.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			bus := NewBus()
			for range n {
				s := bus.Subscribe(1, nil)
				defer s.Close()
			}
			b.ReportAllocs()
			for b.Loop() {
				bus.Publish(Event{Type: PlayStart})
			}
		})
	}
}
