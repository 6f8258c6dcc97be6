package deliver

import (
	"fmt"
	"testing"
	"time"

	"weir/internal/event"
)

var epoch = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

func TestQueueOrder(t *testing.T) {
	q := newQueue(1, 2)
	var items []*item
	for i := range 6 {
		it := itemOf(event.PublishStart, fmt.Sprintf("live/%d", i%3), 10)
		items = append(items, it)
		q.add(it)
	}
	a, _ := q.take(epoch)
	b, _ := q.take(epoch)
	if a.sending[0] != items[0] || b.sending[0] != items[1] {
		t.Fatal("the oldest go first")
	}
	if l, at := q.take(epoch); l != nil || !at.IsZero() {
		t.Fatal("more than two at once")
	}
	q.again(a, epoch.Add(time.Minute))
	c, _ := q.take(epoch)
	if c.sending[0] != items[2] {
		t.Fatal("the stream whose event failed holds up others")
	}
	q.done(b)
	d, _ := q.take(epoch)
	if d.sending[0] != items[4] {
		t.Fatalf("%v", d.sending[0])
	}
	q.done(c)
	q.done(d)
	e, _ := q.take(epoch)
	q.done(e)
	if e.sending != nil {
		t.Fatal("not cleared")
	}
	if l, at := q.take(epoch.Add(time.Minute - 1)); l != nil || !at.Equal(epoch.Add(time.Minute)) {
		t.Fatal(l, at)
	}
	if n, next := q.state(); n != 2 || !next.Equal(epoch.Add(time.Minute)) {
		t.Fatal(n, next)
	}
	if !q.idle(epoch) {
		t.Error("what waits for another try has been tried")
	}
	for _, want := range []*item{items[0], items[3]} {
		l, _ := q.take(epoch.Add(time.Minute))
		if l.sending[0] != want || l.tries != map[bool]int{true: 1, false: 0}[want == items[0]] {
			t.Fatalf("%+v", l)
		}
		if q.idle(epoch) {
			t.Error("idle in flight")
		}
		q.done(l)
	}
	if n, _ := q.state(); n != 0 || q.bytes != 0 || len(q.lanes) != 0 {
		t.Fatal(n, q.bytes, q.lanes)
	}
}

func TestQueuePause(t *testing.T) {
	q := newQueue(1, 2)
	q.add(itemOf(event.PublishStart, "live/a", 10))
	q.pause(epoch.Add(time.Second))
	q.pause(epoch)
	if l, at := q.take(epoch); l != nil || !at.Equal(epoch.Add(time.Second)) {
		t.Fatal(l, at)
	}
	if l, _ := q.take(epoch.Add(time.Second)); l == nil {
		t.Fatal("still paused")
	}
}

// TestQueueBatch: up to as many as a batch go together, in their order whatever their stream, and a batch that
// failed is tried again as it was.
func TestQueueBatch(t *testing.T) {
	q := newQueue(3, 1)
	for i := range 5 {
		q.add(itemOf(event.PublishStart, fmt.Sprint("live/", i), 10))
	}
	l, _ := q.take(epoch)
	if len(l.sending) != 3 || l.sending[2].stream != "live/2" {
		t.Fatal(l.sending)
	}
	q.again(l, epoch)
	q.add(itemOf(event.PublishStart, "live/5", 10))
	l, _ = q.take(epoch)
	if len(l.sending) != 3 || l.tries != 1 {
		t.Fatal(l.sending, l.tries)
	}
	q.done(l)
	l, _ = q.take(epoch)
	if len(l.sending) != 3 || l.sending[0].stream != "live/3" || l.tries != 0 {
		t.Fatal(l.sending)
	}
	q.done(l)
}

