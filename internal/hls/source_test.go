package hls

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"weir/av"
	"weir/format/m3u8"
	"weir/internal/stream"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "codec", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alone says that a test has one goroutine, however long it takes: the race detector, which make test asks with -short, would
// find nothing in it.
func alone(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it has one goroutine, and is run without -short")
	}
}

// rig is a hub with one stream, packaged. It is used in a synctest bubble, so that frames come
// in their own time.
type rig struct {
	t        testing.TB
	hub      *stream.Hub
	pub      *stream.Publisher
	set      *Set
	p        *Packager
	warnings []string

	conf, key, inter, sound, soundConf []byte

	at       time.Duration // the publisher's clock
	history  map[string]*m3u8.History
	last     map[string]*m3u8.Media
	text     map[string]*Text
	seen     map[string]int // sizes of all that was fetched, by name
	start    time.Time
	settings Settings
}

func newRig(t testing.TB, settings Settings, hub stream.Settings) *rig {
	r := &rig{
		t: t, conf: read(t, "h264-high.config"), key: read(t, "h264-high.key"), inter: read(t, "h264-high.inter"),
		sound: read(t, "aac-48000-1.key"), soundConf: read(t, "aac-48000-1.config"),
		history: map[string]*m3u8.History{}, last: map[string]*m3u8.Media{}, text: map[string]*Text{}, seen: map[string]int{}, start: time.Now(),
		settings: settings,
	}
	r.hub = stream.New(stream.Options{Settings: func(string) stream.Settings { return hub }})
	r.set = NewSet(r.hub.Now, func(string) Settings { return settings }, func(_ string, w Warning) { r.warnings = append(r.warnings, w.Text+": "+w.Detail) })
	t.Cleanup(func() {
		r.hub.Close(nil)
		r.set.Close()
	})
	return r
}

// what says what a publisher sends.
type what struct {
	fps   float64
	gop   time.Duration
	gops  []time.Duration // one after another, instead of gop
	audio int             // tracks
	from  time.Duration
	still bool // all its time stamps are 0
	noKey bool
	// silent are what is not sent, by kind: from one time to another of the publisher's clock.
	silent map[av.Kind][2]time.Duration
}

func (w *what) isSilent(k av.Kind, at time.Duration) bool {
	s, ok := w.silent[k]
	return ok && at >= s[0] && at < s[1]
}

// publish begins to publish.
func (r *rig) publish(w what) {
	r.t.Helper()
	var err error
	if r.pub, err = r.hub.Publish("live/a", stream.Info{Session: "p"}); err != nil {
		r.t.Fatal(err)
	}
	r.at = w.from
	if w.fps > 0 {
		r.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: r.conf})
	}
	for i := range w.audio {
		r.write(&av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Track: uint8(i), Payload: r.soundConf})
	}
}

func (r *rig) write(f *av.Frame) {
	if err := r.pub.Write(f); err != nil {
		r.t.Fatal(err)
	}
}

// frames returns what is sent from 0 to d.
func (r *rig) frames(w what, d time.Duration) (list []av.Frame) {
	if w.fps > 0 {
		next, gop := time.Duration(0), 0
		for i := 0; ; i++ {
			at := time.Duration(float64(i) * float64(time.Second) / w.fps).Round(time.Millisecond)
			if at >= d {
				break
			}
			f := av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: r.inter}
			if at >= next {
				if f.Flags |= av.Key; !w.noKey {
					f.Payload = r.key
				}
				g := w.gop
				if len(w.gops) > 0 {
					g = w.gops[gop%len(w.gops)]
					gop++
				}
				next += g
			}
			list = append(list, f)
		}
	}
	for track := range w.audio {
		for i := 0; ; i++ {
			at := (time.Duration(i) * 1024 * time.Second / 48000).Round(time.Millisecond)
			if at >= d {
				break
			}
			list = append(list, av.Frame{Kind: av.Audio, Codec: av.AAC, Track: uint8(track), DTS: at, PTS: at, Payload: r.sound})
		}
	}
	slices.SortStableFunc(list, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
	return list
}

