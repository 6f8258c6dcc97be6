package archive

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"weir/internal/archive/s3"
	"weir/internal/record"
	"weir/internal/session"
)

const (
	// uploadEvery is how often is looked what there is to send, besides whenever a file has become whole.
	uploadEvery = 2 * time.Second
	// uploadsAtOnce bounds the files that are sent to a storage at once.
	uploadsAtOnce = 4
	// maxPending bounds the files of a rule that are looked at: the oldest first.
	maxPending = 256
	// A failed upload is tried again after leastRetry at first and mostRetry at last.
	leastRetry = time.Second
	mostRetry  = 10 * time.Minute
	// expireEvery is how often is looked what is to go from the storage.
	expireEvery = 10 * time.Second
	// toldFailures is after how many failures in a row an event says so.
	toldFailures = 3
)

// uploads sends files to where their recordings' entries say.
type uploads struct {
	a     *Archive
	woken chan struct{}

	// Those of run.
	stuck stuck  // what is too old and could not be removed from the storage
	why   string // of the last time

	mu      sync.Mutex // guards below
	buckets map[string]*s3.Bucket
	jobs    map[string]*job // of files that were looked at and are not done
	busy    map[string]int  // how many files are being sent to a storage
	figure  UploadFigures
}

// UploadFigures are what uploads have done so far.
type UploadFigures struct {
	Waiting        int // files that are to be sent, as far as they were looked at
	Done, Failures uint64
	Bytes          uint64 // of files that were done
}

// job is an upload of this run of the server.
type job struct {
	stop     context.CancelFunc // of what is being done; nil if nothing is
	done     chan struct{}      // closed when that has ended
	halted   int                // by so many nothing may be done
	failures int
	next     time.Time

	// Those of whoever does it.
	resumed bool
	checked bool  // what was sent is in the file
	size    int64 // of the file when it was looked at last, while it is being written
}

func newUploads(a *Archive) *uploads {
	return &uploads{a: a, woken: make(chan struct{}, 1), buckets: map[string]*s3.Bucket{}, jobs: map[string]*job{}, busy: map[string]int{}}
}

// Uploads returns what uploads have done so far.
func (a *Archive) Uploads() UploadFigures {
	a.uploads.mu.Lock()
	defer a.uploads.mu.Unlock()
	return a.uploads.figure
}

func (u *uploads) wake() {
	select {
	case u.woken <- struct{}{}:
	default:
	}
}

