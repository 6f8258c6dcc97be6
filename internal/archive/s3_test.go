package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"weir/internal/archive/s3"
	"weir/internal/event"
	"weir/internal/freeport"
	"weir/internal/protocol/protocoltest"
	"weir/internal/record"
)

// storage is versitygw, which runs for a test, behind a proxy that can be told to misbehave.
type storage struct {
	t      *testing.T
	conf   s3.Config
	client *minio.Core
	// fault, if not nil, answers a request in the place of the storage, and reports whether it did.
	fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

func newStorage(t *testing.T) *storage {
	t.Helper()
	program, err := exec.LookPath("versitygw")
	if err != nil {
		t.Fatal("versitygw is missing (make test installs it): ", err)
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "weir"), 0o755))
	address := freeport.Addr(t)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "--port", address, "--access", "key", "--secret", "secretsecret", "--quiet", "posix", dir)
	must(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	s := &storage{t: t}
	target := &url.URL{Scheme: "http", Host: address}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		Transport: &http.Transport{DisableKeepAlives: true},
	}
	front, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := s.fault.Load(); f != nil && (*f)(w, r) {
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	done := make(chan struct{})
	go func() {
		_ = server.Serve(front)
		close(done)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	s.conf.SetDefaults()
	s.conf.Name, s.conf.Endpoint, s.conf.Bucket, s.conf.Region, s.conf.Prefix = "main", "http://"+front.Addr().String(), "weir", "us-east-1", "rec/"
	s.conf.AccessKey, s.conf.SecretKey, s.conf.PathStyle, s.conf.PartSize = "key", "secretsecret", true, 5<<20
	s.client, err = minio.NewCore(address, &minio.Options{Creds: credentials.NewStaticV4("key", "secretsecret", ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath, Transport: &http.Transport{DisableKeepAlives: true}})
	must(t, err)
	for end := time.Now().Add(10 * time.Second); ; {
		if ok, err := s.client.BucketExists(t.Context(), "weir"); err == nil && ok {
			return s
		}
		if time.Now().After(end) {
			t.Fatal("versitygw does not answer")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// fail makes the storage misbehave; nil makes it well again.
func (s *storage) fail(f func(w http.ResponseWriter, r *http.Request) bool) {
	if f == nil {
		s.fault.Store(nil)
		return
	}
	s.fault.Store(&f)
}

// get returns an object.
func (s *storage) get(key string) []byte {
	s.t.Helper()
	body, _, _, err := s.client.GetObject(s.t.Context(), "weir", key, minio.GetObjectOptions{})
	must(s.t, err)
	defer body.Close()
	b, err := io.ReadAll(body)
	must(s.t, err)
	return b
}

// objects returns the names of all objects, and how many uploads are open.
func (s *storage) objects() (names []string, open int) {
	s.t.Helper()
	list, err := s.client.ListObjectsV2("weir", "", "", "", "", 1000)
	must(s.t, err)
	for _, o := range list.Contents {
		names = append(names, o.Key)
	}
	uploads, err := s.client.ListMultipartUploads(s.t.Context(), "weir", "", "", "", "", 1000)
	must(s.t, err)
	return names, len(uploads.Uploads)
}

// upload is an archive that uploads to a storage.
func upload(t *testing.T, s *storage) *rig {
	t.Helper()
	return newRig(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		o.Storage = func() []s3.Config { return []s3.Config{s.conf} }
	})
}

// big is a file of several parts.
func (r *rig) big(name string, size int) (record.File, []byte) {
	r.t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7 >> 8)
	}
	f := r.file("live/a", name, 0, time.Minute)
	f.Upload, f.Bytes = "main", int64(size)
	return f, b
}

// uploadedRow waits until a file is in the storage, and returns its row. What fails on the way is tried again at once: tests are not to wait for storage that is
// spared.
func (r *rig) uploadedRow(id string) (row Row) {
	r.t.Helper()
	r.soon(id, func() bool {
		var err error
		row, err = r.File(r.t.Context(), id)
		must(r.t, err)
		return row.Object != ""
	})
	return row
}

// soon waits for something that the upload of a file does, which has no pauses.
func (r *rig) soon(id string, done func() bool) {
	r.t.Helper()
	hurried := time.Time{}
	r.until(func() bool {
		if now := time.Now(); now.Sub(hurried) > 50*time.Millisecond {
			hurried = now
			r.uploads.hurry(id)
		}
		return done()
	})
}

// TestUploadWhileRecording: parts go while the file grows, the first one last, and the object is the file as it is once it is whole.
func TestUploadWhileRecording(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	var mu sync.Mutex
	var order []string
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if n := r.URL.Query().Get("partNumber"); n != "" && r.Method == http.MethodPut {
			mu.Lock()
			order = append(order, n)
			mu.Unlock()
		}
		return false
	})
	r := upload(t, s)
	f, b := r.big("live/a/b c.mp4", 17<<20)
	part := filepath.Join(r.dir, f.Name) + partial
	must(t, os.MkdirAll(filepath.Dir(part), 0o755))
	file, err := os.Create(part)
	must(t, err)
	grow := func(from, to int) {
		t.Helper()
		_, err := file.WriteAt(b[from:to], int64(from))
		must(t, err)
	}
	grow(0, 11<<20)
	must(t, r.Begun(f))
	sent := func(want string) {
		t.Helper()
		r.soon(f.ID, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(order, " ") == want
		})
	}
	sent("2")
	grow(11<<20, 16<<20)
	sent("2 3")
	copy(b, "another begin...")
	grow(0, 16)
	grow(16<<20, len(b))
	must(t, file.Close())
	must(t, os.Rename(part, strings.TrimSuffix(part, partial)))
	must(t, r.Done(f))
	row := r.uploadedRow(f.ID)
	if row.Object != "rec/live/a/b c.mp4" || string(s.get(row.Object)) != string(b) {
		t.Error(row.Object, "is not the file")
	}
	sent("2 3 4 1")
	info, err := s.client.StatObject(t.Context(), "weir", row.Object, minio.StatObjectOptions{})
	if err != nil || info.UserMetadata["Weir-Id"] != f.ID || info.UserMetadata["Weir-Stream"] != "live%2Fa" || info.ContentType != "video/mp4" {
		t.Error(info.UserMetadata, info.ContentType, err)
	}
	// It is not deleted at all while the storage cannot be had.
	s.fail(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	if err := r.Delete(t.Context(), f.ID); !errors.Is(err, ErrWithdraw) {
		t.Error(err)
	}
	if again, err := r.File(t.Context(), f.ID); err != nil || again.Object != row.Object {
		t.Error(again, err)
	}
	s.fail(nil)
	// It is deleted everywhere.
	must(t, r.Delete(t.Context(), f.ID))
	if names, open := s.objects(); len(names) != 0 || open != 0 {
		t.Error(names, open)
	}
}

