package archive

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"weir/internal/record"
)

// sent uploads a file of so many bytes, and returns it with how long that took.
func (r *rig) sent(s *storage, name string, size int) (Row, time.Duration) {
	r.t.Helper()
	f, b := r.big(name, size)
	must(r.t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	begin := time.Now()
	r.add(f)
	row := r.uploadedRow(f.ID)
	took := time.Since(begin)
	if string(s.get(row.Object)) != string(b) {
		r.t.Error("the object is not the file")
	}
	return row, took
}

// TestUploadBitrate: all uploads together take as long as the limit wants, and no longer.
func TestUploadBitrate(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.conf.Bitrate = 48e6
	r := upload(t, s)
	files := map[string]record.File{}
	begin := time.Now()
	for _, name := range []string{"a.mp4", "b.mp4"} {
		f, b := r.big(name, 6e6)
		must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
		r.add(f)
		files[f.ID] = f
	}
	for id := range files {
		r.uploadedRow(id)
	}
	if took := time.Since(begin); took < 1900*time.Millisecond || took > 15*time.Second {
		t.Errorf("12 MB at 48 Mbit/s took %v", took)
	}
}

// TestUploadChecksums: parts bear the checksum that is configured, and one that is damaged on its way is sent again.
func TestUploadChecksums(t *testing.T) {
	t.Parallel()
	for _, checksum := range []string{"md5", "crc32c"} {
		t.Run(checksum, func(t *testing.T) {
			t.Parallel()
			s := newStorage(t)
			s.conf.Checksum = checksum
			var spoiled, right atomic.Int64
			_, whole := (&rig{t: t}).big("a.mp4", 11<<20)
			s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || r.URL.Query().Get("partNumber") == "" {
					return false
				}
				b, err := io.ReadAll(r.Body)
				if err != nil {
					return false
				}
				n, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
				if err != nil {
					t.Error(err)
				}
				sum := md5.Sum(whole[(n-1)*5<<20 : min(n*5<<20, len(whole))]) // the request is in signed pieces
				if checksum == "md5" && r.Header.Get("Content-Md5") == base64.StdEncoding.EncodeToString(sum[:]) || checksum == "crc32c" && r.Header.Get("X-Amz-Checksum-Crc32c") != "" {
					right.Add(1)
				}
				if spoiled.Add(1) == 1 {
					b[len(b)/2] ^= 1
				}
				r.Body = io.NopCloser(bytes.NewReader(b))
				return false
			})
			r := upload(t, s)
			r.sent(s, "a.mp4", 11<<20)
			if n := right.Load(); n < 4 || n != spoiled.Load() {
				t.Errorf("%d of %d parts bore a checksum", n, spoiled.Load())
			}
			if r.Uploads().Failures == 0 {
				t.Error("the damage was not noticed")
			}
			if names, open := s.objects(); len(names) != 1 || open != 0 {
				t.Error(names, open)
			}
		})
	}
}

// TestUploadAsks: what of the configuration goes into requests as header fields.
func TestUploadAsks(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.conf.Encryption, s.conf.SessionToken = "aes256", "token of a minute"
	var mu sync.Mutex
	tokens, encrypted, all := 0, 0, 0
	s.fail(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		all++
		if r.Header.Get("X-Amz-Security-Token") == "token of a minute" {
			tokens++
		}
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			if r.Header.Get("X-Amz-Server-Side-Encryption") == "AES256" {
				encrypted++
			}
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		w.WriteHeader(http.StatusNotFound) // there is no such object
		return true
	})
	r := upload(t, s)
	f, b := r.big("a.mp4", 1<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	r.until(func() bool { return r.Uploads().Failures > 0 })
	mu.Lock()
	defer mu.Unlock()
	if tokens != all || encrypted == 0 {
		t.Errorf("of %d requests %d bore the token; %d asked for encryption", all, tokens, encrypted)
	}
}

// TestUploadOwnCA: storage whose certificate an authority of one's own vouches for is believed if that is configured, and only then.
func TestUploadOwnCA(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	target, err := url.Parse(s.conf.Endpoint)
	must(t, err)
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}, Transport: &http.Transport{DisableKeepAlives: true}})
	defer front.Close()
	s.conf.Endpoint = front.URL
	r := upload(t, s)
	f, b := r.big("a.mp4", 1<<20)
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	r.until(func() bool { return r.Uploads().Failures > 0 })
	if row, err := r.File(t.Context(), f.ID); err != nil || row.Object != "" {
		t.Error("storage that nobody vouches for was believed", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600))
	r.restart(func() { s.conf.CA = ca })
	if row := r.uploadedRow(f.ID); string(s.get(row.Object)) != string(b) {
		t.Error("the object is not the file")
	}
}

