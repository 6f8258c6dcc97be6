package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"weir/internal/event"
)

var errDown = errors.New("connection refused")

// TestBackoff: 1 s, twice as long each time up to 5 min, give or take a fifth.
func TestBackoff(t *testing.T) {
	for tries, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		want *= time.Second
		least, most := want*8/10-time.Millisecond, want*12/10+time.Millisecond
		seen := map[time.Duration]bool{}
		for range 20 {
			d := backoff(tries)
			if d < least || d > most {
				t.Errorf("after %d: %v", tries, d)
			}
			seen[d] = true
		}
		if len(seen) < 2 {
			t.Errorf("after %d: no jitter", tries)
		}
	}
	if d := backoff(1000); d > 6*time.Minute {
		t.Error(d)
	}
}

// TestRetry: what fails is tried again with the same bytes, before the next event of its stream, and given
// up after a day.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type try struct {
			at  time.Duration
			id  string
			seq uint64
		}
		var mu sync.Mutex
		var tries []try
		began := time.Now()
		f := newFixture(t, []Config{post("http://192.0.2.1/")}, &fake{func(_ context.Context, v []envelope, _ int) result {
			mu.Lock()
			defer mu.Unlock()
			if v[0].Stream.Path != "live/a" {
				return result{status: 200}
			}
			tries = append(tries, try{time.Since(began), v[0].ID, v[0].Seq})
			return result{err: errDown}
		}})
		first := publishEvent(event.PublishStart, "live/a", "s1")
		f.bus.Publish(first)
		f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1"))
		f.bus.Publish(publishEvent(event.PublishStart, "live/b", "s2"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		mu.Lock()
		if len(tries) < 4 || len(tries) > 6 {
			t.Fatal(tries)
		}
		for _, x := range tries {
			if x.id != tries[0].id || x.seq != 1 {
				t.Error("another event before the first was received:", tries)
			}
		}
		n := len(tries)
		mu.Unlock()
		if s := f.List()[0]; s.Status != "failing" || s.Queue != 2 || s.LastError != errDown.Error() || s.Delivered != 1 || s.Failed != uint64(n) || s.NextTry.Before(time.Now()) {
			t.Errorf("%+v", s)
		}
		d, _ := f.Deliveries("192-0-2-1")
		if len(d) != 2 || d[0].Attempts != n || d[0].Done || d[0].Error != errDown.Error() || d[1].Stream != "live/b" || !d[1].Done || d[1].Status != 200 {
			t.Errorf("%+v", d)
		}
		time.Sleep(24*time.Hour + 10*time.Minute)
		synctest.Wait()
		mu.Lock()
		given := len(tries)
		if last := tries[given-1]; last.seq != 2 || last.at < 24*time.Hour || given < 280 || given > 400 {
			t.Errorf("%d tries, the last %+v", given, last)
		}
		mu.Unlock()
		if f.metrics.dropped["192-0-2-1"] < 1 {
			t.Error("not counted as thrown away")
		}
		f.Close()
	})
}

// TestAnswers: what a receiver's answers do to the hook.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		next := result{err: errDown, status: 503, wait: 7 * time.Second}
		var at []time.Time
		f := newFixture(t, []Config{post("http://192.0.2.1/")}, &fake{func(context.Context, []envelope, int) result {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			return next
		}})
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		synctest.Wait()
		f.bus.Publish(publishEvent(event.PublishStart, "live/b", "s2"))
		time.Sleep(6999 * time.Millisecond)
		synctest.Wait()
		mu.Lock()
		if len(at) != 1 {
			t.Error("not left alone:", at)
		}
		next = result{status: 410, err: errDown, off: true}
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		f.bus.Publish(publishEvent(event.PublishStart, "live/c", "s3"))
		time.Sleep(time.Minute)
		if s := f.List()[0]; s.Status != "off" || s.Queue != 0 {
			t.Errorf("%+v", s)
		}
		mu.Lock()
		if len(at) > 3 {
			t.Error("goes on after 410:", at)
		}
		mu.Unlock()
		d, _ := f.Deliveries("192-0-2-1")
		if err := f.Replay("192-0-2-1", d[0].ID); err == nil || !strings.Contains(err.Error(), "410") {
			t.Error(err)
		}
		f.Close()
	})
}