// TestUploadThenPlay: what is deleted here once it is in the storage can be played from there.
func TestUploadThenPlay(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.conf.After = "delete"
	r := upload(t, s)
	m := encoded(t, "160x90")
	length := m.write(t, filepath.Join(r.dir, "a/0.mp4"), "live/a", epoch, 0, 8*time.Second, true)
	b := read(t, filepath.Join(r.dir, "a/0.mp4"))
	f := r.file("live/a", "a/0.mp4", 0, length)
	f.Upload, f.Bytes = "main", int64(len(b))
	r.add(f)
	r.until(func() bool {
		row, err := r.File(t.Context(), f.ID)
		must(t, err)
		_, gone := os.Stat(filepath.Join(r.dir, "a"))
		return row.State == Remote && errors.Is(gone, os.ErrNotExist)
	})
	w := &web{rig: r}
	w.serveDefault()
	address := w.follow("/live/a/index.m3u8?from=" + at(0) + "&to=" + at(time.Minute))
	p := w.list(address)
	base, err := url.Parse(address)
	must(t, err)
	init, err := base.Parse(p.Segments[0].Map.URI)
	must(t, err)
	if a := w.get(http.MethodGet, init.String()); a.status != 200 || len(a.body) == 0 {
		t.Error(a.status)
	}
	media, err := base.Parse(p.Segments[0].URI)
	must(t, err)
	a := w.get(http.MethodGet, media.String(), "Range", "bytes=100-199")
	if a.status != 307 {
		t.Fatal(a.status, string(a.body))
	}
	if a := w.get(http.MethodGet, a.header.Get("Location"), "Range", "bytes=100-199"); a.status != 206 || string(a.body) != string(b[100:200]) {
		t.Error(a.status, string(a.body))
	}
	// The whole of it is the object itself.
	a = w.get(http.MethodGet, film("live/a", 0, time.Minute, "&download"))
	if a.status != 307 || a.header.Get("Cache-Control") != "no-store" {
		t.Fatal(a.status, string(a.body))
	}
	if a := w.get(http.MethodGet, a.header.Get("Location")); a.status != 200 || string(a.body) != string(b) {
		t.Error(a.status, len(a.body))
	}
	if a := w.get(http.MethodGet, "/live/a/recordings.json?from="+at(0)+"&to="+at(time.Minute)); !strings.Contains(string(a.body), `"codecs"`) {
		t.Error(string(a.body))
	}
	r.restart(nil)
	if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Remote {
		t.Error(row.State, err)
	}
}