// TestUploadedIsNotSentAgain: files whose index is lost are the objects that are there, and are taken over; and what the rule no longer keeps in the storage goes.
func TestUploadedIsNotSentAgain(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	var begun atomic.Int64
	s.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
			begun.Add(1)
		}
		return false
	})
	r := upload(t, s)
	places := r.conf.Places
	r.conf.Places = func() []Place {
		p := places()
		p[0].Rule = func(string) (string, record.Keep, string) { return "main", record.Keep{}, "main" }
		return p
	}
	x := newRecorder(t, r.dir, r, func(c *record.Config) {
		c.Upload = "main"
		c.Keep = record.Keep{}
		if c.Format == "ts" {
			c.Keep.Uploaded = time.Hour
		}
	})
	x.send(t, "live/a")
	x.close()
	done := func() bool {
		var n int
		must(t, r.use(true, func(x *index) error {
			return x.read.QueryRow("SELECT count(*) FROM files WHERE pending = 0 AND object <> ''").Scan(&n)
		}))
		return n == 3
	}
	r.until(done)
	names, _ := s.objects()
	sent := begun.Load()
	r.restart(func() { must(t, os.Remove(filepath.Join(r.conf.State, "recordings.db"))) })
	r.until(done)
	if again, open := s.objects(); len(names) != 3 || len(again) != 3 || open != 0 || begun.Load() != sent {
		t.Errorf("%v became %v, %d uploads are open, %d were begun after %d", names, again, open, begun.Load(), sent)
	}
	// Its time comes.
	must(t, r.use(true, func(x *index) error {
		_, err := x.write.Exec("UPDATE files SET start = start - ?", int64(2*time.Hour))
		return err
	}))
	must(t, r.expire(t.Context()))
	left, _ := s.objects()
	r.Removed(func(why string, n uint64) {
		if n > 0 != (why == ByUpload) {
			t.Error(why, n)
		}
	})
	if len(left) != 2 {
		t.Error(left)
	}
	if files, err := filepath.Glob(filepath.Join(r.dir, "live/a/*.ts")); err != nil || len(files) != 0 {
		t.Error(files, err)
	}
}

// TestExpiryWithoutStorage: what cannot be removed from the storage stays in the index.
func TestExpiryWithoutStorage(t *testing.T) {
	r := newRig(t, nil)
	f := r.file("live/a", "a.mp4", 0, time.Minute)
	f.Upload, f.Keep.Uploaded, f.Start = "gone", time.Hour, time.Now().Add(-2*time.Hour)
	must(t, r.put(&Row{File: f, State: Remote, Object: "rec/a.mp4"}))
	if err := r.expire(t.Context()); err == nil {
		t.Error("nobody was told")
	}
	if _, err := r.File(t.Context(), f.ID); err != nil {
		t.Error(err)
	}
}

// TestNothingIsOverwritten: an object that somebody makes while ours is being sent stays, and ours gets another name. Storage that does not know
// the condition gets the object without.
func TestNothingIsOverwritten(t *testing.T) {
	t.Parallel()
	for _, knows := range []bool{true, false} {
		s := newStorage(t)
		var once sync.Once
		refused := atomic.Int64{}
		s.fail(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
				return false
			}
			if !knows && r.Header.Get("If-None-Match") != "" {
				refused.Add(1)
				w.WriteHeader(http.StatusNotImplemented)
				_, _ = io.WriteString(w, "<Error><Code>NotImplemented</Code></Error>")
				return true
			}
			if knows {
				once.Do(func() {
					_, err := s.client.PutObject(t.Context(), "weir", "rec/a.mp4", strings.NewReader("theirs"), 6, "", "", minio.PutObjectOptions{})
					if err != nil {
						t.Error(err)
					}
				})
			}
			return false
		})
		r := upload(t, s)
		row, _ := r.sent(s, "a.mp4", 6<<20)
		if knows && (row.Object != "rec/a.mp4-"+row.ID || string(s.get("rec/a.mp4")) != "theirs") {
			t.Error("the other object was overwritten, or ours is called ", row.Object)
		}
		if !knows && (row.Object != "rec/a.mp4" || refused.Load() != 1) {
			t.Error(row.Object, refused.Load())
		}
		if names, open := s.objects(); open != 0 || len(names) != map[bool]int{true: 2, false: 1}[knows] {
			t.Error(names, open)
		}
	}
}

// TestC428_NothingIsDeletedBeforeItIsThere: as long as the storage says that the object is shorter than the file, or not there, the file stays here.
func TestC428_NothingIsDeletedBeforeItIsThere(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	s.conf.After = "delete"
	r := upload(t, s)
	f, b := r.big("a.ts", 6<<20)
	f.Format = "ts"
	var complete atomic.Bool
	var heads atomic.Int64
	s.fail(func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost && q.URL.Query().Has("uploadId") {
			complete.Store(true)
		}
		if q.Method != http.MethodHead || !complete.Load() {
			return false
		}
		if heads.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		h := w.Header()
		h.Set("Content-Length", strconv.Itoa(len(b)-1))
		h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		h.Set("X-Amz-Meta-Weir-Id", f.ID)
		return true
	})
	name := filepath.Join(r.dir, f.Name)
	must(t, os.WriteFile(name, b, 0o600))
	r.add(f)
	r.until(func() bool { return heads.Load() >= 2 && r.Uploads().Failures >= 2 })
	if row, err := r.File(t.Context(), f.ID); err != nil || row.State != Done || row.Object != "" {
		t.Errorf("%+v, %v", row, err)
	}
	if got := read(t, name); len(got) != len(b) {
		t.Error("the file is gone")
	}
	s.fail(nil)
	r.until(func() bool {
		row, err := r.File(t.Context(), f.ID)
		must(t, err)
		_, gone := os.Stat(name)
		return row.State == Remote && errors.Is(gone, os.ErrNotExist)
	})
	if names, open := s.objects(); len(names) != 1 || open != 0 || string(s.get(names[0])) != string(b) {
		t.Error(names, open)
	}
}
