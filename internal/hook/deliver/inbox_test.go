package deliver

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"weir/internal/event"
)

// TestJournalThatBlocks: while the journal's disk stands still no event of a publisher or a recording is thrown away, however
// many others come, nobody who publishes events waits, and what is kept is bounded.
func TestJournalThatBlocks(t *testing.T) {
	t.Parallel()
	conf := post("http://192.0.2.1/")
	conf.Directory = t.TempDir()
	var mu sync.Mutex
	var got []string
	done := make(chan struct{})
	const kept = 3 * maxInbox
	f := newFixture(t, []Config{conf}, &fake{func(_ context.Context, v []envelope, _ int) result {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range v {
			if e.Type != event.PlayerSkipped && e.Type != event.HookDropped {
				if got = append(got, e.Type+" "+e.Session.ID); len(got) == kept {
					close(done)
				}
			}
		}
		return result{status: 200}
	}})
	r := f.all()[0]
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.journal.mu.Lock()
	r.journal.file.Close()
	r.journal.file = to // takes 64 KiB, and then blocks
	r.journal.mu.Unlock()

	began := time.Now()
	var want []string
	for i := range kept {
		typ := []string{event.PublishStart, event.PublishStop, "recording.done"}[i%3]
		id := fmt.Sprintf("s%05d", i)
		f.bus.Publish(publishEvent(typ, "live/a", id))
		want = append(want, typ+" "+id)
		for range 3 {
			f.bus.Publish(publishEvent(event.PlayerSkipped, "live/a", "p"))
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("publishing took %v beside a disk that stands still", took)
	}
	if n := r.inbox.waiting(); n < kept/2 || n > kept+maxInbox {
		t.Errorf("%d events wait", n)
	}
	go io.Copy(io.Discard, from)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("not all that is kept has come")
	}
	f.Close()
	from.Close()
	if !slices.Equal(got, want) {
		t.Errorf("%d events have come, %d were published; or their order differs", len(got), len(want))
	}
	if r.dropped.Load() == 0 {
		t.Error("nothing was thrown away: the test did not fill the inbox")
	}
}

// TestInboxBounds: past the bound the oldest of the lowest rank goes first, what is kept has a bound of its own, and each
// loss is counted.
func TestInboxBounds(t *testing.T) {
	b := newInbox()
	put := func(typ string, n int) {
		for range n {
			b.put(publishEvent(typ, "live/a", fmt.Sprint(typ, b.waiting())))
		}
	}
	put(event.PlayStart, 2)
	put(event.PlayerSkipped, 1)
	put(event.LimitReached, 8189)
	put(event.PublishStart, 2) // in the place of player.skipped and the first play.start
	put(event.PlayerSkipped, 1)
	if b.lost != 3 || b.waiting() != 8192 {
		t.Fatal(b.lost, b.waiting())
	}
	put(event.PublishStart, 99_998)
	if b.waiting() != 100_000 || b.lost != 8193 {
		t.Fatal(b.lost, b.waiting())
	}
	put(event.PublishStop, 1)
	put(event.PlayStart, 1)
	events, lost, open := b.next(200_000)
	if len(events) != 100_000 || lost != 8195 || !open {
		t.Fatal(len(events), lost, open)
	}
	if i := slices.IndexFunc(events, func(e event.Event) bool { return e.Type != event.PublishStart }); i >= 0 {
		t.Errorf("%d is %s", i, events[i].Type)
	}
	b.close()
	put(event.PublishStart, 1)
	if events, lost, open := b.next(1); len(events)+lost != 0 || open {
		t.Error(events, lost, open)
	}
}