// TestPlayFromStorage: a range over files that are only in the storage is what it would be if they were here, read from there by a few
// requests and only as far as it is asked for.
func TestPlayFromStorage(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.conf.After = "delete"
	r := upload(t, s)
	m := encoded(t, "160x90")
	here := newWeb(t, protocoltest.Options{}, nil) // has the same files
	var rows []record.File
	for i, name := range []string{"0.mp4", "1.mp4", "2.mp4"} {
		from := time.Duration(i) * 8 * time.Second
		length := m.write(t, filepath.Join(r.dir, name), "live/a", epoch.Add(from), from, from+8*time.Second, true)
		f := r.file("live/a", name, from, length)
		f.Take, f.Bytes = "01KB0000000000000000000000", int64(len(read(t, filepath.Join(r.dir, name))))
		local := f
		local.Dir = here.dir
		must(t, os.WriteFile(filepath.Join(here.dir, name), read(t, filepath.Join(r.dir, name)), 0o600))
		here.add(local)
		if i < 2 { // the last one stays
			f.Upload = "main"
		}
		r.add(f)
		rows = append(rows, f)
	}
	r.until(func() bool {
		a, err := r.File(t.Context(), rows[0].ID)
		must(t, err)
		b, err := r.File(t.Context(), rows[1].ID)
		must(t, err)
		return a.State == Remote && b.State == Remote
	})
	var requests atomic.Int64
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			requests.Add(1)
		}
		return false
	})
	w := &web{rig: r}
	w.serveDefault()
	for _, c := range [][2]time.Duration{{0, 23 * time.Second}, {5130 * time.Millisecond, 12 * time.Second}, {9 * time.Second, 10 * time.Second}, {3 * time.Second, 22 * time.Second}} {
		requests.Store(0)
		got, want := w.get(http.MethodGet, film("live/a", c[0], c[1], "")), here.get(http.MethodGet, film("live/a", c[0], c[1], ""))
		if got.status != 200 || len(got.body) < len(want.body)*9/10 || len(got.body) > len(want.body)*11/10 {
			t.Fatal(c, got.status, len(got.body), len(want.body), string(got.body[:min(len(got.body), 300)]))
		}
		if n := requests.Load(); n > 6 { // the tables, a fragment's description and the media of two files
			t.Errorf("%v took %d requests", c, n)
		}
		if a, b := here.hashes(got.body), here.hashes(want.body); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%v: %d pictures of %d, or other ones", c, len(a), len(b))
		}
		firstGot, lastGot, lengthGot, _ := here.probe(got.body)
		firstWant, lastWant, lengthWant, _ := here.probe(want.body)
		for _, d := range []float64{firstGot - firstWant, lastGot - lastWant, lengthGot - lengthWant} {
			if math.Abs(d) > 0.0005 {
				t.Errorf("%v: it is shown from %v to %v of %v instead of %v to %v of %v", c, firstGot, lastGot, lengthGot, firstWant, lastWant, lengthWant)
			}
		}
		// Any part of it is the same.
		requests.Store(0)
		n := len(got.body)
		part := w.get(http.MethodGet, film("live/a", c[0], c[1], ""), "Range", fmt.Sprintf("bytes=%d-%d", n/2, n/2+999), "If-Range", got.header.Get("ETag"))
		if part.status != 206 || string(part.body) != string(got.body[n/2:n/2+1000]) || requests.Load() > 2 {
			t.Error(c, part.status, requests.Load())
		}
	}
	// Storage that fails is said, and nothing is taken for damaged.
	s.fail(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	a := w.get(http.MethodGet, film("live/a", 0, 7*time.Second, ""))
	if a.status != 502 || strings.Contains(string(a.body), "127.0.0.1") {
		t.Error(a.status, string(a.body))
	}
	s.fail(nil)
	if a := w.get(http.MethodGet, film("live/a", 0, 7*time.Second, "")); a.status != 200 {
		t.Error(a.status, string(a.body))
	}
	// No more of them than may be at once.
	for range fetching {
		r.clips.fetched <- struct{}{}
	}
	if a := w.get(http.MethodGet, film("live/a", 0, 7*time.Second, "")); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Error(a.status, string(a.body))
	}
	if a := w.get(http.MethodGet, film("live/a", 17*time.Second, 20*time.Second, "")); a.status != 200 {
		t.Error("what is here is refused, too:", a.status)
	}
	<-r.clips.fetched
	if a := w.get(http.MethodGet, film("live/a", 0, 7*time.Second, "")); a.status != 200 {
		t.Error(a.status, string(a.body))
	}
	if n := len(r.clips.fetched); n != fetching-1 {
		t.Errorf("%d are held", n)
	}
}