// TestTurnedOff: at 410 all that waits is thrown away, what is to be tried again with it, and a restart brings none of it back.
func TestTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Directory = t.TempDir()
		f := newFixture(t, []Config{conf}, &fake{func(_ context.Context, v []envelope, _ int) result {
			if v[0].Stream.Path == "live/gone" {
				return result{status: 410, err: errDown, off: true}
			}
			return result{err: errDown}
		}})
		for _, path := range []string{"live/a", "live/a", "live/b"} {
			f.bus.Publish(publishEvent(event.PublishStart, path, "s1"))
		}
		synctest.Wait() // two wait for another try, and one for its turn
		f.bus.Publish(publishEvent(event.PublishStart, "live/gone", "s2"))
		synctest.Wait()
		if s := f.List()[0]; s.Status != "off" || s.Queue != 0 || s.Dropped != 3 {
			t.Errorf("%+v", s)
		}
		f.metrics.mu.Lock()
		if n := f.metrics.dropped["192-0-2-1"]; n != 3 {
			t.Errorf("the metrics count %d", n)
		}
		f.metrics.mu.Unlock()
		sub := f.bus.Subscribe(1, []string{event.HookDropped})
		f.all()[0].lose(2) // that were on their way to the queue
		if n := len(sub.C()); n != 0 {
			t.Error("its queue is said to be full")
		}
		sub.Close()
		f.Close()
		if left := reopen(t, conf.Directory).unsent(); len(left) != 0 {
			t.Errorf("a restart sends %s", ids(left))
		}
	})
}

// TestFinalFailure: what is not to be tried again is not tried by the next server either.
func TestFinalFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Directory = t.TempDir()
		f := newFixture(t, []Config{conf}, &fake{func(context.Context, []envelope, int) result { return result{err: errDown, final: true} }})
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		synctest.Wait()
		if s := f.List()[0]; s.Failed != 1 || s.Queue != 0 {
			t.Errorf("%+v", s)
		}
		f.Close()
		if left := reopen(t, conf.Directory).unsent(); len(left) != 0 {
			t.Errorf("a restart sends %s", ids(left))
		}
	})
}

// TestO06_LastEventIsTheStart: whatever the latency, a takeover is told in its order.
func TestO06_LastEventIsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		f := newFixture(t, []Config{post("http://192.0.2.1/")}, &fake{func(_ context.Context, v []envelope, _ int) result {
			time.Sleep(500 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprint(v[0].Type, " ", v[0].Session.ID, " ", v[0].Seq))
			return result{status: 200}
		}})
		for _, e := range []event.Event{
			publishEvent(event.PublishStart, "live/a", "old"), publishEvent(event.PublishStop, "live/a", "old"),
			publishEvent(event.PublishTakeover, "live/a", "new"), publishEvent(event.PublishStart, "live/a", "new"),
		} {
			f.bus.Publish(e)
		}
		f.Close()
		want := []string{"publish.start old 1", "publish.stop old 2", "publish.takeover new 3", "publish.start new 4"}
		if !slices.Equal(got, want) {
			t.Error(got)
		}
	})
}

