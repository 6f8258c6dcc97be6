package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// task is a file of this text, which is whole or grows.
func task(text string, whole bool) *Task {
	return &Task{
		ID: "ID1", Key: "a.mp4", Type: "video/mp4", Meta: map[string]string{"Weir-Stream": "live/a"}, File: strings.NewReader(text), Size: int64(len(text)), Whole: whole,
		Save: func(*Upload) error { return nil },
	}
}

// digits is a text of n bytes.
func digits(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteByte(byte('0' + i%10))
	}
	return b.String()
}

// send sends what there is, and fails the test if that fails.
func send(t *testing.T, b *Bucket, u *Upload, k *Task) {
	t.Helper()
	if err := b.Send(t.Context(), u, k); err != nil {
		t.Fatal(err)
	}
}

// TestParts: a file that grows is sent by the parts that are full, but for the first, which is sent last; nothing is sent twice.
func TestParts(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	var u Upload
	for _, c := range []struct {
		size  int
		whole bool
		want  []string
	}{
		{9, false, nil},
		{19, false, nil},
		{20, false, []string{"HEAD object rec/a.mp4", "POST begin rec/a.mp4", "PUT part 2 rec/a.mp4"}},
		{29, false, nil},
		{45, false, []string{"PUT part 3 rec/a.mp4", "PUT part 4 rec/a.mp4"}},
		{47, true, []string{"PUT part 5 rec/a.mp4", "PUT part 1 rec/a.mp4", "POST complete rec/a.mp4", "HEAD object rec/a.mp4"}},
		{47, true, nil},
	} {
		send(t, b, &u, task(digits(c.size), c.whole))
		if got := s.did(); !slices.Equal(got, c.want) || u.Done != (c.size == 47) {
			t.Errorf("with %d bytes: %q, want %q; done %v", c.size, got, c.want, u.Done)
		}
	}
	if got := s.text("rec/a.mp4"); got != digits(47) || u.Key != "rec/a.mp4" {
		t.Errorf("%s is %q", u.Key, got)
	}
}

// TestSizes: files of any size are the objects that they become, an empty one too.
func TestSizes(t *testing.T) {
	for size, parts := range map[int]int{0: 1, 1: 1, 10: 1, 11: 2, 20: 2, 21: 3} {
		s := newStorage(t)
		var u Upload
		send(t, s.bucket(nil), &u, task(digits(size), true))
		if got := s.text("rec/a.mp4"); got != digits(size) || !u.Done || len(u.Parts) != parts {
			t.Errorf("%d bytes: %q, %d parts", size, got, len(u.Parts))
		}
	}
}

// TestWhatIsAskedFor: what of the configuration and of the task goes into requests.
func TestWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct{ checksum, encryption string }{{"crc32c", "none"}, {"md5", "aes256"}} {
		s := newStorage(t)
		b := s.bucket(func(conf *Config) {
			conf.Checksum, conf.Encryption, conf.SessionToken = c.checksum, c.encryption, "a token"
		})
		var u Upload
		send(t, b, &u, task(digits(15), true))
		for i, what := range s.asked {
			h := s.heads[i]
			if h.Get("X-Amz-Security-Token") != "a token" {
				t.Errorf("%s has no token", what)
			}
			switch {
			case strings.HasPrefix(what, "POST begin"):
				if h.Get("Content-Type") != "video/mp4" || h.Get("X-Amz-Meta-Weir-Id") != "ID1" || h.Get("X-Amz-Meta-Weir-Stream") != "live/a" ||
					(h.Get("X-Amz-Server-Side-Encryption") == "AES256") != (c.encryption == "aes256") || (h.Get("X-Amz-Checksum-Algorithm") == "CRC32C") != (c.checksum == "crc32c") {
					t.Errorf("%s: %v", what, h)
				}
			case strings.HasPrefix(what, "PUT part"):
				if (h.Get("Content-Md5") != "") != (c.checksum == "md5") || (h.Get("X-Amz-Checksum-Crc32c") != "") != (c.checksum == "crc32c") {
					t.Errorf("%s: %v", what, h)
				}
			case strings.HasPrefix(what, "POST complete"):
				if h.Get("If-None-Match") != "*" {
					t.Errorf("%s: %v", what, h)
				}
			}
		}
	}
}

