package server

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"weir/internal/admin"
	"weir/internal/archive"
	"weir/internal/event"
	"weir/internal/record"
	"weir/internal/stream"
)

// archived is an archive with these files of live/a, which are made of their ids, that runs until the test ends.
func archived(t *testing.T, state, dir string, files ...record.File) recordings {
	t.Helper()
	a, err := archive.New(archive.Options{Log: slog.New(slog.DiscardHandler), State: state})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.Close()
	})
	r := recordings{a}
	for end := time.Now().Add(10 * time.Second); ; <-time.After(2 * time.Millisecond) {
		if _, err := r.List(t.Context(), admin.RecordingQuery{}); err == nil {
			break
		} else if !errors.Is(err, admin.ErrIndexing) || time.Now().After(end) {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		f.Stream, f.Recording, f.Take, f.Dir, f.Codecs = "live/a", "main", f.ID, dir, "avc1.64000b"
		if err := errors.Join(os.WriteFile(filepath.Join(dir, f.Name), []byte(f.ID), 0o600), a.Begun(f), a.Done(f)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestRecordingsOfTheAPI: spans, files and gaps are shown in seconds and in words, each in its own place; a file is sent as what it is.
func TestRecordingsOfTheAPI(t *testing.T) {
	start := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	ids := []string{event.NewID(start), event.NewID(start.Add(time.Minute)), event.NewID(start.Add(2 * time.Minute))}
	r := archived(t, "", dir,
		record.File{ID: ids[0], Name: "a.ts", Format: "ts", Start: start, Duration: 30 * time.Second, Bytes: 7},
		record.File{ID: ids[1], Name: "b.mp4", Format: "mp4", Start: start.Add(time.Minute), Duration: 1500 * time.Millisecond, Bytes: 8},
		record.File{ID: ids[2], Name: "c d.flv", Format: "flv", Start: start.Add(2 * time.Minute), Duration: time.Second, Bytes: 9},
	)
	list, err := r.List(t.Context(), admin.RecordingQuery{Path: "live/a", To: start.Add(2 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	span := func(id, name, format string, at, long time.Duration, bytes int64) admin.RecordingSpan {
		from := start.Add(at)
		return admin.RecordingSpan{
			Path: "live/a", Recording: "main", From: from, To: from.Add(long), Duration: long.Seconds(), Codecs: "avc1.64000b",
			Files: []admin.RecordingFile{{ID: id, Name: name, Format: format, State: "done", Start: from, Duration: long.Seconds(), Bytes: bytes}},
		}
	}
	want := admin.RecordingList{
		Spans: []admin.RecordingSpan{span(ids[0], "a.ts", "ts", 0, 30*time.Second, 7), span(ids[1], "b.mp4", "mp4", time.Minute, 1500*time.Millisecond, 8)},
		Gaps:  []admin.RecordingGap{{Path: "live/a", Recording: "main", From: start.Add(30 * time.Second), To: start.Add(time.Minute), Duration: 30, Reason: "offline"}},
	}
	if !reflect.DeepEqual(list, want) {
		t.Errorf("%+v\nwant %+v", list, want)
	}
	for i, want := range []string{"video/mp2t a.ts", "video/mp4 b.mp4", "video/x-flv c%20d.flv"} {
		w := httptest.NewRecorder()
		if err := r.ServeFile(w, httptest.NewRequest(http.MethodGet, "/", nil), ids[i]); err != nil {
			t.Fatal(err)
		}
		h := w.Header()
		var typ, name string
		_, _ = fmt.Sscan(want, &typ, &name)
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), []byte(ids[i])) || h.Get("Content-Type") != typ || h.Get("Content-Disposition") != "attachment; filename*=UTF-8''"+name || h.Get("ETag") != `"`+ids[i]+`"` {
			t.Errorf("%s: %d %v", want, w.Code, h)
		}
	}
	if err := r.Delete(t.Context(), ids[1]); err != nil {
		t.Error(err)
	}
	for _, err := range []error{r.Delete(t.Context(), ids[1]), r.ServeFile(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), ids[1])} {
		if !errors.Is(err, admin.ErrNoRecording) {
			t.Error(err)
		}
	}
}

// TestFileInAStorageThatIsGone: a file that is only in a storage which the configuration has not any more cannot be had, which is no fault of the server.
func TestFileInAStorageThatIsGone(t *testing.T) {
	state, dir, id := t.TempDir(), t.TempDir(), event.NewID(time.Now())
	r := archived(t, state, dir, record.File{ID: id, Name: "a.mp4", Format: "mp4", Start: time.Now(), Duration: time.Second, Bytes: 7, Upload: "main"})
	db, err := sql.Open("sqlite", filepath.Join(state, "recordings.db")) // as it is once the file was uploaded and removed here
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("UPDATE files SET state = ?, object = 'rec/a.mp4', pending = 0", int(archive.Remote)); err != nil {
		t.Fatal(err)
	}
	err = r.ServeFile(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), id)
	if e, ok := errors.AsType[*admin.RecordingError](err); !ok || e.Status != http.StatusBadGateway || e.Code != "storage" {
		t.Errorf("%T: %v", err, err)
	}
}

// TestRecordingErrors: each error of the archive has its status and its word.
func TestRecordingErrors(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{archive.ErrQuery, 422, "bad_range"},
		{archive.ErrCodecs, 409, "codec_change"},
		{archive.ErrGap, 409, "gap"},
		{archive.ErrStorage, 502, "storage"},
		{archive.ErrBusy, 503, "busy"},
		{archive.ErrFormat, 409, "format"},
		{archive.ErrFragments, 409, "fragments"},
	} {
		err := recordingError(fmt.Errorf("x: %w", c.err))
		if e, ok := errors.AsType[*admin.RecordingError](err); !ok || e.Status != c.status || e.Code != c.code || e.Detail != "x: "+c.err.Error() {
			t.Errorf("%v: %+v", c.err, err)
		}
	}
	odd := errors.New("odd")
	for is, want := range map[error]error{archive.ErrNotFound: admin.ErrNoRecording, archive.ErrRecording: admin.ErrRecording, archive.ErrIndexing: admin.ErrIndexing, odd: odd} {
		if got := recordingError(is); got != want { //nolint:errorlint // the error itself
			t.Errorf("%v: %v", is, got)
		}
	}
	if recordingError(nil) != nil {
		t.Error("nothing is wrong")
	}
}

// TestPlacesAndLives: each directory of recordings is one place, by whose rule of the stream its files go; and a life of a stream goes on until the next one.
func TestPlacesAndLives(t *testing.T) {
	s, err := New(configured(t, "streams=["+
		"{match: 'live/*', record: [{name: one, dir: /srv/a/, keep: {for: 1h}}, {name: two, dir: /srv/b}]}, {match: 'other/*', record: [{name: three, dir: /srv/a}]}, {match: 'x/*'}]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := map[string]string{}
	for _, p := range s.places() {
		for _, path := range []string{"live/x", "other/x", "x/x"} {
			name, keep, _ := p.Rule(path)
			got[p.Dir] += fmt.Sprint(path, " ", name, " ", keep.For, "; ")
		}
	}
	if want := map[string]string{"/srv/a": "live/x one 1h0m0s; other/x three 0s; x/x  0s; ", "/srv/b": "live/x two 0s; other/x  0s; x/x  0s; "}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	p, err := s.hub.Publish("x/x", stream.Info{Session: "p1"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(nil)
	named, _ := s.tracker.Named("x/x")
	life := named.Epoch
	if !s.lives("x/x", life) || s.lives("x/x", life+1) || s.lives("x/y", 0) {
		t.Errorf("life %d", life)
	}
}

// TestWhereACrashMayHaveLeftFiles: in the directories of the configuration, and in those of files that were begun when another one was in force.
func TestWhereACrashMayHaveLeftFiles(t *testing.T) {
	state, old, whole, now := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	a, err := archive.New(archive.Options{Log: slog.New(slog.DiscardHandler), State: state})
	if err != nil {
		t.Fatal(err)
	}
	begun, done := record.File{ID: event.NewID(time.Now()), Stream: "live/a", Dir: old, Name: "a.ts"}, record.File{ID: event.NewID(time.Now()), Stream: "live/a", Dir: whole, Name: "b.ts"}
	if err := errors.Join(a.Begun(begun), a.Begun(done), a.Done(done)); err != nil {
		t.Fatal(err)
	}
	a.Close()
	s, err := New(configured(t, "state="+state, "streams=["+fmt.Sprintf("{match: live/*, record: [{dir: %q, min_free: \"\"}, {name: b, dir: %q, min_free: \"\"}]}", now, now+"/")+"]"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want := []string{old, now}
	slices.Sort(want)
	if got := s.recordedIn(t.Context()); !slices.Equal(got, want) {
		t.Errorf("%q instead of %q", got, want)
	}
}
