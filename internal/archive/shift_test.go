package archive

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/format/m3u8"
	"weir/format/mp4"
	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/protocol/protocoltest"
	"weir/internal/record"
	"weir/internal/session"
)

// growing is a file that is being recorded.
type growing struct {
	w    *web
	name string
	all  []byte // the whole file, unfinished
	x    *mp4.Index
	f    record.File
}

// grows begins to record material as a file of a life of the stream. Nothing of it is written yet.
func (w *web) grows(m *material, name string, begin time.Time, life uint64) *growing {
	w.t.Helper()
	g := &growing{w: w, name: filepath.Join(w.dir, name)}
	length := m.write(w.t, g.name, "live/a", begin, 0, materialLength, false)
	g.all = read(w.t, g.name)
	must(w.t, os.Remove(g.name))
	var err error
	g.x, err = mp4.ReadIndex(bytes.NewReader(g.all), int64(len(g.all)))
	must(w.t, err)
	id := event.NewID(begin)
	g.f = record.File{
		ID: id, Stream: "live/a", Recording: "main", Take: id, Epoch: life, Dir: w.dir, Name: name, Format: "mp4", Start: begin,
		Codecs: "avc1.64000b,mp4a.40.2", Duration: length, Bytes: int64(len(g.all)),
	}
	begun := g.f
	begun.Duration, begun.Bytes = 0, 0
	must(w.t, w.Begun(begun))
	return g
}

// grow writes the first fragments, and a piece of the next one.
func (g *growing) grow(fragments int) {
	g.w.t.Helper()
	end := &g.x.Fragments[fragments-1]
	must(g.w.t, os.WriteFile(g.name+partial, g.all[:min(end.Offset+end.Size+100, int64(len(g.all)))], 0o600))
}

// finish writes all of it, and makes the file whole.
func (g *growing) finish() {
	g.w.t.Helper()
	must(g.w.t, os.WriteFile(g.name+partial, g.all, 0o600))
	part, err := os.OpenFile(g.name+partial, os.O_RDWR, 0)
	must(g.w.t, err)
	must(g.w.t, mp4.Finish(part, int64(len(g.all))))
	must(g.w.t, part.Close())
	must(g.w.t, os.Rename(g.name+partial, g.name))
	must(g.w.t, g.w.Done(g.f))
}

// recorded is a file of a life of the stream that is whole.
func (w *web) recorded(m *material, name string, begin time.Time, life uint64) record.File {
	w.t.Helper()
	g := w.grows(m, name, begin, life)
	g.finish()
	return g.f
}

// shift returns the address of the playlist of what was recorded since some time ago, and where players begin in it.
func (w *web) shift(ago time.Duration) (address string, start time.Duration) {
	w.t.Helper()
	path := fmt.Sprintf("/live/a/index.m3u8?start=-%v", ago.Seconds())
	a := w.get(http.MethodGet, path)
	m, err := m3u8.ParseMultivariant(a.body)
	if err != nil || m.Start == nil || !m.Start.Precise {
		w.t.Fatal(a.status, err, string(a.body))
	}
	base, err := url.Parse(w.base + path)
	must(w.t, err)
	next, err := base.Parse(m.Variants[0].URI)
	must(w.t, err)
	return next.String(), m.Start.Offset
}