// TestAnotherObject: an object of somebody else's stays, and ours gets another name; one that is our file is taken for sent.
func TestAnotherObject(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.put("rec/a.mp4", "theirs", "")
	var u Upload
	send(t, b, &u, task("ours", true))
	if s.text("rec/a.mp4") != "theirs" || s.text("rec/a.mp4-ID1") != "ours" || u.Key != "rec/a.mp4-ID1" {
		t.Error(s.keys())
	}
	s.put("rec/a.mp4", "ours", "ID1")
	s.did()
	u = Upload{}
	if send(t, b, &u, task("ours", true)); !u.Done || u.Key != "rec/a.mp4" || !slices.Equal(s.did(), []string{"HEAD object rec/a.mp4"}) {
		t.Errorf("%+v", u)
	}
	for _, size := range []string{"our", "ours!"} { // it says it is ours and is not
		s.put("rec/a.mp4", size, "ID1")
		u = Upload{}
		if err := b.Send(t.Context(), &u, task("ours", true)); !errors.Is(err, ErrShort) || u.Done {
			t.Errorf("%q: %v, %+v", size, err, u)
		}
	}
}

// TestObjectThatIsNotWhatWasSent: an upload is done only if the storage has all of it, with the right checksum.
func TestObjectThatIsNotWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(o *object)
		good  bool
	}{
		"nothing":       {func(*object) {}, true},
		"no checksum":   {func(o *object) { o.crc = "" }, true},
		"without parts": {func(o *object) { o.crc = o.crc[:strings.IndexByte(o.crc, '-')] }, true},
		"shorter":       {func(o *object) { o.b = o.b[1:] }, false},
		"longer":        {func(o *object) { o.b = append(o.b, 0) }, false},
		"another":       {func(o *object) { o.crc = "AAAAAA==-2" }, false},
		"not ours":      {func(o *object) { o.meta = http.Header{} }, false},
	} {
		s := newStorage(t)
		b := s.bucket(nil)
		done := false
		s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
			if o := s.objects["rec/a.mp4"]; o != nil && r.Method == http.MethodHead && !done {
				done = true
				c.spoil(o)
			}
			return false
		}
		var u Upload
		if err := b.Send(t.Context(), &u, task(digits(15), true)); (err == nil) != c.good || u.Done != c.good || err != nil && !errors.Is(err, ErrShort) {
			t.Errorf("%s: %v, %+v", name, err, u)
		}
	}
}

