package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weir/internal/record"
)

// TestP16ListAndRangeAgree: for every range, also at 1 µs of each edge, what the list says there is can be got, and nothing else;
// no duration is negative; and the spans together are the time that was recorded.
func TestP16ListAndRangeAgree(t *testing.T) {
	r := newRig(t, func(o *Options) { o.State = "" })
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		stream := fmt.Sprintf("live/%d", n)
		var edges []time.Duration
		type stretch struct{ from, to time.Duration }
		var recorded []stretch
		at, take := time.Duration(0), ""
		for i := range rapid.IntRange(1, 6).Draw(rt, "files") {
			f := r.file(stream, fmt.Sprintf("%s/%d.mp4", stream, i), 0, 0)
			switch gap := rapid.SampledFrom([]time.Duration{0, time.Microsecond, 40 * time.Millisecond, 3 * time.Second}).Draw(rt, "gap"); {
			case i == 0 || gap > joint:
				at, take = at+gap, f.ID
			default: // rounded
				f.Take = take
				at += gap
				if len(recorded) > 0 && take != "" {
					recorded[len(recorded)-1].to = at
				}
			}
			f.Take = take
			f.Start = epoch.Add(at)
			f.Duration = rapid.SampledFrom([]time.Duration{time.Microsecond, 40 * time.Millisecond, time.Second, 10 * time.Minute}).Draw(rt, "length")
			must(t, r.put(&Row{File: f, State: Done}))
			recorded = append(recorded, stretch{at, at + f.Duration})
			edges = append(edges, at, at+f.Duration)
			at += f.Duration
		}
		var times []time.Duration
		for _, e := range edges {
			times = append(times, e-time.Microsecond, e, e+time.Microsecond)
		}
		for range scaled(20) {
			from, to := rapid.SampledFrom(times).Draw(rt, "from"), rapid.SampledFrom(times).Draw(rt, "to")
			list, err := r.List(t.Context(), Query{Stream: stream, From: epoch.Add(from), To: epoch.Add(to)})
			parts, getErr := r.Range(t.Context(), stream, "", epoch.Add(from), epoch.Add(to))
			if from >= to {
				if !errors.Is(err, ErrQuery) || !errors.Is(getErr, ErrQuery) {
					rt.Fatalf("%v to %v: %v, %v", from, to, err, getErr)
				}
				continue
			}
			want := time.Duration(0)
			for _, s := range recorded {
				want += max(min(s.to, to)-max(s.from, from), 0)
			}
			var listed, got time.Duration
			for _, s := range list.Spans {
				if !s.From.Before(s.To) || s.From.Before(epoch.Add(from)) || s.To.After(epoch.Add(to)) {
					rt.Fatalf("a span from %v to %v of %v to %v", s.From, s.To, from, to)
				}
				listed += s.To.Sub(s.From)
			}
			for _, p := range parts {
				got += p.To.Sub(p.From)
			}
			if err != nil || listed != want || got != want || (want == 0) != errors.Is(getErr, ErrNotFound) {
				rt.Fatalf("%v to %v: %v listed, %v got, %v wanted; %v, %v", from, to, listed, got, want, err, getErr)
			}
			for i, g := range list.Gaps {
				if !g.From.Before(g.To) || g.Reason != GapOffline {
					rt.Fatalf("gap %d: %+v", i, g)
				}
			}
		}
	})
}

// TestListPages: pages of any size say together what one page says.
func TestListPages(t *testing.T) {
	r := newRig(t, nil)
	for s := range 3 {
		for i := range 7 {
			r.add(r.file(fmt.Sprintf("live/%d", s), fmt.Sprintf("%d/%d.mp4", s, i), time.Duration(i)*time.Minute, 50*time.Second))
		}
	}
	all, err := r.List(t.Context(), Query{})
	if err != nil || len(all.Spans) != 21 || len(all.Gaps) != 18 || all.Next != "" {
		t.Fatal(len(all.Spans), len(all.Gaps), all.Next, err)
	}
	for _, stream := range []string{"", "live/1"} {
		var want, got []string
		for _, s := range all.Spans {
			if stream == "" || s.Stream == stream {
				want = append(want, s.Parts[0].ID)
			}
		}
		for limit := 1; limit <= 22; limit += 3 {
			got = nil
			gaps := 0
			q := Query{Stream: stream, Limit: limit}
			for {
				l, err := r.List(t.Context(), q)
				if err != nil || len(l.Spans) > limit {
					t.Fatal(len(l.Spans), err)
				}
				for _, s := range l.Spans {
					got = append(got, s.Parts[0].ID)
				}
				gaps += len(l.Gaps)
				if q.Cursor = l.Next; q.Cursor == "" {
					break
				}
			}
			if gaps != len(want)*6/7 {
				t.Errorf("pages of %d of %q: %d gaps", limit, stream, gaps)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("pages of %d of %q: %d files instead of %d", limit, stream, len(got), len(want))
			}
		}
	}
	if _, err := r.List(t.Context(), Query{Cursor: "x"}); !errors.Is(err, ErrQuery) {
		t.Error(err)
	}
}

