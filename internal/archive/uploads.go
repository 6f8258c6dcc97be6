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
	// uploadsAtOnce bounds the files that are sent at once.
	uploadsAtOnce = 4
	// maxPending bounds the files that are looked at: the oldest first.
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
	stuck bool // recordings that are too old could not be removed from the storage; run's own

	mu      sync.Mutex // guards below
	buckets map[string]*s3.Bucket
	jobs    map[string]*job // of files that were looked at and are not done
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
	running  bool
	resumed  bool
	failures int
	next     time.Time
	size     int64 // of the file when it was looked at last, while it is being written
}

func newUploads(a *Archive) *uploads {
	return &uploads{a: a, woken: make(chan struct{}, 1), buckets: map[string]*s3.Bucket{}, jobs: map[string]*job{}}
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
	free := make(chan struct{}, uploadsAtOnce)
	t := time.NewTicker(uploadEvery)
	defer t.Stop()
	var expired time.Time
	for {
		if now := time.Now(); now.Sub(expired) >= expireEvery {
			expired = now
			u.expire(ctx)
		}
		for _, r := range u.pending(ctx) {
			if !u.due(&r) {
				continue
			}
			select {
			case free <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				defer func() { <-free }()
				u.send(ctx, &r)
			})
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
	if err != nil && !u.stuck {
		u.a.log.Error("recordings that are too old cannot be removed from the storage; it is tried again", slog.String("err", session.ErrorText(err, 512)))
	}
	u.stuck = err != nil
}

// pending returns the files that are to be sent, whole ones first.
func (u *uploads) pending(ctx context.Context) (list []Row) {
	err := u.a.use(true, func(x *index) (err error) {
		list, err = x.query(ctx, "WHERE f.pending = 1 AND f.state < 2 ORDER BY f.state DESC, f.start LIMIT ?", maxPending)
		return err
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrIndexing) {
		u.a.log.Error("the index of recordings does not tell what is to be uploaded", slog.Any("err", err))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.figure.Waiting = len(list)
	there := map[string]bool{}
	for i := range list {
		there[list[i].ID] = true
	}
	for id, j := range u.jobs {
		if !there[id] && !j.running {
			delete(u.jobs, id)
		}
	}
	return list
}

// due reports whether something of a file is to be sent now, and takes it.
func (u *uploads) due(r *Row) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	j := u.jobs[r.ID]
	if j == nil {
		j = &job{}
		u.jobs[r.ID] = j
	}
	if j.running || time.Now().Before(j.next) {
		return false
	}
	j.running = true
	return true
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

// send sends what there is of a file, and notes what became of it.
func (u *uploads) send(ctx context.Context, r *Row) {
	u.mu.Lock()
	j := u.jobs[r.ID]
	u.mu.Unlock()
	done, err := u.try(ctx, r, j)
	u.mu.Lock()
	j.running = false
	failures := 0
	switch {
	case ctx.Err() != nil:
	case err != nil:
		j.failures++
		failures = j.failures
		wait := min(leastRetry<<min(j.failures-1, 20), mostRetry)
		j.next = time.Now().Add(wait + rand.N(wait/4))
		u.figure.Failures++
	default:
		j.failures = 0
		if done {
			u.figure.Done++
			u.figure.Bytes += uint64(r.Bytes)
		}
	}
	u.mu.Unlock()
	switch {
	case failures == 1:
		u.a.log.Warn("an upload failed and is tried again until it succeeds", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("err", session.ErrorText(err, 512)))
	case failures == toldFailures:
		u.a.opt.Event("upload.failed", &r.File, map[string]any{"error": session.ErrorText(err, 512), "failures": failures})
	case done:
		u.a.log.Info("recording uploaded", slog.String("stream", r.Stream), slog.String("file", r.Name), slog.String("to", r.Upload), slog.Int64("bytes", r.Bytes))
		u.a.wake()
	}
}

// try sends what there is of a file.
func (u *uploads) try(ctx context.Context, r *Row, j *job) (done bool, err error) {
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
	t := &s3.Task{
		ID: r.ID, Key: r.Name, Type: mediaTypes[r.Format], File: f, Size: info.Size(), Whole: r.State == Done,
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
	r.Object = state.Key
	if err := u.a.uploaded(r); err != nil {
		return false, err
	}
	u.a.opt.Event("upload.done", &r.File, map[string]any{"storage": r.Upload, "object": state.Key, "bytes": t.Size})
	if b.Config().After == "delete" {
		return true, u.a.shelve(ctx, r)
	}
	return true, nil
}

// lost gives up the upload of a file that is gone.
func (u *uploads) lost(ctx context.Context, r *Row, b *s3.Bucket) error {
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
	return u.a.use(false, func(x *index) error { return x.remove(r.ID) })
}

// mediaTypes are those of the formats.
var mediaTypes = map[string]string{"mp4": "video/mp4", "flv": "video/x-flv", "ts": "video/mp2t"}

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

// uploaded notes that a file is where it was to be uploaded to.
func (a *Archive) uploaded(r *Row) error {
	return a.use(false, func(x *index) error { return x.uploaded(r.ID, r.Object) })
}

var _ record.Catalog = (*Archive)(nil)