// TestResume: after a restart the parts that the storage has as they were sent are not sent again, and others are.
func TestResume(t *testing.T) {
	s := newStorage(t)
	s.most = 2 // parts of a list
	b := s.bucket(nil)
	var u Upload
	send(t, b, &u, task(digits(65), false)) // 2 to 6
	s.mu.Lock()
	for _, up := range s.uploads {
		delete(up.parts, 3)
		up.parts[5] = []byte("0123456780")
	}
	s.mu.Unlock()
	s.did()
	if err := b.Resume(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
	if got := s.did(); len(got) != 2 || len(u.Parts) != 3 {
		t.Errorf("%q, %d parts are known", got, len(u.Parts))
	}
	send(t, b, &u, task(digits(65), true))
	want := []string{"PUT part 3 rec/a.mp4", "PUT part 5 rec/a.mp4", "PUT part 7 rec/a.mp4", "PUT part 1 rec/a.mp4", "POST complete rec/a.mp4", "HEAD object rec/a.mp4"}
	if got := s.did(); !slices.Equal(got, want) || s.text("rec/a.mp4") != digits(65) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFileThatIsNotWhatWasSent: parts of a file that a crash has changed or cut off are forgotten.
func TestFileThatIsNotWhatWasSent(t *testing.T) {
	s := newStorage(t)
	var u Upload
	send(t, s.bucket(nil), &u, task(digits(45), false)) // 2 to 4
	for _, c := range []struct {
		text string
		left int
	}{{digits(45), 3}, {digits(40), 3}, {digits(39), 2}, {digits(15), 0}, {digits(10) + "012345678x" + digits(20), 2}} {
		v := u
		v.Parts = map[int]Part{}
		for n, p := range u.Parts {
			v.Parts[n] = p
		}
		changed, err := v.Check(t.Context(), strings.NewReader(c.text), int64(len(c.text)))
		if err != nil || len(v.Parts) != c.left || changed != (c.left < 3) {
			t.Errorf("%q: %d parts are left, changed %v, %v", c.text, len(v.Parts), changed, err)
		}
	}
}

// TestUploadThatIsGone: an upload that the storage has forgotten begins anew, and one that it has completed, of which the answer was lost, is done.
func TestUploadThatIsGone(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	var u Upload
	saved := []Upload{}
	grows := task(digits(25), false)
	send(t, b, &u, grows)
	s.mu.Lock()
	clear(s.uploads)
	s.mu.Unlock()
	s.did()
	whole := task(digits(25), true)
	whole.Save = func(u *Upload) error { saved = append(saved, *u); return nil }
	if send(t, b, &u, whole); !u.Done || s.text("rec/a.mp4") != digits(25) {
		t.Errorf("%+v: %q", u, s.did())
	}
	if saved[0].ID != "" || saved[0].Asked || saved[0].Parts != nil {
		t.Errorf("it was not kept that it began anew: %+v", saved[0])
	}
	if got := s.did(); slices.Contains(got, "GET uploads ") {
		t.Errorf("uploads are looked for that there are not: %q", got)
	}

	s = newStorage(t)
	b = s.bucket(nil)
	u = Upload{}
	lost := true
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if q := r.URL.Query(); r.Method != http.MethodPost || q.Get("uploadId") == "" || !lost {
			return false
		}
		lost = false
		s.complete(discarded{}, r, r.URL.Query().Get("uploadId"), s.uploads[r.URL.Query().Get("uploadId")])
		fails(w, http.StatusInternalServerError, "InternalError")
		return true
	}
	if err := b.Send(t.Context(), &u, task(digits(25), true)); err == nil || u.Done {
		t.Fatal("the answer was not lost")
	}
	s.did()
	if send(t, b, &u, task(digits(25), true)); !u.Done || len(s.did()) > 4 {
		t.Errorf("%+v", u)
	}
	if list, open := s.keys(); len(list) != 1 || open != 0 {
		t.Error(list, open)
	}
}

// discarded is an answer that nobody gets.
type discarded struct{}

func (discarded) Header() http.Header         { return http.Header{} }
func (discarded) Write(b []byte) (int, error) { return len(b), nil }
func (discarded) WriteHeader(int)             {}

// TestUploadThatWasAskedFor: of an upload that was asked for, and whose answer was lost, nothing stays in the storage; others of it do.
func TestUploadThatWasAskedFor(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	var u, kept Upload
	k := task(digits(25), true)
	k.Save = func(u *Upload) error { kept = *u; return nil }
	lost := true
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !lost || !r.URL.Query().Has("uploads") {
			return false
		}
		s.uploads["lost"], s.uploads["longer"] = &multipart{key: "rec/a.mp4"}, &multipart{key: "rec/a.mp4.flv"}
		fails(w, http.StatusInternalServerError, "InternalError")
		return true
	}
	if err := b.Send(t.Context(), &u, k); err == nil || !kept.Asked || kept.ID != "" || kept.Key != "rec/a.mp4" {
		t.Fatalf("%v, %+v", err, kept)
	}
	s.mu.Lock()
	lost = false
	s.mu.Unlock()
	if send(t, b, &kept, k); !kept.Done {
		t.Errorf("%+v", kept)
	}
	if _, open := s.keys(); open != 1 || s.uploads["longer"] == nil {
		t.Errorf("%d uploads are open", open)
	}
	// Storage that does not allow it is not asked again.
	kept = Upload{Key: "rec/b.mp4", Asked: true}
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !r.URL.Query().Has("uploads") {
			return false
		}
		fails(w, http.StatusForbidden, "AccessDenied")
		return true
	}
	if err := b.Abort(t.Context(), &kept); err != nil || kept.Asked {
		t.Errorf("%v, %+v", err, kept)
	}
}