// TestO14_OneHangsForEver: others are as quick as without it.
func TestO14_OneHangsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		sent := map[string]time.Time{}
		var late []time.Duration
		list := []Config{post("http://192.0.2.1/"), post("http://192.0.2.2/")}
		f := newFixture(t, list[:1], &fake{func(ctx context.Context, _ []envelope, _ int) result {
			<-ctx.Done()
			return result{err: ctx.Err()}
		}})
		good, err := f.newRunner("good", list[1])
		if err != nil {
			t.Fatal(err)
		}
		good.sender = &fake{func(_ context.Context, v []envelope, _ int) result {
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			late = append(late, time.Since(sent[v[0].Session.ID]))
			return result{status: 200}
		}}
		good.listen()
		good.start(t.Context())
		for i := range 1000 {
			id := fmt.Sprint("s", i)
			mu.Lock()
			sent[id] = time.Now()
			mu.Unlock()
			f.bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i%20), id))
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		good.close()
		slices.Sort(late)
		if len(late) != 1000 || late[990] >= 50*time.Millisecond {
			t.Errorf("%d events, p99 %v", len(late), late[len(late)*99/100])
		}
		t.Logf("p99 beside a hook that hangs: %v", late[990])
		began := time.Now()
		f.Close()
		if took := time.Since(began); took != drainTime {
			t.Errorf("closed after %v", took)
		}
	})
}

// TestCrash: after a crash a hook is told of what it has not received, in its order and with the same ids,
// then of the end of what had begun, and the numbers go on.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Directory = t.TempDir()
		conf.Events = []string{"publish.*", "play.stop", "stream.offline"}
		var mu sync.Mutex
		var got []envelope
		up := true
		sender := &fake{func(_ context.Context, v []envelope, _ int) result {
			mu.Lock()
			defer mu.Unlock()
			if !up {
				return result{err: errDown}
			}
			got = append(got, v...)
			return result{status: 200}
		}}
		f := newFixture(t, []Config{conf}, sender)
		play := publishEvent(event.PlayStart, "live/a", "viewer")
		play.Session = &event.Session{ID: "viewer", Protocol: "hls", Role: "play"}
		online := publishEvent(event.StreamOnline, "live/a", "")
		online.Session = nil
		f.bus.Publish(online)
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		f.bus.Publish(play)
		f.bus.Publish(publishEvent(event.PublishStart, "live/b", "s2"))
		synctest.Wait()
		mu.Lock()
		up = false
		mu.Unlock()
		f.bus.Publish(publishEvent(event.PublishStop, "live/b", "s2"))
		f.bus.Publish(publishEvent(event.PublishStart, "live/c", "s3"))
		synctest.Wait()
		// A crash: what is in the file is all that is left.
		r := f.all()[0]
		r.journal.mu.Lock()
		copied := copyDir(t, conf.Directory)
		r.journal.mu.Unlock()
		f.Close()

		mu.Lock()
		up = true
		first := len(got)
		mu.Unlock()
		conf.Directory = copied
		f = newFixture(t, []Config{conf}, sender)
		synctest.Wait()
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s4"))
		synctest.Wait()
		f.Close()
		if first != 2 {
			t.Fatal(got)
		}
		byStream := map[string][]string{}
		for _, v := range got {
			who := ""
			if v.Session != nil {
				who = v.Session.ID
			}
			byStream[v.Stream.Path] = append(byStream[v.Stream.Path], strings.TrimSpace(fmt.Sprintf("%d %s %s %v", v.Seq, v.Type, who, v.Data["reason"])))
		}
		for path, want := range map[string][]string{
			"live/a": {"1 publish.start s1 <nil>", "2 play.stop viewer crash", "3 publish.stop s1 crash", "4 stream.offline  crash", "5 publish.start s4 <nil>"},
			"live/b": {"1 publish.start s2 <nil>", "2 publish.stop s2 <nil>"},
			"live/c": {"1 publish.start s3 <nil>", "2 publish.stop s3 crash"},
		} {
			if !slices.Equal(byStream[path], want) {
				t.Errorf("%s: %q", path, byStream[path])
			}
		}
	})
}

// TestCleanRestart: after a proper stop nothing is said to have crashed, and what was not received is sent.
func TestCleanRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Directory = t.TempDir()
		var got []string
		res := result{err: errDown}
		sender := &fake{func(_ context.Context, v []envelope, _ int) result {
			if res.err == nil {
				got = append(got, fmt.Sprint(v[0].Seq, " ", v[0].Type))
			}
			return res
		}}
		f := newFixture(t, []Config{conf}, sender)
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		f.bus.Publish(publishEvent(event.PublishStop, "live/a", "s1"))
		f.Close()
		res = result{status: 200}
		f = newFixture(t, []Config{conf}, sender)
		synctest.Wait()
		f.Close()
		if !slices.Equal(got, []string{"1 publish.start", "2 publish.stop"}) {
			t.Error(got)
		}
	})
}