// TestMovedWhileItIsPlayed: a file that goes into the storage is played from there, also by those who read its row before.
func TestMovedWhileItIsPlayed(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	m := encoded(t, "160x90")
	length := m.write(t, filepath.Join(r.dir, "0.mp4"), "live/a", epoch, 0, 8*time.Second, true)
	f := r.file("live/a", "0.mp4", 0, length)
	f.Upload, f.Bytes = "main", int64(len(read(t, filepath.Join(r.dir, "0.mp4"))))
	r.add(f)
	before := r.uploadedRow(f.ID)
	w := &web{rig: r}
	w.serveDefault()
	path := film("live/a", 1500*time.Millisecond, 7*time.Second, "")
	want := w.get(http.MethodGet, path)
	begun, err := r.Film(t.Context(), "", "live/a", "", epoch.Add(1500*time.Millisecond), epoch.Add(7*time.Second), Skip)
	must(t, err)
	defer begun.Close()
	must(t, r.shelve(new(before)))
	if b, err := io.ReadAll(begun); err != nil || string(b) != string(want.body) {
		t.Errorf("what was begun: %d bytes, %v", len(b), err)
	}
	if a := w.get(http.MethodGet, path); a.status != 200 || string(a.body) != string(want.body) {
		t.Error("the same again:", a.status, len(a.body))
	}
	if x, err := r.fragments(t.Context(), new(before)); err != nil || len(x.Fragments) == 0 {
		t.Error(err)
	}
	if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Remote {
		t.Error(row.State, err)
	}
	if _, _, err := r.Open(t.Context(), f.ID); !errors.Is(err, ErrElsewhere) {
		t.Error(err)
	}
}