// TestAbort: what is given up is gone, and it is no error if it was gone before; what is done stays.
func TestAbort(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	for _, gone := range []bool{false, true} {
		var u Upload
		send(t, b, &u, task(digits(25), false))
		if gone {
			s.mu.Lock()
			clear(s.uploads)
			s.mu.Unlock()
		}
		if err := b.Abort(t.Context(), &u); err != nil || u.ID != "" || u.Parts != nil || u.Asked {
			t.Errorf("%v, %+v", err, u)
		}
		if _, open := s.keys(); open != 0 {
			t.Errorf("%d uploads are open", open)
		}
	}
	var u Upload
	send(t, b, &u, task(digits(25), true))
	if err := b.Abort(t.Context(), &u); err != nil || s.text("rec/a.mp4") == "" || !u.Done {
		t.Errorf("%v, %+v", err, u)
	}
}

// TestObjectMadeMeanwhile: what somebody else makes while ours is being sent stays; the next try takes another name.
func TestObjectMadeMeanwhile(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && s.objects["rec/a.mp4"] == nil {
			s.objects["rec/a.mp4"] = &object{b: []byte("theirs"), meta: http.Header{}}
		}
		return false
	}
	var u Upload
	if err := b.Send(t.Context(), &u, task(digits(15), true)); !errors.Is(err, ErrTaken) || u.Done || u.ID != "" {
		t.Fatalf("%v, %+v", err, u)
	}
	if _, open := s.keys(); open != 0 {
		t.Errorf("%d uploads are open", open)
	}
	send(t, b, &u, task(digits(15), true))
	if s.text("rec/a.mp4") != "theirs" || s.text("rec/a.mp4-ID1") != digits(15) {
		t.Error(s.keys())
	}
}

// TestLargeFiles: a file that became larger than anybody thought has larger parts, and no more than 10000.
func TestLargeFiles(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.fault = func(w http.ResponseWriter, r *http.Request) bool { // so many parts take too long
		if r.Method != http.MethodPut {
			return false
		}
		fails(w, http.StatusForbidden, "AccessDenied")
		return true
	}
	for size, want := range map[int64]int64{10 * 10000: 10, 10*10000 + 1: 1 << 20, 20000 << 20: 3 << 20} {
		var u Upload
		k := task("", true)
		k.File, k.Size = zeros{}, size
		err := b.Send(t.Context(), &u, k)
		if u.PartSize != want || (size+u.PartSize-1)/u.PartSize > 10000 || err == nil || !strings.Contains(err.Error(), "the access key may not do this") {
			t.Errorf("%d bytes: parts of %d, %v", size, u.PartSize, err)
		}
	}
	var u Upload // of a file that grows parts stay as they are
	k := task("", false)
	k.File, k.Size = zeros{}, 10*10000+15
	if err := b.Send(t.Context(), &u, k); err == nil || u.PartSize != 10 {
		t.Errorf("%v, %+v", err, u)
	}
}

// zeros is a file of any size.
type zeros struct{}

func (zeros) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }

