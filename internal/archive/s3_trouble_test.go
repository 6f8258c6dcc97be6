package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"weir/internal/archive/s3"
	"weir/internal/record"
)

// TestC427StorageTrouble: whatever the storage answers, the upload is tried again until the object is the file.
func TestC427StorageTrouble(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(n int, w http.ResponseWriter, r *http.Request) bool{
		"SlowDown": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 4 || n%2 == 0 {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "<Error><Code>SlowDown</Code></Error>")
			return true
		},
		"reset in a part": func(n int, w http.ResponseWriter, r *http.Request) bool {
			if n > 4 || r.Method != http.MethodPut {
				return false
			}
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			nc, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = nc.(*net.TCPConn).SetLinger(0)
				_ = nc.Close()
			}
			return true
		},
		"wrong region": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 2 {
				return false
			}
			w.Header().Set("x-amz-bucket-region", "eu-central-1")
			w.WriteHeader(http.StatusMovedPermanently)
			fmt.Fprint(w, "<Error><Code>PermanentRedirect</Code></Error>")
			return true
		},
		"bucket gone": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 2 {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "<Error><Code>NoSuchBucket</Code></Error>")
			return true
		},
		"clock skew": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n > 1 {
				return false
			}
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>RequestTimeTooSkewed</Code></Error>")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStorage(t)
			var n atomic.Int64
			s.fail(func(w http.ResponseWriter, r *http.Request) bool { return fault(int(n.Add(1)), w, r) })
			var log lines
			r := newRig(t, func(o *Options) {
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
				o.Storage = func() []s3.Config { return []s3.Config{s.conf} }
			})
			f, b := r.big("a.mp4", 6<<20)
			must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
			r.add(f)
			row := r.uploadedRow(f.ID)
			s.fail(nil)
			if text := log.String(); !strings.Contains(text, faultReasons[name]) || strings.Contains(text, "Signature") {
				t.Error(text)
			}
			if string(s.get(row.Object)) != string(b) {
				t.Error("the object is not the file")
			}
			if names, open := s.objects(); len(names) != 1 || open != 0 {
				t.Error(names, open)
			}
			if r.Uploads().Failures == 0 {
				t.Error("no failure was counted")
			}
		})
	}
}

// faultReasons are what the log says of faults.
var faultReasons = map[string]string{
	"SlowDown": "the storage is not available", "reset in a part": "the storage cannot be reached",
	"wrong region": "the bucket is in another region", "bucket gone": "there is no such bucket", "clock skew": "clock",
}