// TestGapsAreNamed: a pause, a file that was deleted, one that is damaged, a slow disk and a full one are told apart; recordings of one stream do not mix.
func TestGapsAreNamed(t *testing.T) {
	r := newRig(t, nil)
	var files []record.File
	for i, at := range []time.Duration{0, 10, 20, 30, 60, 70, 90, 110, 130} {
		f := r.file("live/a", fmt.Sprintf("%d.mp4", i), at*time.Second, 10*time.Second)
		if i > 0 {
			f.Take = files[0].Take
		}
		if i > 3 {
			f.Take = "01KB0000000000000000000000"
		}
		switch i {
		case 5:
			f.Codecs = "hvc1.1.6.L93.B0"
		case 6:
			f.Missing = record.MissingSlow
		case 7:
			f.Missing, f.Take = record.MissingFailed, "01KB0000000000000000000001"
		case 8:
			f.Take = "01KB0000000000000000000002"
		}
		files = append(files, f)
		r.add(f)
	}
	other := r.file("live/a", "other.mp4", 5*time.Second, 100*time.Second)
	other.Recording = "second"
	r.add(other)
	if err := r.Delete(t.Context(), files[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := r.use(true, func(x *index) error { return x.setState(files[3].ID, Done, Damaged) }); err != nil {
		t.Fatal(err)
	}
	l, err := r.List(t.Context(), Query{Stream: "live/a"})
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, s := range l.Spans {
		text += fmt.Sprintf("%s %v-%v %s; ", s.Recording, s.From.Sub(epoch), s.To.Sub(epoch), s.Codecs[:4])
	}
	for _, g := range l.Gaps {
		text += fmt.Sprintf("%s %v-%v %s; ", g.Recording, g.From.Sub(epoch), g.To.Sub(epoch), g.Reason)
	}
	want := "main 0s-10s avc1; main 20s-30s avc1; main 1m0s-1m10s avc1; main 1m10s-1m20s hvc1; main 1m30s-1m40s avc1; main 1m50s-2m0s avc1; main 2m10s-2m20s avc1; second 5s-1m45s avc1; " +
		"main 10s-20s missing; main 30s-1m0s damaged; " +
		"main 1m20s-1m30s slow; main 1m40s-1m50s failed; main 2m0s-2m10s offline; "
	if text != want {
		t.Errorf("\n%s\n%s", text, want)
	}
	if parts, err := r.Range(t.Context(), "live/a", "", epoch, epoch.Add(time.Hour)); err != nil || parts[0].Recording != "second" {
		t.Error("the recording that has most of the range is taken", parts, err)
	}
}

// TestC419DeleteFiles: a file that is being written stays, one that is being read is read to its end, and one that is gone is not found.
func TestC419DeleteFiles(t *testing.T) {
	r := newRig(t, nil)
	open := r.file("live/a", "a/open.mp4", 0, 0)
	if err := r.Begun(open); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), open.ID); !errors.Is(err, ErrRecording) {
		t.Error(err)
	}
	f := r.file("live/a", "a/b/c.mp4", time.Minute, time.Minute)
	if err := os.MkdirAll(filepath.Join(r.dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, f.Name), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.add(f)
	_, opened, err := r.Open(t.Context(), f.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if err := r.Delete(t.Context(), f.ID); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, err := opened.Read(b); n != 10 || err != nil {
		t.Error(n, err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "a")); !os.IsNotExist(err) {
		t.Error("empty directories stay:", err)
	}
	if err := r.Delete(t.Context(), f.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if _, _, err := r.Open(t.Context(), f.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// TestC421IndexIsMadeAnew: an index that is deleted, damaged, older, of another version or put back from a copy ends up with all
// files; until then questions fail with ErrIndexing, and what is recorded meanwhile is kept.
func TestC421IndexIsMadeAnew(t *testing.T) {
	r := newRig(t, nil)
	m := encoded(t, "160x90")
	var want []string
	for i := range 6 {
		f := r.record(m, "live/a", fmt.Sprintf("live/a/%d.mp4", i), time.Duration(i)*4*time.Second, time.Duration(i)*4*time.Second, time.Duration(i+1)*4*time.Second)
		want = append(want, f.Name)
	}
	names := func() (names []string, spans int) {
		l, err := r.List(t.Context(), Query{Stream: "live/a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range l.Spans {
			for _, p := range s.Parts {
				names = append(names, p.Name)
				if p.Bytes == 0 || p.Codecs != "avc1.64000b,mp4a.40.2" || p.Duration < 3900*time.Millisecond || p.Duration > 4100*time.Millisecond {
					t.Errorf("%+v", p.Row)
				}
			}
		}
		return names, len(l.Spans)
	}
	db := filepath.Join(r.conf.State, "recordings.db")
	var copied []byte
	for _, c := range []struct {
		name   string
		spoil  func()
		adding bool
	}{
		{"nothing happens", func() {}, false},
		{"deleted", func() { must(t, os.Remove(db)) }, false},
		{"damaged head", func() { must(t, os.WriteFile(db, make([]byte, 8192), 0o600)) }, false},
		{"damaged page", func() {
			must(t, os.Remove(db+".closed"))
			f, err := os.OpenFile(db, os.O_RDWR, 0)
			must(t, err)
			defer f.Close()
			info, err := f.Stat()
			must(t, err)
			for at := int64(4096); at < info.Size(); at += 4096 {
				_, err = f.WriteAt(make([]byte, 2048), at)
				must(t, err)
			}
		}, false},
		{"another version", func() {
			x := connect(db)
			_, err := x.write.Exec("PRAGMA user_version = 99")
			must(t, err)
			x.close()
		}, false},
		{"killed", func() { must(t, os.Remove(db+".closed")) }, false},
		{"older", func() { copied = read(t, db) }, true},
		{"put back", func() { must(t, os.WriteFile(db, copied, 0o600)) }, false},
	} {
		r.restart(c.spoil)
		if c.adding {
			f := r.record(m, "live/a", "live/a/new.mp4", 24*time.Second, 0, 4*time.Second)
			want = append(want, f.Name)
		}
		if got, _ := names(); !slices.Equal(got, want) {
			l, _ := r.List(t.Context(), Query{Stream: "live/a"})
			t.Errorf("%s: %v instead of %v: %+v", c.name, got, want, l.Spans)
		}
	}
	if _, spans := names(); spans != 1 {
		t.Errorf("files that follow one another are %d spans after the index was made anew", spans)
	}
	must(t, os.Remove(filepath.Join(r.dir, want[0])))
	r.restart(nil)
	r.until(func() bool { got, _ := names(); return slices.Equal(got, want[1:]) })
}

// TestC421DamagedWhileItRuns: a database that breaks while it is used is made anew without a restart.
func TestC421DamagedWhileItRuns(t *testing.T) {
	r := newRig(t, nil)
	m := encoded(t, "160x90")
	f := r.record(m, "live/a", "a.mp4", 0, 0, 4*time.Second)
	broken := errors.New("broken")
	_ = r.use(true, func(x *index) error {
		_, err := x.write.Exec("PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 9999 WHERE name = 'files'; PRAGMA writable_schema = RESET")
		return errors.Join(broken, err)
	})
	r.until(func() bool {
		l, err := r.List(t.Context(), Query{Stream: "live/a"})
		if err != nil && !errors.Is(err, ErrIndexing) {
			t.Fatal(err)
		}
		return err == nil && len(l.Spans) == 1 && l.Spans[0].Parts[0].Name == f.Name
	})
}

// TestC421TwoProcesses: while a server is upgraded two of them write the index, and no row is lost.
func TestC421TwoProcesses(t *testing.T) {
	r := newRig(t, nil)
	second, err := New(r.conf)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- second.Run(ctx) }()
	const n = 100
	for i := range n {
		for _, stream := range []string{"a", "b"} {
			must(t, os.WriteFile(filepath.Join(r.dir, fmt.Sprintf("%s%d.mp4.part", stream, i)), nil, 0o600))
		}
	}
	go func() {
		for i := range n {
			if err := second.Begun(r.file("live/b", fmt.Sprintf("b%d.mp4", i), time.Duration(i)*time.Second, time.Second)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range n {
		if err := r.Begun(r.file("live/a", fmt.Sprintf("a%d.mp4", i), time.Duration(i)*time.Second, time.Second)); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	var count int
	if err := r.use(true, func(x *index) error { return x.read.QueryRow("SELECT count(*) FROM files").Scan(&count) }); err != nil || count != 2*n {
		t.Error(count, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	second.Close()
}

// TestRepairedFile: a file that a crash left goes by the rule that held when it began, also after the configuration has changed; one that
// nobody knows gets the rule in force.
func TestRepairedFile(t *testing.T) {
	r := newRig(t, func(o *Options) {
		places := o.Places
		o.Places = func() []Place {
			p := places()
			p[0].Rule = func(string) (string, record.Keep, string) { return "now", record.Keep{For: 42 * time.Hour}, "" }
			return p
		}
	})
	f := r.file("live/a", "a.mp4", 0, 0)
	f.Keep.For = time.Hour * 100
	must(t, r.Begun(f))
	whole := record.File{Stream: "live/a", Dir: r.dir, Name: "a.mp4", Format: "mp4", Start: epoch, Duration: time.Minute, Bytes: 5}
	must(t, r.Repaired(whole))
	whole.Name = "b.mp4"
	must(t, r.Repaired(whole))
	l, err := r.Range(t.Context(), "live/a", "main", epoch, epoch.Add(time.Hour))
	if err != nil || len(l) != 1 || l[0].ID != f.ID || l[0].Keep.For != 100*time.Hour || l[0].State != Done || l[0].Duration != time.Minute || l[0].Codecs != f.Codecs {
		t.Error(l, err)
	}
	l, err = r.Range(t.Context(), "live/a", "now", epoch, epoch.Add(time.Hour))
	if err != nil || len(l) != 1 || l[0].ID == "" || l[0].Keep.For != 42*time.Hour {
		t.Error(l, err)
	}
}

// TestP14ManyFiles: with 20,000 files, or a million, a list takes milliseconds, a look at what is to go too, and so does a start, of the processor. That is
// asserted without the race detector alone.
func TestP14ManyFiles(t *testing.T) {
	r := newRig(t, nil)
	n, streams := scaled(20000), 200 // a file a minute
	if large {
		n = 1000000
	}
	var rows []*Row
	for i := range n {
		f := r.file(fmt.Sprintf("live/%03d", i%streams), fmt.Sprintf("%03d/%06d.mp4", i%streams, i), time.Duration(i/streams)*time.Minute, time.Minute)
		f.Take = "01KB0000000000000000000000"
		f.Keep = record.Keep{For: 1 << 62, Total: 1 << 60}
		if rows = append(rows, &Row{File: f, State: Done}); len(rows) == 1000 {
			must(t, r.use(true, func(x *index) error { return x.putAll(rows, false) }))
			rows = nil
		}
	}
	var took []time.Duration
	for i := range 200 {
		begin := cpuTime(t)
		part := time.Duration(n/streams) * time.Minute / 10
		at := epoch.Add(time.Duration(i%10) * part)
		l, err := r.List(t.Context(), Query{Stream: fmt.Sprintf("live/%03d", i), From: at, To: at.Add(part)})
		if err != nil || len(l.Spans) != 1 || l.Spans[0].To.Sub(l.Spans[0].From) != part {
			t.Fatal(l, err)
		}
		took = append(took, cpuTime(t)-begin) // which other work on the machine does not change much
	}
	slices.Sort(took)
	if p99 := took[len(took)*99/100]; p99 > 50*time.Millisecond && !raceEnabled {
		t.Errorf("p99 of a list is %v", p99)
	}
	begin := cpuTime(t)
	r.clean(t.Context())
	if d := cpuTime(t) - begin; d > cleanEvery/100 && !raceEnabled {
		t.Errorf("looking for what is to go took %v of each %v", d, cleanEvery)
	}
	t.Logf("list p50 %v p99 %v, clean %v", took[100], took[198], cpuTime(t)-begin)
	// A start waits neither for the index, however it was closed, nor for a look at the files.
	r.close()
	for _, orderly := range []bool{true, false} {
		if !orderly {
			must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db.closed")))
		}
		begin := cpuTime(t)
		a, err := New(r.conf)
		must(t, err)
		if d := cpuTime(t) - begin; d > 5*time.Second && !raceEnabled {
			t.Errorf("a start takes %v", d)
		} else {
			t.Logf("start %v, closed in order: %v", d, orderly)
		}
		if _, err := a.List(t.Context(), Query{Stream: "live/007"}); orderly && err != nil {
			t.Error(err)
		}
		a.Close()
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return b
}