// TestReadingAnObject: an object is read by one request as long as it is read in order, and by another one for each jump; what has taken its place since is not read.
func TestReadingAnObject(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.put("rec/a.mp4", digits(100), "")
	o := b.Object(t.Context(), "rec/a.mp4", 100)
	defer o.Close()
	read := func(at int64, n int, want string, end bool) {
		t.Helper()
		p := bytes.Repeat([]byte("."), n)
		k, err := o.ReadAt(p, at)
		if string(p[:k]) != want || errors.Is(err, io.EOF) != end || err != nil && !end {
			t.Errorf("%d bytes at %d: %q, %v", n, at, p[:k], err)
		}
	}
	read(0, 10, "0123456789", false)
	read(10, 5, "01234", false)
	read(15, 5, "56789", false)
	if got := s.did(); len(got) != 1 {
		t.Errorf("%q", got)
	}
	read(95, 10, "56789", true)
	read(100, 10, "", true)
	read(-1, 10, "", true)
	read(97, 3, "789", false)
	if got := s.did(); len(got) != 2 {
		t.Errorf("%q", got)
	}
	s.put("rec/a.mp4", strings.Repeat("x", 100), "")
	if n, err := o.ReadAt(make([]byte, 5), 0); err == nil || n != 0 {
		t.Errorf("%d bytes of another object are read", n)
	}
	s.put("rec/a.mp4", digits(50), "") // it is shorter than it was said to be
	o = b.Object(t.Context(), "rec/a.mp4", 100)
	if n, err := o.ReadAt(make([]byte, 60), 0); err == nil || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// hanging is a body of which nothing comes until it is given up.
type hanging struct{ over chan struct{} }

func (h hanging) Read([]byte) (int, error) { <-h.over; return 0, errors.New("given up") }
func (hanging) Close() error               { return nil }

// TestStorageThatStalls: what does not come in half a minute, and a second for each 64 KiB, does not come.
func TestStorageThatStalls(t *testing.T) {
	for n, want := range map[int]time.Duration{10: 30 * time.Second, 128 << 10: 32 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := hanging{make(chan struct{})}
			o := &Object{b: &Bucket{conf: Config{Name: "main"}}, ctx: t.Context(), size: 1 << 20, body: h, stop: sync.OnceFunc(func() { close(h.over) })}
			begin := time.Now()
			if _, err := o.ReadAt(make([]byte, n), 0); !errors.Is(err, ErrStalled) || time.Since(begin) != want {
				t.Errorf("%d bytes: %v after %v", n, err, time.Since(begin))
			}
		})
	}
}

// TestAddresses: an address is good for a time and names the file for whoever gets it; an object that is removed is gone, and it is no error if it was before.
func TestAddresses(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.put("rec/a b.mp4", "x", "")
	for disposition, want := range map[string]string{"": "", "attachment; filename=a": "attachment; filename=a"} {
		text, err := b.URL(t.Context(), "rec/a b.mp4", time.Hour, disposition)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(text)
		if err != nil || u.Path != "/weir/rec/a b.mp4" || u.Query().Get("X-Amz-Expires") != "3600" || u.Query().Get("response-content-disposition") != want || u.Query().Has("response-content-disposition") != (want != "") {
			t.Errorf("%s, %v", text, err)
		}
	}
	for range 2 {
		if err := b.Remove(t.Context(), "rec/a b.mp4"); err != nil || s.text("rec/a b.mp4") != "" {
			t.Error(err)
		}
	}
}

// TestErrors: what the storage says is said in words, with the storage's name and without what is signed.
func TestErrors(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	for code, c := range map[string]struct {
		status int
		says   string
	}{
		"RequestTimeTooSkewed": {403, "set this machine's clock"}, "PermanentRedirect": {301, "the bucket is in another region"}, "NoSuchBucket": {404, "there is no such bucket"},
		"InvalidAccessKeyId": {403, "does not know the access key"}, "SignatureDoesNotMatch": {403, "the secret of the access key is wrong"}, "Odd": {400, "Odd"},
	} {
		s.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead {
				return false
			}
			fails(w, c.status, code)
			return true
		}
		var u Upload
		err := b.Send(t.Context(), &u, task("x", true))
		if err == nil || !strings.HasPrefix(err.Error(), "s3 main: ") || !strings.Contains(err.Error(), c.says) && code != "Odd" {
			t.Errorf("%s: %v", code, err)
		}
	}
	s.fault = nil
	s.web.Close()
	var u Upload
	err := b.Send(t.Context(), &u, task("x", true))
	if err == nil || !strings.HasPrefix(err.Error(), "s3 main: the storage cannot be reached: ") || strings.Contains(err.Error(), "rec/a.mp4") {
		t.Error(err)
	}
}