// dates are when the files of a playlist begin, from a time on.
func dates(p *m3u8.Media, since time.Time) string {
	var list []string
	for i := range p.Segments {
		s := &p.Segments[i]
		if s.ProgramDateTime.IsZero() {
			continue
		}
		text := s.ProgramDateTime.Sub(since).Round(time.Second).String()
		if s.Discontinuity {
			text = "discontinuity " + text
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

// TestTimeShiftGoesOnWithTheStream: a shifted playlist has all that was recorded before, over gaps and earlier lives of the stream, and goes on until the
// present life ends, at once then, and never with a later one, however often the publisher was away.
func TestTimeShiftGoesOnWithTheStream(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	now := time.Now().UTC().Truncate(time.Millisecond)
	at := func(ago time.Duration) time.Time { return now.Add(-ago) }
	w.recorded(m, "a.mp4", at(20*time.Minute), 1)
	w.recorded(m, "b.mp4", at(10*time.Minute), 2)
	w.life.Store(2)
	g := w.grows(m, "c.mp4", at(time.Minute), 2)
	g.grow(11)
	address, start := w.shift(30 * time.Minute)
	if start != 0 {
		t.Errorf("nothing was recorded so long ago, and players begin at %v", start)
	}
	var history m3u8.History
	load := func(address string) *m3u8.Media {
		t.Helper()
		p := w.list(address)
		must(t, history.Add(p))
		return p
	}
	p := load(address)
	if got, want := dates(p, now), "-20m0s, discontinuity -10m0s, discontinuity -1m0s"; got != want || len(p.Segments) != 6+6+2 || p.Type != "EVENT" || p.EndList {
		t.Fatalf("%s instead of %s, %d segments, %+v", got, want, len(p.Segments), p)
	}
	if c := p.ServerControl; p.TargetDuration != 6 || c == nil || c.HoldBack != 18*time.Second {
		t.Errorf("target %d, %+v", p.TargetDuration, c)
	}
	// The publisher is away for longer than the file is, but its stream goes on.
	g.finish()
	w.until(func() bool { return len(w.list(address).Segments) == 6+6+6 })
	if p := load(address); p.EndList {
		t.Error("it has ended, and the stream has not")
	}
	// It returns, and ends at last.
	more := w.grows(m, "d.mp4", at(30*time.Second), 2)
	more.grow(7)
	w.until(func() bool { return len(w.list(address).Segments) == 6+6+6+1 })
	load(address)
	more.finish()
	w.life.Store(0)
	w.until(func() bool { return w.list(address).EndList })
	p = load(address)
	if got := dates(p, now); len(p.Segments) != 4*6 || got != "-20m0s, discontinuity -10m0s, discontinuity -1m0s, discontinuity -30s" {
		t.Error(got, len(p.Segments))
	}
	// Another life of the stream is another playlist's.
	next := w.grows(m, "e.mp4", at(2*time.Second), 3)
	w.life.Store(3)
	next.grow(11)
	w.player.lists.mu.Lock()
	w.player.lists.forgetOldest()
	w.player.lists.mu.Unlock()
	if p := load(address); !p.EndList || len(p.Segments) != 4*6 {
		t.Error("an ended playlist has gone on")
	}
}

// TestTimeShiftBeginsWhereAsked: a player is told to begin exactly at the time that was asked for, which those who ask at about the same time
// are from one playlist; in a gap it begins behind it.
func TestTimeShiftBeginsWhereAsked(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	begin := time.Now().Add(-5 * time.Minute).Truncate(shiftGrid).UTC()
	w.recorded(m, "a.mp4", begin, 7)
	w.recorded(m, "b.mp4", begin.Add(time.Minute), 7)
	for _, c := range []struct {
		at, want time.Duration
		playlist string // when its files begin
	}{
		{-time.Hour, 0, "0s, discontinuity 1m0s"},
		{0, 0, "0s, discontinuity 1m0s"},
		{7300 * time.Millisecond, 7300 * time.Millisecond, "0s, discontinuity 1m0s"},
		{13300 * time.Millisecond, 3300 * time.Millisecond, "10s, discontinuity 1m0s"},
		{15300 * time.Millisecond, 5300 * time.Millisecond, "10s, discontinuity 1m0s"},
		{26 * time.Second, 4 * time.Second, "20s, discontinuity 1m0s"}, // the first file has 24 s
		{40 * time.Second, 0, "1m0s"},
		{59 * time.Second, 0, "1m0s"},
		{61500 * time.Millisecond, 1500 * time.Millisecond, "1m0s"},
	} {
		a := w.get(http.MethodGet, "/live/a/index.m3u8?start="+url.QueryEscape(stamp(begin.Add(c.at))))
		x, err := m3u8.ParseMultivariant(a.body)
		if err != nil || x.Start == nil || !x.Start.Precise {
			t.Fatal(c.at, a.status, err, string(a.body))
		}
		p := w.list(w.base + "/live/a/" + x.Variants[0].URI)
		if p.Start == nil || *p.Start != *x.Start { // ffmpeg looks for it here alone
			t.Errorf("from %v on: %+v instead of %+v", c.at, p.Start, x.Start)
		}
		z := w.get(http.MethodGet, w.base+"/live/a/"+x.Variants[0].URI, "Accept-Encoding", "gzip")
		r, err := gzip.NewReader(bytes.NewReader(z.body))
		if err != nil || z.header.Get("Content-Encoding") != "gzip" {
			t.Fatal(err, z.header)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != string(w.get(http.MethodGet, w.base+"/live/a/"+x.Variants[0].URI).body) {
			t.Errorf("%v: compressed it is %q", err, b)
		}
		if got := dates(p, begin); got != c.playlist || (x.Start.Offset-c.want).Abs() > 100*time.Millisecond {
			t.Errorf("from %v on: %v in %s, %v in %s wanted", c.at, x.Start.Offset, got, c.want, c.playlist)
		}
	}
	w.player.lists.mu.Lock()
	defer w.player.lists.mu.Unlock()
	if n := len(w.player.lists.byKey); n != 7 {
		t.Errorf("%d playlists were made", n)
	}
}

// TestTimeShiftKeepsItsNumbers: when old files are removed, the segments of the others keep their numbers.
func TestTimeShiftKeepsItsNumbers(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	now := time.Now().UTC()
	w.life.Store(7)
	first := w.recorded(m, "a.mp4", now.Add(-3*time.Minute), 7)
	second := w.recorded(m, "b.mp4", now.Add(-2*time.Minute), 7)
	g := w.grows(m, "c.mp4", now.Add(-time.Minute), 7)
	g.grow(11)
	address, _ := w.shift(200 * time.Second)
	if p := w.list(address); len(p.Segments) != 14 || p.MediaSequence != 0 || p.DiscontinuitySequence != 0 {
		t.Fatalf("%+v", p)
	}
	must(t, w.Delete(t.Context(), first.ID))
	g.grow(18)
	w.until(func() bool { return len(w.list(address).Segments) == 6+4 })
	p := w.list(address)
	if p.MediaSequence != 6 || p.DiscontinuitySequence != 1 || p.Segments[0].Discontinuity || !strings.Contains(p.Segments[0].URI, second.ID) || p.Segments[0].Map == nil {
		t.Errorf("%+v", p)
	}
	must(t, w.Delete(t.Context(), second.ID))
	w.until(func() bool { return len(w.list(address).Segments) == 4 })
	if p := w.list(address); p.MediaSequence != 12 || p.DiscontinuitySequence != 2 || p.EndList {
		t.Errorf("%+v", p)
	}
}

// TestTimeShiftWaitsForTheFirstSegment: who asks for the past of a stream whose recording has just begun gets it as soon as there is something.
func TestTimeShiftWaitsForTheFirstSegment(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	w.life.Store(7)
	g := w.grows(encoded(t, "160x90"), "a.mp4", time.Now().Add(-8*time.Second).UTC(), 7)
	if past, ok := w.Past(t.Context(), "live/a"); !ok || past != 0 {
		t.Error(past, ok)
	}
	got := make(chan answer)
	go func() { got <- w.get(http.MethodGet, "/live/a/index.m3u8?start=-60") }()
	w.until(func() bool { return w.player.waiting.Load() == 1 })
	g.grow(3) // too little for a segment
	g.grow(6)
	a := <-got
	if a.status != 200 || w.player.waiting.Load() != 0 {
		t.Fatal(a.status, string(a.body))
	}
	if p := w.list(w.base + "/live/a/" + lastLine(a.body)); len(p.Segments) != 1 || p.EndList || p.TargetDuration != 6 {
		t.Errorf("%+v", p)
	}
	// Who cannot wait is told so.
	w.player.waiting.Store(maxWaiting)
	other := g.f
	other.ID, other.Stream, other.Name, other.Start = event.NewID(time.Now()), "live/b", "b.mp4", time.Now().UTC()
	must(t, w.Begun(other))
	if a := w.get(http.MethodGet, "/live/b/index.m3u8?start=-60"); a.status != 404 || w.player.waiting.Load() != maxWaiting {
		t.Error(a.status, w.player.waiting.Load())
	}
}

// TestTimeShiftAsksAgain: whoever was admitted for a time is asked about again when it is over, with what it showed first, and not at each reload.
func TestTimeShiftAsksAgain(t *testing.T) {
	asked := make(chan string, 1000)
	w := newWeb(t, protocoltest.Options{Admit: func(_ context.Context, r *admit.Request) (session.Grant, error) {
		asked <- r.RawQuery
		if q, _ := url.ParseQuery(r.RawQuery); q.Get("key") != "good" {
			return session.Grant{}, session.Because(session.Denied, errors.New("no key"))
		}
		return session.Grant{Terms: &session.Terms{Recheck: 2 * time.Second}}, nil
	}}, nil)
	w.recorded(encoded(t, "160x90"), "a.mp4", time.Now().Add(-time.Minute).UTC(), 7)
	address := w.follow("/live/a/index.m3u8?key=good&start=-70")
	begun := time.Now()
	w.until(func() bool {
		if a := w.get(http.MethodGet, address); a.status != 200 {
			t.Fatal(a.status, string(a.body))
		}
		return len(asked) >= 4
	})
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("it was asked about three times more within %v", took)
	}
	for _, bad := range []string{strings.Replace(address, "key=good", "key=bad", 1), strings.Replace(address, "key=good&", "", 1)} {
		if a := w.get(http.MethodGet, bad); a.status != 403 {
			t.Error("another one was let in with it:", a.status)
		}
	}
}

// TestRenewalsAreBounded: however many viewers come, no more than maxRenewals are remembered.
func TestRenewalsAreBounded(t *testing.T) {
	n := renewals{until: map[string]time.Time{}}
	now := time.Now()
	q := func(i int) url.Values { return url.Values{"v": {fmt.Sprint(i)}} }
	for i := range maxRenewals {
		n.note("live/a", q(i), now.Add(time.Duration(1+i%2)*time.Minute), now)
	}
	if len(n.until) != maxRenewals || !n.has("live/a", q(0), now) || n.has("live/b", q(0), now) || n.has("live/a", q(0), now.Add(time.Minute)) {
		t.Error(len(n.until))
	}
	now = now.Add(time.Minute)
	n.note("live/a", q(maxRenewals), now.Add(time.Minute), now) // half of them are over
	if len(n.until) != maxRenewals/2+1 || !n.has("live/a", q(1), now) {
		t.Error(len(n.until))
	}
}

// TestSegmentsAreCutAtKeyFrames, and before they get longer than the target duration.
func TestSegmentsAreCutAtKeyFrames(t *testing.T) {
	list := func(step time.Duration, n, keys int) (l []mp4.Fragment) {
		for i := range n {
			l = append(l, mp4.Fragment{Time: time.Duration(i) * step, Duration: step, Offset: int64(100 * i), Size: 100, Key: i%keys == 0})
		}
		return l
	}
	for _, c := range []struct {
		name   string
		list   []mp4.Fragment
		target int
		want   string // lengths of segments; those that may grow are left out
	}{
		{"a key frame each second", list(time.Second, 10, 1), 6, "4s 4s"},
		{"each two seconds", list(time.Second, 13, 2), 6, "4s 4s 4s"},
		{"rounded", list(998*time.Millisecond, 9, 2), 6, "3.992s 3.992s"},
		{"each five", list(time.Second, 16, 5), 9, "5s 5s 5s"},
		{"each ten", list(time.Second, 31, 10), 12, "10s 10s 10s"},
		{"each minute", list(time.Second, 30, 60), 12, "12s 12s"},
		{"none but the first, in longer fragments", list(1500*time.Millisecond, 30, 100), 12, "12s 12s 12s"},
	} {
		if got := targetOf(c.list); got != c.target {
			t.Errorf("%s: the target is %d, %d wanted", c.name, got, c.target)
		}
		got, end := "", int64(0)
		for _, s := range segments(c.list, false, longestFor(c.target)) {
			if s.offset != end || s.duration.Round(time.Second) > time.Duration(c.target)*time.Second {
				t.Errorf("%s: %+v", c.name, s)
			}
			end = s.offset + s.size
			got += " " + s.duration.String()
		}
		if strings.TrimSpace(got) != c.want {
			t.Errorf("%s:%s instead of %s", c.name, got, c.want)
		}
	}
	// An encoder whose key frames come less often than the playlist was made for.
	for _, s := range segments(list(time.Second, 40, 10), true, longestFor(6)) {
		if s.duration > 6*time.Second {
			t.Errorf("%+v", s)
		}
	}
}

// TestPast: how far one can go back, of a stream that is recorded now.
func TestPast(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	m := encoded(t, "160x90")
	if past, ok := w.Past(t.Context(), "live/a"); ok {
		t.Error("nothing was recorded:", past)
	}
	w.recorded(m, "a.mp4", time.Now().Add(-10*time.Minute).UTC(), 1)
	if past, ok := w.Past(t.Context(), "live/a"); !ok || (past-10*time.Minute).Abs() > 10*time.Second {
		t.Error("it is not recorded any more, and can be played:", past, ok)
	}
	w.recorded(m, "old.mp4", time.Now().Add(-maxShift-time.Hour).UTC(), 0)
	if past, ok := w.Past(t.Context(), "live/a"); !ok || (past-10*time.Minute).Abs() > 10*time.Second {
		t.Error("it was recorded too long ago:", past, ok)
	}
	g := w.grows(m, "b.mp4", time.Now().Add(-24*time.Second).UTC(), 2)
	g.grow(11)
	past, ok := w.Past(t.Context(), "live/a")
	if !ok || (past-10*time.Minute).Abs() > 10*time.Second {
		t.Error(past, ok)
	}
	g.finish() // and the next one has not begun yet
	if past, ok = w.Past(t.Context(), "live/a"); !ok || (past-10*time.Minute).Abs() > 10*time.Second {
		t.Error(past, ok)
	}
	flv := w.file("live/flv", "a.flv", 0, 0)
	flv.Format, flv.Start = "flv", time.Now().UTC()
	must(t, os.WriteFile(filepath.Join(w.dir, "a.flv")+partial, []byte("FLV"), 0o600))
	must(t, w.Begun(flv))
	if past, ok := w.Past(t.Context(), "live/flv"); ok {
		t.Error("FLV cannot be played by time:", past)
	}
}

// TestTimeShiftOverManyFiles: of more files than an answer has, the newest are played, and told of.
func TestTimeShiftOverManyFiles(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has the database take a minute; make test runs this without it, too")
	}
	w := newWeb(t, protocoltest.Options{}, nil)
	const files, length = maxFiles + 500, 10 * time.Second
	begin := time.Now().Add(-files * length).UTC().Truncate(time.Second)
	w.life.Store(7)
	var rows []*Row
	add := func(recording, format string, i int, at time.Time) {
		f := w.rig.file("live/a", fmt.Sprint(recording, i, ".", format), 0, length)
		f.ID, f.Recording, f.Format, f.Start, f.Take, f.Codecs = event.NewID(at), recording, format, at, recording, "avc1.64000b"
		rows = append(rows, &Row{File: f, State: Done})
		x := &mp4.Index{Path: "live/a", Start: at, Init: []byte("init"), Fragments: []mp4.Fragment{{Duration: length, Offset: 100, Size: 900, Key: true}}}
		w.media.keep(&volume{id: f.ID, whole: true, index: x})
	}
	put := func() { must(t, w.use(false, func(x *index) error { return x.putAll(rows, false) })) }
	for i := range files - 1 {
		add("main", "mp4", i, begin.Add(time.Duration(i)*length))
	}
	for i := range 5 {
		add("other", "ts", i, begin.Add(time.Duration(files-1-i)*length))
	}
	put()
	last := len(rows)
	add("main", "mp4", files-1, time.Now().UTC().Add(-length)) // now: what ended a while ago does not go on, and the others took a while
	newest := rows[last].ID
	rows = rows[last:]
	put()
	if past, ok := w.Past(t.Context(), "live/a"); !ok || past < (maxFiles-100)*length || past > files*length+time.Minute {
		t.Error(past, ok)
	}
	address, start := w.shift(files*length + time.Minute)
	p := w.list(address)
	if n := len(p.Segments); n > maxFiles || n < maxFiles-100 || start != 0 {
		t.Errorf("%d segments, begun with %v", n, start)
	}
	if last := p.Segments[len(p.Segments)-1]; !strings.Contains(last.URI, newest) {
		t.Error(last.URI)
	}
	if a := w.get(http.MethodGet, "/live/a/recordings.json"); a.status != 200 || len(a.body) < 100 {
		t.Error(a.status, string(a.body))
	}
	if a := w.get(http.MethodGet, film("live/a", 0, time.Since(epoch), "")); a.status != 400 && a.status != 404 {
		t.Error(a.status)
	}
}

// TestPlaylistsAreBounded: the playlists that are kept are bounded by what they take, and those that nobody asks for go.
func TestPlaylistsAreBounded(t *testing.T) {
	l := playlists{byKey: map[listKey]*playlist{}}
	begin := time.Now()
	add := func(i, size int) {
		k := listKey{stream: fmt.Sprint(i)}
		e := &playlist{used: begin.Add(time.Duration(i) * time.Second), full: &text{plain: make([]byte, size/2), gzip: make([]byte, size/4)}}
		l.byKey[k] = e
		l.weigh(k, e)
		e.full.plain = e.full.plain[:size/4]
		l.weigh(k, e)
		e.full.plain = e.full.plain[:size/2]
		l.weigh(k, e)
	}
	for i := range 8 {
		add(i, 8<<20)
	}
	if l.bytes != 64<<20 || len(l.byKey) != 8 {
		t.Errorf("%d playlists of %d bytes", len(l.byKey), l.bytes)
	}
	add(8, 4)
	if l.bytes != 56<<20+4 || l.byKey[listKey{stream: "0"}] != nil {
		t.Errorf("%d playlists of %d bytes", len(l.byKey), l.bytes)
	}
	add(9, 100<<20) // one there is in any case
	if l.bytes != 100<<20 || len(l.byKey) != 1 {
		t.Errorf("%d playlists of %d bytes", len(l.byKey), l.bytes)
	}
	l.forgetIdle(begin.Add(9 * time.Second))
	if len(l.byKey) != 1 {
		t.Error("one that is asked for is gone")
	}
	l.forgetIdle(begin.Add(9*time.Second + 1))
	if l.bytes != 0 || len(l.byKey) != 0 {
		t.Errorf("%d playlists of %d bytes", len(l.byKey), l.bytes)
	}
}