// TestQueueBounds: what is thrown away, and what never is, at the bound of events and one above.
func TestQueueBounds(t *testing.T) {
	q := newQueue(1, 16)
	fill := func(typ string, n int) (dropped []*item) {
		for i := range n {
			dropped = append(dropped, q.add(itemOf(typ, fmt.Sprint("live/", i%100), 0))...)
		}
		return dropped
	}
	flying := itemOf(event.PlayerSkipped, "live/flying", 0)
	q.add(flying)
	q.take(epoch)
	if d := fill(event.PlayStart, 100_000-3); d != nil {
		t.Fatal(len(d))
	}
	player := itemOf(event.PlayerSkipped, "live/0", 0)
	if d := append(q.add(player), fill(event.PublishStart, 1)...); d != nil {
		t.Fatal("thrown away at the bound:", len(d))
	}
	if d := fill(event.PlayStop, 1); len(d) != 1 || d[0] != player {
		t.Fatal("above it, the player.* goes first:", d)
	}
	next := itemOf(event.PlayerSkipped, "live/0", 0)
	if d := q.add(next); len(d) != 1 || d[0] != next {
		t.Fatal("a player.* throws away only its like:", d)
	}
	if d := fill(event.LimitReached, 1); len(d) != 1 || d[0].typ != event.PlayStart || d[0].stream != "live/0" {
		t.Fatal("then the oldest play.*:", d)
	}
	if d := fill(event.PublishStop, 100_000); len(d) != 100_000-2 {
		t.Fatal("all but what is in flight and what is never thrown away:", len(d))
	}
	if q.n != 100_000+2 {
		t.Fatal(q.n)
	}
	if d := fill(event.PlayStart, 1); len(d) != 1 {
		t.Fatal("no room for players:", d)
	}
	if d := fill(event.PublishStart, 200_000-q.n); d != nil {
		t.Fatal("publishers are kept up to twice the bound:", len(d))
	}
	last := itemOf(event.PublishStart, "live/0", 0)
	if d := q.add(last); len(d) != 1 || d[0] != last {
		t.Fatal("and no further:", d)
	}
	if lost := q.clear(); len(lost) != 200_000-1 || q.n != 0 {
		t.Fatal(len(lost), q.n)
	}
	if d := q.add(last); len(d) != 1 {
		t.Fatal("off")
	}
}

// TestQueueBytes: the bound of bytes, at it and one above.
func TestQueueBytes(t *testing.T) {
	q := newQueue(1, 16)
	const each = 16<<20 - itemSize
	for range 4 {
		if d := q.add(itemOf(event.PlayStart, "live/a", each)); d != nil {
			t.Fatal("at the bound")
		}
	}
	if q.bytes != 64<<20 {
		t.Fatal(q.bytes)
	}
	if d := q.add(itemOf(event.PlayStart, "live/a", each+1)); len(d) != 2 {
		t.Fatal("one byte above takes the place of two:", len(d))
	}
	if huge := q.add(itemOf(event.PlayStart, "live/a", 64<<20+1)); len(huge) != 4 {
		t.Fatal("one that is larger than the bound:", len(huge))
	}
	if q.n != 0 || q.bytes != 0 {
		t.Fatal(q.n, q.bytes)
	}
}

func TestRanks(t *testing.T) {
	for _, typ := range event.Types() {
		want := rankKept
		switch typ {
		case event.PlayerSkipped, event.PublishRejected:
			want = rankPlayer
		case event.PlayStart, event.PlayStop:
			want = rankPlay
		case event.PublisherHealthy, event.PublisherUnhealthy, event.LimitReached, event.ConfigReloaded, event.SegmentDone, event.Disconnect:
			want = rankOther
		}
		if got := rankOf(typ); got != want {
			t.Errorf("%s: %d", typ, got)
		}
	}
	if rankOf("recording.done") != rankKept || rankOf("upload.failed") != rankKept {
		t.Error("recordings")
	}
}

func TestSequence(t *testing.T) {
	s := newSequence()
	for i := range uint64(3) {
		if n := s.next("live/a"); n != i+1 {
			t.Fatal(n)
		}
	}
	if n := s.next("live/b"); n != 1 {
		t.Fatal(n)
	}
	s.set("live/a", 2) // from an older line
	s.next("live/b")
	for i := range 99_999 {
		if n := s.next(fmt.Sprint("other/", i)); n != 1 {
			t.Fatal(i, n)
		}
	}
	// live/a was forgotten: the first number that none that was forgotten has had.
	if s.floor != 3 || len(s.last) != 100_000 {
		t.Fatal(s.floor, len(s.last))
	}
	if n := s.next("live/a"); n != 4 {
		t.Fatal(n)
	}
}
