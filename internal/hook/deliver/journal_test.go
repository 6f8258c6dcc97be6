package deliver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/event"
)

// entryOf is an event to be sent.
func entryOf(t *testing.T, e event.Event, seq uint64) entry {
	t.Helper()
	if e.ID == "" {
		e.ID = event.NewID(epoch)
	}
	e.Time = epoch
	it, err := seal(&e, seq, testServer)
	if err != nil {
		t.Fatal(err)
	}
	return entry{e, it, seq}
}

func reopen(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.close() })
	return j
}

func ids(items []*item) string {
	var out []string
	for _, it := range items {
		out = append(out, it.id)
	}
	return strings.Join(out, " ")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestJournal: what was not acknowledged and what has begun comes back, with bytes, order and numbers.
func TestJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "billing")
	j := reopen(t, dir)
	if _, err := openJournal(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error("opened twice:", err)
	}
	start := publishEvent(event.PublishStart, "live/a", "s1")
	start.ID = "01A"
	other := publishEvent(event.PublishStart, "live/b", "s2")
	other.ID = "01B"
	stop := publishEvent(event.PublishStop, "live/b", "s2")
	stop.ID = "01C"
	entries := []entry{entryOf(t, start, 7), entryOf(t, other, 1), entryOf(t, stop, 2)}
	must(t, j.add(entries))
	must(t, j.ack(entries[0].item, entries[1].item))
	must(t, j.ack(entries[0].item)) // again
	must(t, j.add([]entry{{event: publishEvent(event.PlayStart, "live/a", "p1")}, {event: publishEvent(event.PlayStart, "live/a", "p2")}}))
	must(t, j.add([]entry{{event: publishEvent(event.PlayStop, "live/a", "p1")}}))
	must(t, j.close())
	for round := range 3 { // the file is written anew each time
		j = reopen(t, dir)
		left := j.unsent()
		if len(left) != 1 || left[0].id != "01C" || left[0].typ != event.PublishStop || left[0].stream != "live/b" || !bytes.Equal(left[0].body, entries[2].item.body) || !left[0].time.Equal(epoch) {
			t.Fatalf("round %d: %+v", round, left)
		}
		begun := j.unended()
		if len(begun) != 2 || begun[1].Session.ID != "p2" || begun[0].Session.ID != "s1" || begun[0].Stream.Path != "live/a" {
			t.Fatalf("round %d: %+v", round, begun)
		}
		if a, b := j.seqs.next("live/a"), j.seqs.next("live/b"); a != 8 || b != 3 {
			t.Fatal(a, b)
		}
		if j.bad != 0 {
			t.Error(j.bad, "lines")
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		if len(files) != 2 {
			t.Error(files)
		}
		info, err := os.Stat(j.path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info.Mode(), err)
		}
		must(t, j.close())
	}
}

// TestJournalCut: whatever a crash leaves of the file, what stands in whole lines comes back.
func TestJournalCut(t *testing.T) {
	dir := t.TempDir()
	j := reopen(t, dir)
	var entries []entry
	for i := range 4 {
		e := publishEvent(event.StreamOnline, fmt.Sprint("live/", i), "s")
		e.Session, e.ID = nil, fmt.Sprint("0", i)
		entries = append(entries, entryOf(t, e, uint64(i+1)))
		must(t, j.add(entries[i:]))
		if i == 2 {
			must(t, j.ack(entries[1].item))
		}
	}
	whole, err := os.ReadFile(j.path)
	must(t, err)
	name := filepath.Base(j.path)
	head := bytes.IndexByte(whole, '\n') + 1
	for n := range whole {
		if n < head {
			continue
		}
		cut := t.TempDir()
		must(t, os.WriteFile(filepath.Join(cut, name), whole[:n], 0o600))
		k, err := openJournal(cut)
		if err != nil {
			t.Fatal(n, err)
		}
		lines := bytes.Count(whole[:n], []byte("\n"))
		want := []string{"", "00", "00 01", "00 01 02", "00 02", "00 02 03"}[lines-1]
		if got := ids(k.unsent()); got != want {
			t.Fatalf("%d bytes, %d lines: %q, want %q", n, lines, got, want)
		}
		if begun := len(k.unended()); begun != min(lines-1, 3) && lines < 5 {
			t.Fatalf("%d lines: %d begun", lines, begun)
		}
		if torn := whole[n-1] != '\n'; k.bad != map[bool]int{true: 1, false: 0}[torn] {
			t.Fatal(n, k.bad)
		}
		must(t, k.close())
	}
	for _, junk := range []string{"zero\n", "00000000 e 1 {}\n", strings.Repeat("\x00", 4096) + "\n"} {
		cut := t.TempDir()
		must(t, os.WriteFile(filepath.Join(cut, name), []byte(string(whole[:head])+junk+string(whole[head:])), 0o600))
		k, err := openJournal(cut)
		must(t, err)
		if ids(k.unsent()) != "00 02 03" || k.bad != 1 {
			t.Errorf("%q: %s, %d bad", junk, ids(k.unsent()), k.bad)
		}
		must(t, k.close())
	}
}

