package archive

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"weir/format/mp4"
	"weir/internal/protocol/protocoltest"
)

// TestMemoryOfWhatIsPlayed: clips and lists of fragments that nobody asks for any more go, the oldest first.
func TestMemoryOfWhatIsPlayed(t *testing.T) {
	r := newRig(t, nil)
	m := encoded(t, "160x90")
	r.record(m, "live/a", "live/a/0.mp4", 0, 0, 24*time.Second)
	film := func(from time.Duration) {
		f, err := r.Film(t.Context(), "", "live/a", "", epoch.Add(from), epoch.Add(20*time.Second), Skip)
		must(t, err)
		must(t, f.Close())
	}
	for i := range time.Duration(3) {
		film(i * time.Second)
	}
	held := r.clips.held
	if len(r.clips.byTag) != 3 || held < 3000 || len(r.media.byID) != 1 || r.media.held != 24 {
		t.Fatalf("%d clips of %d bytes, %d files of %d fragments", len(r.clips.byTag), held, len(r.media.byID), r.media.held)
	}
	before := time.Now()
	film(0) // the first again
	r.clips.forgetIdle(before)
	if len(r.clips.byTag) != 1 || r.clips.order.Len() != 1 || r.clips.held < held/4 || r.clips.held > held/2 {
		t.Errorf("%d clips of %d bytes are left", len(r.clips.byTag), r.clips.held)
	}
	r.clips.forgetIdle(time.Now().Add(1))
	r.media.forgetIdle(before)
	if len(r.clips.byTag) != 0 || r.clips.held != 0 {
		t.Errorf("%d clips of %d bytes are left", len(r.clips.byTag), r.clips.held)
	}
	r.media.forgetIdle(time.Now().Add(1))
	if len(r.media.byID) != 0 || r.media.held != 0 || r.media.order.Len() != 0 {
		t.Errorf("%d files of %d fragments are left", len(r.media.byID), r.media.held)
	}
	l := newLibrary()
	for i := range 3 {
		l.keep(&volume{id: fmt.Sprint(i), index: &mp4.Index{Fragments: make([]mp4.Fragment, maxIndexes/2)}})
	}
	if l.known("0") != nil || l.known("2") == nil || l.held != maxIndexes {
		t.Errorf("%d fragments are held", l.held)
	}
}

// TestComputedAtOnce: while as many clips and playlists are being made as may be, others wait, for as long as who asks for them does.
func TestComputedAtOnce(t *testing.T) {
	w := newWeb(t, protocoltest.Options{}, nil)
	r := w.rig
	m := encoded(t, "160x90")
	r.record(m, "live/a", "live/a/0.mp4", 0, 0, 24*time.Second)
	var ends []func()
	for i := range 2 {
		end, err := r.making.begin(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Film(ctx, "", "live/a", "", epoch, epoch.Add(4*time.Second), Skip); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	key := listKey{stream: "live/a", recording: "main", from: epoch, to: epoch.Add(4 * time.Second)}
	if _, err := w.player.lists.get(ctx, w.player, "", key); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, end := range ends {
		end()
	}
	if a := w.get(http.MethodGet, film("live/a", 0, 4*time.Second, "")); a.status != http.StatusOK {
		t.Error(a.status)
	}
	if _, err := w.player.lists.get(t.Context(), w.player, "", key); err != nil {
		t.Error(err)
	}
	if r.making.given() != 0 {
		t.Error("turns are not given back")
	}
}