// send publishes for d, each frame in its time, and calls each after every one.
func (r *rig) send(w what, d time.Duration, each func()) {
	begin := time.Now()
	for _, f := range r.frames(w, d) {
		time.Sleep(time.Until(begin.Add(f.DTS)))
		if w.isSilent(f.Kind, f.DTS+r.at-w.from) {
			continue
		}
		f.DTS, f.PTS = f.DTS+r.at, f.PTS+r.at
		if w.still {
			f.DTS, f.PTS = 0, 0
		}
		r.write(&f)
		if each != nil {
			each()
		}
	}
	time.Sleep(time.Until(begin.Add(d)))
	r.at += d
}

// open asks for the stream's packager, as a viewer's first request does.
func (r *rig) open() {
	r.t.Helper()
	p, err := r.set.Open(r.hub.Get("live/a"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.p = p
}

// isRunning reports whether the stream's packager takes frames.
func (r *rig) isRunning() bool {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.running
}

// check loads every playlist there is, and all that is new in it, and holds them to the rules.
func (r *rig) check() {
	r.t.Helper()
	if r.p == nil {
		return
	}
	r.set.Get(r.p.ID(), "live/a") // as every request does
	for _, name := range []string{"main", "a0", "a1", "a2"} {
		rendition := r.p.Rendition(name)
		if rendition == nil {
			continue
		}
		text, err := rendition.Playlist(Whole)
		if err != nil || text == r.text[name] {
			continue
		}
		r.text[name] = text
		r.checkText(name, text)
		delta, err := rendition.Playlist(SkipSegments)
		if err != nil {
			r.t.Fatal(err)
		}
		r.checkText(name, delta)
	}
}

func (r *rig) checkText(name string, text *Text) *m3u8.Media {
	r.t.Helper()
	p, err := m3u8.ParseMedia(text.Plain)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, text.Plain)
	}
	h := r.history[name]
	if h == nil {
		h = new(m3u8.History)
		r.history[name] = h
	}
	if err := h.Add(p); err != nil {
		var before []byte
		if old := r.last[name]; old != nil {
			before = old.Append(nil)
		}
		r.t.Fatalf("%s after %v: %v\n%s\nbefore:\n%s", name, time.Since(r.start), err, text.Plain, before)
	}
	if p.Skip != nil {
		return p
	}
	r.last[name] = p
	for i := range p.Segments {
		s := &p.Segments[i]
		if s.Map != nil {
			r.fetch(s.Map.URI)
		}
		size, parts := 0, 0
		for j := range s.Parts {
			size += r.fetch(s.Parts[j].URI)
			parts++
		}
		if s.Whole() {
			if n := r.fetch(s.URI); parts > 0 && n != size {
				r.t.Fatalf("%s has %d bytes, its parts %d", s.URI, n, size)
			}
		}
	}
	return p
}

// fetch returns the size of what a name names.
func (r *rig) fetch(uri string) int {
	r.t.Helper()
	if n, ok := r.seen[uri]; ok {
		return n
	}
	n, ok := ParseName(uri)
	if !ok {
		r.t.Fatalf("%q is no name", uri)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m, err := r.p.Media(ctx, n)
	if err != nil {
		r.t.Fatal(uri, err)
	}
	size := 0
	for _, b := range m.Pieces {
		size += int(b.Size)
	}
	if m.File != "" {
		info, err := os.Stat(m.File)
		if err != nil {
			r.t.Fatal(err)
		}
		size = int(info.Size())
	}
	if size == 0 {
		r.t.Fatal(uri, "is empty")
	}
	r.seen[uri] = size
	return size
}

// main returns the newest playlist that check saw.
func (r *rig) main() *m3u8.Media {
	r.t.Helper()
	if r.last["main"] == nil {
		r.t.Fatalf("there is no playlist; warnings: %q", r.warnings)
	}
	return r.last["main"]
}

// durations lists how long a playlist's whole segments are.
func durations(p *m3u8.Media) (list []string) {
	for i := range p.Segments {
		if p.Segments[i].Whole() {
			list = append(list, fmt.Sprint(p.Segments[i].Duration.Round(time.Millisecond)))
		}
	}
	return list
}