// TestLimit: what is sent of all files together takes as long as the limit says, in bits; a pause is no credit.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(8000) // a thousand bytes a second
		begin := time.Now()
		for i, want := range []time.Duration{0, time.Second, 1500 * time.Millisecond} {
			n := []int{1000, 500, 1000}[i]
			if at := l.reserve(n, begin); at.Sub(begin) != want {
				t.Errorf("%d: %v, want %v", i, at.Sub(begin), want)
			}
		}
		later := begin.Add(time.Hour)
		if at := l.reserve(1000, later); !at.Equal(later) {
			t.Errorf("after a pause: %v", at.Sub(later))
		}
		if at := l.reserve(1, later); at.Sub(later) != time.Second {
			t.Errorf("after a pause the next: %v", at.Sub(later))
		}
		r := &limited{t.Context(), newLimiter(8 * 16 << 10), bytes.NewReader(make([]byte, 64<<10))}
		begin = time.Now()
		if n, err := io.ReadFull(r, make([]byte, 64<<10)); n != 64<<10 || err != nil || time.Since(begin) != 3*time.Second {
			t.Errorf("%d bytes in %v, %v", n, time.Since(begin), err)
		}
		free := &limited{t.Context(), newLimiter(0), bytes.NewReader(make([]byte, 64<<10))}
		if begin = time.Now(); len(must(io.ReadAll(free))) != 64<<10 || time.Since(begin) != 0 {
			t.Errorf("without a limit it takes %v", time.Since(begin))
		}
	})
	for bitrate, want := range map[int64]time.Duration{0: 31 * time.Second, 8 * 64 << 10: 47 * time.Second} { // half a minute, a second, and sixteen times what it takes
		b := &Bucket{conf: Config{Bitrate: bitrate}}
		if got := b.partTime(64 << 10); got != want {
			t.Errorf("at %d bit/s a part of 64 KiB may take %v, not %v", bitrate, got, want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprint(err))
	}
	return v
}

// TestConfig: names, addresses and buckets that can be, and those that cannot.
func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"good": {func(*Config) {}, ""}, "http": {func(c *Config) { c.Endpoint = "http://h:9000/" }, ""}, "40 letters": {func(c *Config) { c.Name = strings.Repeat("a", 40) }, ""}, "41": {func(c *Config) { c.Name = strings.Repeat("a", 41) }, "is no name"},
		"no name": {func(c *Config) { c.Name = "" }, "is no name"}, "a path": {func(c *Config) { c.Endpoint = "https://h/x" }, "is no address"}, "a user": {func(c *Config) { c.Endpoint = "https://u:p@h" }, "is no address"}, "ftp": {func(c *Config) { c.Endpoint = "ftp://h" }, "is no address"},
		"a bucket of 3": {func(c *Config) { c.Bucket = "abc" }, ""}, "of 2": {func(c *Config) { c.Bucket = "ab" }, "is no bucket"}, "of 63": {func(c *Config) { c.Bucket = strings.Repeat("a", 63) }, ""}, "of 64": {func(c *Config) { c.Bucket = strings.Repeat("a", 64) }, "is no bucket"},
		"a prefix of 256": {func(c *Config) { c.Prefix = strings.Repeat("a", 256) }, ""}, "of 257": {func(c *Config) { c.Prefix = strings.Repeat("a", 257) }, "a prefix has"}, "with a /": {func(c *Config) { c.Prefix = "/a" }, "a prefix has"},
		"no key": {func(c *Config) { c.AccessKey = "" }, "are needed"}, "no secret": {func(c *Config) { c.SecretKey = "" }, "are needed"},
	} {
		var conf Config
		conf.SetDefaults()
		conf.Name, conf.Endpoint, conf.Bucket, conf.AccessKey, conf.SecretKey = "main", "https://h", "weir", "key", "hunter2"
		c.change(&conf)
		if err := conf.Validate(); (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	list := make([]Config, 17)
	for i := range list {
		list[i].Name = fmt.Sprint("n", i)
	}
	if err := CheckEntries(list[:16]); err != nil {
		t.Error(err)
	}
	if err := CheckEntries(list); err == nil || !strings.Contains(err.Error(), "more than 16") {
		t.Error(err)
	}
	list[3].Name = "n1"
	if err := CheckEntries(list[:5]); err == nil || !strings.Contains(err.Error(), `s3.1 is called "n1", too`) {
		t.Error(err)
	}
}