// TestJournalCompaction: a file that is mostly of no use is replaced, and nothing is lost of it.
func TestJournalCompaction(t *testing.T) {
	dir := t.TempDir()
	j := reopen(t, dir)
	keep := publishEvent(event.PublishStart, "live/keep", "s1")
	keep.ID = "keep"
	must(t, j.add([]entry{entryOf(t, keep, 5)}))
	ended := publishEvent(event.PublishStart, "live/ended", "s2")
	must(t, j.add([]entry{entryOf(t, ended, 1), {event: publishEvent(event.PublishStop, "live/ended", "s2")}}))
	e := publishEvent(event.PublisherUnhealthy, "live/a", "s3")
	e.Data = map[string]any{"sentence": strings.Repeat("x", 100_000)}
	seq := uint64(0)
	for j.size <= compactSize {
		seq++
		en := entryOf(t, e, seq)
		must(t, j.add([]entry{en}))
		must(t, j.ack(en.item))
	}
	old := j.path
	if n, err := j.sync(); n != 2 || err != nil || j.size > 10_000 {
		t.Fatal(n, err, j.size)
	}
	if n, err := j.sync(); n != 0 || err != nil {
		t.Fatal("nothing was written:", n, err)
	}
	if _, err := os.Stat(old); err == nil || j.path <= old {
		t.Error(old, j.path)
	}
	must(t, j.close())
	j = reopen(t, dir)
	if len(j.unsent()) != 2 || j.unsent()[0].id != "keep" || len(j.unended()) != 1 || j.unended()[0].Session.ID != "s1" || j.seqs.next("live/a") != seq+1 || j.seqs.next("live/keep") != 6 {
		t.Fatal(ids(j.unsent()), j.unended())
	}
}

// TestJournalFull: when the disk takes no more, the error says so, and what comes later can be read.
func TestJournalFull(t *testing.T) {
	dir := t.TempDir()
	j := reopen(t, dir)
	good := j.file
	bad, err := os.Open(j.path) // cannot be written
	must(t, err)
	j.file = bad
	lost := entryOf(t, publishEvent(event.StreamOnline, "live/a", "s"), 1)
	if j.add([]entry{lost}) == nil {
		t.Error("no error")
	}
	j.file = good
	must(t, bad.Close())
	e := publishEvent(event.StreamOnline, "live/b", "s")
	e.ID = "later"
	must(t, j.add([]entry{entryOf(t, e, 1)}))
	must(t, j.close())
	if got := ids(reopen(t, dir).unsent()); got != "later" {
		t.Error(got)
	}
}

func TestEnvelope(t *testing.T) {
	e := publishEvent(event.PublishStop, "live/a", "s1")
	e.ID, e.Time = "01ARZ3NDEKTSV4RRFFQ69G5FAV", epoch.Add(123*time.Millisecond)
	e.Data = map[string]any{"reason": "eof", "duration": 1.5, "bytes_received": uint64(500)}
	it, err := seal(&e, 17, testServer)
	must(t, err)
	const want = `{"version":1,"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","seq":17,"type":"publish.stop","time":"2026-11-27T00:00:00.123Z",` +
		`"server":{"id":"a1","name":"edge-1"},"stream":{"path":"live/a","epoch":1},` +
		`"session":{"id":"s1","protocol":"rtmp","role":"publish","remote":"192.0.2.7:51034","tls":false},` +
		`"data":{"bytes_received":500,"duration":1.5,"reason":"eof"}}`
	if string(it.body) != want || !json.Valid(it.body) {
		t.Errorf("%s", it.body)
	}
}

// FuzzJournal: whatever a file holds can be read, and what is kept of it is the same in the next file.
func FuzzJournal(f *testing.F) {
	e := publishEvent(event.PublishStart, "live/a", "s1")
	body := []byte(`{"version":1,"id":"01A","seq":3,"type":"publish.start","time":"2026-11-27T00:00:00Z","server":{"id":"a","name":"b"},"stream":{"path":"live/a"},"session":{"id":"s1"}}`)
	text, _ := json.Marshal(&e) //nolint:errchkjson // plain types
	f.Add(line(line(line(nil, "f ", []byte("4")), "e 1 ", body), "a ", []byte("1")))
	f.Add(line(line(line(nil, `s 9 `, []byte(`"live/a"`)), "o ", text), "c ", text))
	f.Add([]byte("00000000 e 1 {}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before, after := newJournal(""), newJournal("")
		before.read(b)
		kept, _ := before.snapshot()
		after.read(kept)
		again, _ := after.snapshot()
		if ids(before.unsent()) != ids(after.unsent()) || len(before.begun) != len(after.begun) || after.bad != 0 || len(again) != len(kept) {
			t.Errorf("%q and %q, %d and %d begun, %d bad", ids(before.unsent()), ids(after.unsent()), len(before.begun), len(after.begun), after.bad)
		}
	})
}