// TestSyncs: the disk is waited for once a second at most.
func TestSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Directory = t.TempDir()
		f := newFixture(t, []Config{conf}, &fake{func(context.Context, []envelope, int) result { return result{status: 200} }})
		for i := range 1000 {
			f.bus.Publish(publishEvent(event.StreamOnline, "live/a", fmt.Sprint("s", i)))
			time.Sleep(10 * time.Millisecond)
		}
		if n := f.all()[0].syncs.Load(); n > 10 || n < 9 {
			t.Errorf("%d in 10 s", n)
		}
		time.Sleep(time.Minute)
		if n := f.all()[0].syncs.Load(); n > 11 {
			t.Errorf("%d although nothing was written", n)
		}
		f.Close()
	})
}

// TestO07_EachOnceInOrder: whatever fails in between, each event of a stream arrives in its order, with numbers without a
// gap, and the same id on every try.
func TestO07_EachOnceInOrder(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "events")
		fails := rapid.SliceOfN(rapid.Bool(), 40, 40).Draw(t, "fails")
		batch := rapid.SampledFrom([]int{1, 1, 3, 100}).Draw(t, "batch")
		streams := rapid.IntRange(1, 4).Draw(t, "streams")
		received := map[string][]uint64{}
		synctest.Test(outer, func(t *testing.T) {
			var mu sync.Mutex
			calls := 0
			bus := event.NewBus()
			conf := post("http://192.0.2.1/")
			conf.Batch = batch
			d, err := New(nil, Options{Log: discard, Bus: bus, Metrics: &counts{}, Server: testServer})
			if err != nil {
				t.Fatal(err)
			}
			r, err := d.newRunner("x", conf)
			if err != nil {
				t.Fatal(err)
			}
			r.sender = &fake{func(_ context.Context, v []envelope, _ int) result {
				mu.Lock()
				defer mu.Unlock()
				calls++
				if calls <= len(fails) && fails[calls-1] {
					return result{err: errDown}
				}
				for _, e := range v {
					received[e.Stream.Path] = append(received[e.Stream.Path], e.Seq)
				}
				return result{status: 200}
			}}
			r.listen()
			r.start(context.Background())
			for i := range n {
				bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i%streams), fmt.Sprint(i)))
			}
			time.Sleep(12 * time.Hour)
			r.close()
			d.Close()
		})
		for s := range streams {
			got := received[fmt.Sprint("live/", s)]
			want := (n - s + streams - 1) / streams
			if len(got) != max(want, 0) {
				t.Fatalf("stream %d of %d: %v, want %d", s, streams, got, want)
			}
			for i, seq := range got {
				if seq != uint64(i+1) {
					t.Fatalf("stream %d: %v", s, got)
				}
			}
		}
	})
}

// TestDropped: what the full queue throws away is told of, by an event and the counts.
func TestDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, []Config{post("http://192.0.2.1/")}, &fake{func(ctx context.Context, _ []envelope, _ int) result {
			<-ctx.Done()
			return result{err: ctx.Err()}
		}})
		sub := f.bus.Subscribe(10, []string{"hook.*"})
		for range 100_020 {
			f.bus.Publish(event.Event{Type: event.PlayerSkipped}) // so small that the bound is their number
			if f.all()[0].inbox.waiting() > maxInbox/2 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		e := <-sub.C()
		if e.Type != event.HookDropped || e.Data["hook"] != "192-0-2-1" || e.Data["dropped"] != 1 {
			t.Errorf("%+v", e)
		}
		s := f.List()[0]
		// The hook is told of its own loss, and one event is in flight.
		if s.Queue != 100_000 || s.Dropped != 21 || f.metrics.dropped["192-0-2-1"] != 21 || len(sub.C()) != 0 {
			t.Errorf("%+v, %d counted, %d more events", s, f.metrics.dropped["192-0-2-1"], len(sub.C()))
		}
		sub.Close()
		f.Close()
	})
}