// lines is a log.
type lines struct {
	mu sync.Mutex // guards below
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestC427ManyParts: a file that has become larger than 10,000 parts of the size that was begun with is sent anew in larger ones: nothing is left out.
func TestC427ManyParts(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	f, b := r.big("a.mp4", 7<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	must(t, r.Begun(f))
	must(t, r.saveUpload(f.ID, &s3.Upload{PartSize: 7 << 20 / 10000}))
	must(t, r.Done(f))
	if row := r.uploadedRow(f.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
	if state, err := r.upload(t.Context(), f.ID); err != nil || len(state.Parts) != 2 {
		t.Error(state.PartSize, len(state.Parts), err)
	}
	if _, open := s.objects(); open != 0 {
		t.Error(open)
	}
}

// TestP25Kills: uploads of four files at a time that are killed again and again at any moment leave one object for each file, and no open upload.
func TestP25Kills(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	kills := 8
	if large {
		kills = 100
	}
	want := map[string][]byte{}
	for i := range kills {
		f, b := r.big(fmt.Sprintf("%03d.mp4", i), 11<<20+i)
		must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
		r.add(f)
		if i%2 == 0 {
			<-time.After(rand.N(60 * time.Millisecond)) // the moment is what is tested
			r.restart(func() { must(t, os.RemoveAll(filepath.Join(r.conf.State, "recordings.db.closed"))) })
		} else {
			r.restart(nil)
		}
		want[f.ID] = b
	}
	for id, b := range want {
		if row := r.uploadedRow(id); string(s.get(row.Object)) != string(b) {
			t.Error(row.Object, "is not the file")
		}
	}
	if names, open := s.objects(); len(names) != kills || open != 0 {
		t.Errorf("%d objects, %d open uploads", len(names), open)
	}
}

// TestP25MemoryOfUploads: four uploads at once take little memory, however large the files and their parts are.
func TestP25MemoryOfUploads(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes more than what is measured")
	}
	s := newStorage(t)
	s.conf.PartSize = 16 << 20
	r := upload(t, s)
	size := 40 << 20
	if large {
		size = 150 << 20
	}
	var rows []record.File
	for i := range uploadsAtOnce {
		f := r.file("live/a", fmt.Sprint(i, ".mp4"), time.Duration(i)*time.Minute, time.Minute)
		f.Upload, f.Bytes = "main", int64(size)
		must(t, os.WriteFile(filepath.Join(r.dir, f.Name), nil, 0o600))
		must(t, os.Truncate(filepath.Join(r.dir, f.Name), int64(size)))
		rows = append(rows, f)
	}
	runtime.GC()
	debug.FreeOSMemory()
	before := resident(t)
	var most atomic.Int64
	s.fail(func(http.ResponseWriter, *http.Request) bool {
		now := resident(t)
		for {
			old := most.Load()
			if now <= old || most.CompareAndSwap(old, now) {
				return false
			}
		}
	})
	for _, f := range rows {
		r.add(f)
	}
	for _, f := range rows {
		r.uploadedRow(f.ID)
	}
	if more := most.Load() - before; more > 40<<20 {
		t.Errorf("%d MiB more", more>>20)
	} else {
		t.Logf("%.1f MiB more", float64(more)/(1<<20))
	}
}

// resident is the memory of this process.
func resident(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("this system does not tell:", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

// TestP25C428KilledUploads: an upload that ends anywhere, the answer to its last request included, is gone on with: there is exactly one object, no
// open upload, and an object of somebody else is not overwritten.
func TestP25C428KilledUploads(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	other := []byte("somebody else's")
	_, err := s.client.PutObject(t.Context(), "weir", "rec/a.mp4", strings.NewReader(string(other)), int64(len(other)), "", "", minio.PutObjectOptions{})
	must(t, err)
	f, b := r.big("a.mp4", 11<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	// The answer to Complete is lost once; then each request fails once, and the server is killed in between.
	var requests, lost atomic.Int64
	s.fail(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost && q.URL.Query().Has("uploadId") && lost.Add(1) == 1 {
			s.fail(nil)
			return false
		}
		if n := requests.Add(1); n%3 == 0 && n <= 9 { // more of them in a row would be waited out for minutes
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	r.add(f)
	for range 5 {
		r.restart(nil)
	}
	row := r.uploadedRow(f.ID)
	if row.Object != "rec/a.mp4-"+f.ID || string(s.get(row.Object)) != string(b) || string(s.get("rec/a.mp4")) != string(other) {
		t.Error(row.Object)
	}
	if names, open := s.objects(); len(names) != 2 || open != 0 {
		t.Error(names, open)
	}
	// What the storage has forgotten is sent again.
	g, b := r.big("b.mp4", 11<<20)
	part := filepath.Join(r.dir, g.Name) + partial
	must(t, os.WriteFile(part, b[:10<<20], 0o600))
	must(t, r.Begun(g))
	r.until(func() bool { _, open := s.objects(); return open == 1 })
	state, err := r.upload(t.Context(), g.ID)
	must(t, err)
	r.until(func() bool {
		state, err = r.upload(t.Context(), g.ID)
		must(t, err)
		return len(state.Parts) == 1
	})
	must(t, s.client.AbortMultipartUpload(t.Context(), "weir", state.Key, state.ID))
	must(t, os.WriteFile(part, b, 0o600))
	must(t, os.Rename(part, strings.TrimSuffix(part, partial)))
	must(t, r.Done(g))
	if row := r.uploadedRow(g.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
	if _, open := s.objects(); open != 0 {
		t.Error(open)
	}
}

// TestStallingStorageKeepsNobodyElseWaiting: what is here is played while a storage does not answer those who ask for what is there, and those who leave
// give up their turns.
func TestStallingStorageKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	m := encoded(t, "160x90")
	length := m.write(t, filepath.Join(r.dir, "0.mp4"), "live/a", epoch, 0, 8*time.Second, true)
	f := r.file("live/a", "0.mp4", 0, length)
	f.Upload, f.Bytes = "main", int64(len(read(t, filepath.Join(r.dir, "0.mp4"))))
	r.add(f)
	row := r.uploadedRow(f.ID)
	must(t, r.shelve(&row))
	r.record(m, "live/b", "live/b/0.mp4", 0, 0, 8*time.Second)
	w := &web{rig: r}
	w.serveDefault()
	reached := make(chan struct{}, 100)
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Query().Has("uploadId") {
			return false
		}
		reached <- struct{}{}
		<-r.Context().Done()
		return true
	})
	ctx, leave := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range 12 {
		waiting.Go(func() {
			from := epoch.Add(time.Duration(i+1) * time.Millisecond)
			if _, err := r.Film(ctx, fmt.Sprint(i), "live/a", "", from, epoch.Add(7*time.Second), Skip); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for range 4 { // as many as may read from storage at once
		<-reached
	}
	if a := w.get(http.MethodGet, film("live/b", 0, 7*time.Second, "")); a.status != http.StatusOK {
		t.Error("what is here:", a.status, string(a.body))
	}
	leave()
	waiting.Wait()
	if r.bringing.given() != 0 || r.making.given() != 0 || len(r.clips.fetched) != 0 {
		t.Error("turns are not given back")
	}
	if r.outages.has("main") {
		t.Error("a viewer who leaves is taken for a storage that does not answer")
	}
	// One who has waited in vain spares the others the wait.
	_ = r.storageError(t.Context(), &row, s3.ErrStalled)
	_, err := r.Film(t.Context(), "", "live/a", "", epoch.Add(time.Second), epoch.Add(7*time.Second), Skip)
	if !errors.Is(err, ErrStorage) || !errors.Is(err, errOutage) {
		t.Error(err)
	}
}