// run sends files until ctx ends.
func (u *uploads) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer func() {
		wg.Wait()
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, b := range u.buckets {
			b.Close()
		}
	}()
	t := time.NewTicker(uploadEvery)
	defer t.Stop()
	var expired time.Time
	for {
		if now := time.Now(); now.Sub(expired) >= expireEvery {
			expired = now
			u.expire(ctx)
		}
		for _, r := range u.pending(ctx) {
			if j, ctx := u.take(ctx, &r); j != nil {
				wg.Go(func() { u.send(ctx, &r, j) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-u.woken:
		case <-t.C:
		}
	}
}

// expire removes what its rules do not keep in the storage, and tells once if the storage does not allow it.
func (u *uploads) expire(ctx context.Context) {
	err := u.a.expire(ctx)
	if ctx.Err() != nil || errors.Is(err, ErrIndexing) {
		return
	}
	text := ""
	if err != nil {
		text = session.ErrorText(err, 512)
	}
	if err != nil && text != u.why {
		u.a.log.Error("recordings that are too old cannot be removed from the storage; it is tried again", slog.String("err", text))
	}
	u.why = text
}

// pending returns the files with which something is to be done.
func (u *uploads) pending(ctx context.Context) (list []Row) {
	err := u.a.use(true, func(x *index) (err error) {
		list, err = x.pending(ctx, maxPending)
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrIndexing) {
		u.a.log.Error("the index of recordings does not tell what is to be uploaded", slog.Any("err", err))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.figure.Waiting = 0
	there := map[string]bool{}
	for i := range list {
		there[list[i].ID] = true
		if list[i].Object == "" {
			u.figure.Waiting++
		}
	}
	for id, j := range u.jobs {
		if !there[id] && j.stop == nil && j.halted == 0 {
			delete(u.jobs, id)
		}
	}
	return list
}

// job returns the job of a file. mu is held.
func (u *uploads) job(id string) *job {
	j := u.jobs[id]
	if j == nil {
		j = &job{}
		u.jobs[id] = j
	}
	return j
}

// take returns the job of a file if something is to be done now, with the context in which it is done.
func (u *uploads) take(ctx context.Context, r *Row) (*job, context.Context) {
	u.mu.Lock()
	defer u.mu.Unlock()
	j := u.job(r.ID)
	waits := time.Now().Before(j.next) && (j.failures > 0 || r.State == Recording)
	if j.stop != nil || j.halted > 0 || u.busy[r.Upload] >= uploadsAtOnce || waits {
		return nil, nil
	}
	u.busy[r.Upload]++
	ctx, j.stop = context.WithCancel(ctx)
	j.done = make(chan struct{})
	return j, ctx
}

// halt ends what is being done with a file, and lets nothing begin until goOn is called.
func (u *uploads) halt(ctx context.Context, id string) (goOn func(), err error) {
	u.mu.Lock()
	j := u.job(id)
	j.halted++
	stop, done := j.stop, j.done
	u.mu.Unlock()
	goOn = func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		j.halted--
	}
	if stop == nil {
		return goOn, nil
	}
	stop()
	select {
	case <-done:
		return goOn, nil
	case <-ctx.Done():
		goOn()
		return nil, ctx.Err()
	}
}

// bucket returns the storage of a name, as it is configured now.
func (u *uploads) bucket(name string) (*s3.Bucket, error) {
	for _, c := range u.a.opt.Storage() {
		if c.Name != name {
			continue
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if b := u.buckets[name]; b != nil && b.Config() == c {
			return b, nil
		}
		b, err := s3.Open(c)
		if err == nil {
			u.buckets[name] = b
		}
		return b, err
	}
	return nil, errNoStorage
}

var errNoStorage = errors.New("the configuration has no entry of s3 of this name any more: add it again, or delete the files")

// send does what is to be done with a file, and notes what became of it.
func (u *uploads) send(ctx context.Context, r *Row, j *job) {
	sent, err := u.try(ctx, r, j)
	u.mu.Lock()
	stopped := ctx.Err() != nil
	j.stop()
	close(j.done)
	j.stop = nil
	if u.busy[r.Upload]--; u.busy[r.Upload] == uploadsAtOnce-1 { // another one may have waited for this
		defer u.wake()
	}
	failures := 0
	if sent {
		u.figure.Done++
		u.figure.Bytes += uint64(r.Bytes)
	}
	switch {
	case stopped:
	case err != nil:
		j.failures++
		failures = j.failures
		wait := min(leastRetry<<min(j.failures-1, 20), mostRetry)
		j.next = time.Now().Add(wait + rand.N(wait/4))
		u.figure.Failures++
	default:
		j.failures = 0
		j.next = time.Now().Add(uploadEvery) // a file does not grow faster than that
	}
	u.mu.Unlock()
	if sent {
		defer u.a.wake()
		u.a.log.Info("recording uploaded", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("to", r.Upload), slog.Int64("bytes", r.Bytes))
	}
	switch {
	case failures == 1 && r.Object != "":
		u.a.log.Warn("a recording that was uploaded cannot be removed here; it is tried again", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("err", session.ErrorText(err, 512)))
	case failures == 1:
		u.a.log.Warn("an upload failed and is tried again until it succeeds", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("err", session.ErrorText(err, 512)))
	case failures == toldFailures && r.Object == "":
		u.a.opt.Event("upload.failed", &r.File, map[string]any{"error": session.ErrorText(err, 512), "failures": failures})
	}
}

// try sends what there is of a file, and removes the one here if it is to go. sent reports whether all of it is in the storage since now.
func (u *uploads) try(ctx context.Context, r *Row, j *job) (sent bool, err error) {
	if r.Object != "" {
		return false, u.a.shelve(r)
	}
	b, err := u.bucket(r.Upload)
	if err != nil {
		return false, err
	}
	f, err := open(r)
	if errors.Is(err, fs.ErrNotExist) {
		return false, u.lost(ctx, r, b)
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if r.State == Recording && info.Size() == j.size {
		return false, nil
	}
	state, err := u.a.upload(ctx, r.ID)
	if err != nil {
		return false, err
	}
	if !j.resumed {
		if err := b.Resume(ctx, state); err != nil {
			return false, err
		}
		j.resumed = true
	}
	if r.State == Done && !j.checked {
		changed, err := state.Check(ctx, f, info.Size())
		if err == nil && changed {
			err = u.a.saveUpload(r.ID, state)
		}
		if err != nil {
			return false, err
		}
		j.checked = true
	}
	t := &s3.Task{
		ID: r.ID, Key: r.Name, Type: r.MediaType(), File: f, Size: info.Size(), Whole: r.State == Done,
		Meta: map[string]string{"Weir-Stream": escaped(r.Stream), "Weir-Start": stamp(r.Start)},
		Save: func(s *s3.Upload) error { return u.a.saveUpload(r.ID, s) },
	}
	if t.Whole {
		t.Meta["Weir-Duration"] = strconv.FormatFloat(r.Duration.Seconds(), 'f', 3, 64)
	}
	if err := b.Send(ctx, state, t); err != nil {
		return false, err
	}
	j.size = info.Size()
	if !state.Done {
		return false, nil
	}
	goes := b.Config().After == "delete"
	err = u.a.use(false, func(x *index) error { return x.uploaded(r.ID, state.Key, goes) })
	if errors.Is(err, errGone) {
		return false, b.Remove(ctx, state.Key)
	}
	if err != nil {
		return false, err
	}
	r.Object = state.Key
	u.a.opt.Event("upload.done", &r.File, map[string]any{"storage": r.Upload, "object": state.Key, "bytes": t.Size})
	if goes {
		return true, u.a.shelve(r)
	}
	return true, nil
}

// errUnmounted says that it is not known whether a file is there.
var errUnmounted = errors.New("the file cannot be found, and neither can its directory, as if its disk were not mounted")

// lost gives up the upload of a file that is gone.
func (u *uploads) lost(ctx context.Context, r *Row, b *s3.Bucket) error {
	if !isGone(r) {
		return errUnmounted
	}
	state, err := u.a.upload(ctx, r.ID)
	if err == nil {
		err = b.Abort(ctx, state)
	}
	if err != nil {
		return err
	}
	if r.State == Recording { // it has just become whole under its name, or never will
		return nil
	}
	u.a.log.Warn("a recording is gone before it was uploaded", slog.String("stream", r.Stream), slog.String("file", r.Name))
	return u.a.use(false, func(x *index) error { return x.missing(r) })
}

// upload returns how far the upload of a file is.
func (a *Archive) upload(ctx context.Context, id string) (*s3.Upload, error) {
	var text string
	err := a.use(false, func(x *index) (err error) {
		text, err = x.blob(ctx, "uploads", id)
		return err
	})
	s := &s3.Upload{}
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), s)
	}
	return s, err
}

func (a *Archive) saveUpload(id string, s *s3.Upload) error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return a.use(false, func(x *index) error { return x.setBlob("uploads", id, string(b)) })
}

var _ record.Catalog = (*Archive)(nil)