// TestReload: hooks that stay keep their queue, one that goes sends what it has, one that comes
// is told of all that happens from then on.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string][]string{}
		sender := func(name string) sender {
			return &fake{func(_ context.Context, v []envelope, _ int) result {
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				got[name] = append(got[name], v[0].Session.ID)
				return result{status: 200}
			}}
		}
		a, b, c := post("http://192.0.2.1/"), post("http://192.0.2.2/"), post("http://192.0.2.3/")
		f := newFixture(t, []Config{a, b}, sender("old"))
		stays := f.all()[1]
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		change, err := f.Prepare([]Config{c, b})
		if err != nil {
			t.Fatal(err)
		}
		change.made[0].sender = sender("new")
		change.Apply()
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s2"))
		if s := f.List(); len(s) != 2 || s[0].Name != "192-0-2-3" || s[1].Name != "192-0-2-2" || f.all()[1] != stays {
			t.Errorf("%+v", s)
		}
		if _, err := f.Prepare([]Config{{URL: "gopher://x/", Format: "weir", Batch: 1}}); err == nil {
			t.Error("a bad one was taken")
		}
		f.Close()
		if !slices.Equal(got["new"], []string{"s2"}) || len(got["old"]) != 3 {
			t.Error(got)
		}
	})
}

func TestMatchAndReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := post("http://192.0.2.1/")
		conf.Name, conf.Match, conf.Events = "some", "live/*", []string{"publish.*", "server.*"}
		var mu sync.Mutex
		var got []string
		f := newFixture(t, []Config{conf}, &fake{func(_ context.Context, v []envelope, _ int) result {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, v[0].Session.ID)
			return result{status: 200}
		}})
		f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
		f.bus.Publish(publishEvent(event.PublishStart, "live/a/b", "s2"))
		f.bus.Publish(publishEvent(event.StreamOnline, "live/a", "s3"))
		f.bus.Publish(event.Event{Type: event.ServerStart})
		synctest.Wait()
		d, ok := f.Deliveries("some")
		if !ok || len(d) != 1 || d[0].Type != event.PublishStart || d[0].Stream != "live/a" || d[0].Attempts != 1 || !d[0].Done {
			t.Fatalf("%+v", d)
		}
		if err := f.Replay("some", d[0].ID); err != nil {
			t.Error(err)
		}
		if err := f.Replay("some", "none"); !errors.Is(err, ErrNoDelivery) {
			t.Error(err)
		}
		if err := f.Replay("none", d[0].ID); !errors.Is(err, ErrNoHook) {
			t.Error(err)
		}
		if _, ok := f.Deliveries("none"); ok {
			t.Error("deliveries of no hook")
		}
		synctest.Wait()
		f.Close()
		if !slices.Equal(got, []string{"s1", "s1"}) {
			t.Error(got)
		}
	})
}

// TestHistory: the newest hundred are remembered.
func TestHistory(t *testing.T) {
	var h history
	for i := range 101 {
		it := itemOf(event.PublishStart, "live/a", 0)
		it.id = fmt.Sprint(i)
		h.add([]*item{it}, epoch.Add(time.Duration(i)), time.Second, result{err: errDown})
		h.add([]*item{it}, epoch.Add(time.Duration(i)), time.Second, result{status: 200, tries: 1})
	}
	l := h.list()
	if len(l) != 100 || l[0].ID != "100" || l[99].ID != "1" || l[0].Attempts != 2 || l[0].Error != "" || !l[0].Done {
		t.Error(len(l), l[0], l[99])
	}
	if h.again("0") != nil || h.again("1") == nil {
		t.Error("what can be replayed")
	}
}