// TestDeletedWhileItIsSent: nothing of a recording that is deleted while it is uploaded stays in the storage.
func TestDeletedWhileItIsSent(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	reached := make(chan struct{}, 100)
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") != "2" {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		reached <- struct{}{}
		<-r.Context().Done()
		return true
	})
	r := upload(t, s)
	f, b := r.big("a.mp4", 11<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	<-reached
	must(t, r.Delete(t.Context(), f.ID))
	s.fail(nil)
	r.uploads.wake()
	if len(r.uploads.pending(t.Context())) != 0 {
		t.Error("it is still to be uploaded")
	}
	if names, open := s.objects(); len(names) != 0 || open != 0 {
		t.Error(names, open)
	}
	if n := r.Uploads().Failures; n != 0 {
		t.Errorf("%d failures", n)
	}
	if _, err := os.Stat(filepath.Join(r.dir, f.Name)); !os.IsNotExist(err) {
		t.Error(err)
	}
	// What knows of it no more than its row keeps nothing.
	if err := r.saveUpload(f.ID, &s3.Upload{}); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// TestOtherBytesThanWereSent: parts that were sent of what the file has no longer are sent again: the object is the file.
func TestOtherBytesThanWereSent(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	f, b := r.big("a.mp4", 16<<20)
	part := filepath.Join(r.dir, f.Name) + partial
	must(t, os.WriteFile(part, b, 0o600))
	must(t, r.Begun(f))
	parts := func() int {
		state, err := r.upload(t.Context(), f.ID)
		must(t, err)
		return len(state.Parts)
	}
	r.soon(f.ID, func() bool { return parts() == 2 })
	r.restart(func() { // the power fails, and what is lost is written anew
		copy(b[12<<20:], "something else")
		b = b[:15<<20-7]
		must(t, os.WriteFile(part, b, 0o600))
		must(t, os.Rename(part, strings.TrimSuffix(part, partial)))
	})
	f.Bytes = int64(len(b))
	must(t, r.Done(f))
	if row := r.uploadedRow(f.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
}

// TestUnmountedWhileItRuns: a recording whose disk is away while it is to be uploaded is not forgotten.
func TestUnmountedWhileItRuns(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.fail(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	r := upload(t, s)
	f, b := r.big("a.mp4", 1<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	failures := func() uint64 { return r.Uploads().Failures }
	r.until(func() bool { return failures() > 0 })
	for _, empty := range []bool{false, true} {
		must(t, os.Rename(r.dir, r.dir+"-away"))
		if empty {
			must(t, os.Mkdir(r.dir, 0o755))
		}
		s.fail(nil)
		n := failures()
		r.until(func() bool {
			r.uploads.hurry(f.ID)
			return failures() > n
		})
		if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Done || row.Object != "" {
			t.Error(row.State, err)
		}
		if empty {
			must(t, os.Remove(r.dir))
		}
		must(t, os.Rename(r.dir+"-away", r.dir))
	}
	r.uploads.hurry(f.ID)
	if row := r.uploadedRow(f.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
}

// hurry has the next try of a file be now.
func (u *uploads) hurry(id string) {
	u.mu.Lock()
	u.job(id).next = time.Time{}
	u.mu.Unlock()
	u.wake()
}

// TestStoragesDoNotWaitForEachOther: files that cannot be sent to one storage, however many, hold up no other.
func TestStoragesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	hung := make(chan struct{})
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/hangs") {
			return false
		}
		select {
		case <-hung:
		case <-r.Context().Done():
		}
		return true
	})
	r := newRig(t, func(o *Options) {
		other := s.conf
		other.Name, other.Bucket = "hangs", "hangs"
		o.Storage = func() []s3.Config { return []s3.Config{other, s.conf} }
	})
	defer close(hung)
	var rows []*Row
	for i := range maxPending + 10 {
		f, _ := r.big(fmt.Sprintf("%d.mp4", i), 10)
		f.ID, f.Upload, f.Start = event.NewID(epoch), "hangs", f.Start.Add(-time.Hour)
		must(t, os.WriteFile(filepath.Join(r.dir, f.Name), make([]byte, 10), 0o600))
		rows = append(rows, &Row{File: f, State: Done})
	}
	must(t, r.use(false, func(x *index) error { return x.putAll(rows, false) }))
	f, b := r.big("a.mp4", 1<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	if row := r.uploadedRow(f.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
}

// TestRemovedByHand: a recording that is in the storage, and that somebody has removed here, is played from there.
func TestRemovedByHand(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	r := upload(t, s)
	m := encoded(t, "160x90")
	length := m.write(t, filepath.Join(r.dir, "0.mp4"), "live/a", epoch, 0, 8*time.Second, true)
	f := r.file("live/a", "0.mp4", 0, length)
	f.Upload, f.Bytes, f.Keep = "main", int64(len(read(t, filepath.Join(r.dir, "0.mp4")))), record.Keep{For: time.Nanosecond}
	must(t, os.WriteFile(filepath.Join(r.dir, "other"), nil, 0o600))
	must(t, os.Rename(filepath.Join(r.dir, "0.mp4"), filepath.Join(r.dir, "0"))) // retention is not to see it
	row := &Row{File: f, State: Done}
	must(t, os.Link(filepath.Join(r.dir, "0"), filepath.Join(r.dir, "0.mp4")))
	r.cleaning.Lock()
	must(t, r.put(row))
	r.uploads.wake()
	r.uploadedRow(f.ID)
	must(t, os.Remove(filepath.Join(r.dir, "0.mp4")))
	r.media.forget(f.ID)
	r.cleaning.Unlock()
	r.clean(t.Context())
	if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Remote {
		t.Fatal(row.State, err)
	}
	w := &web{rig: r}
	w.serveDefault()
	a := w.get(http.MethodGet, film("live/a", time.Second, 7*time.Second, ""))
	if _, _, length, _ := w.probe(a.body); a.status != 200 || math.Abs(length-6) > 0.1 {
		t.Error(a.status, length)
	}
	must(t, r.use(true, func(x *index) error {
		text, err := x.blob(t.Context(), "shelf", f.ID)
		if text == "" {
			t.Error("what is needed to play it is asked for each time")
		}
		return err
	}))
}
