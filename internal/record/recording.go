package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/format/mp4"
	"weir/internal/event"
	"weir/internal/stream"
)

const (
	// beat is how long a recording rests once it has read all there is: disks are not in a hurry, and waking up costs more than
	// a frame does.
	beat = 200 * time.Millisecond
	// retryEvery is how long a recording waits after a failure before it begins a new file.
	retryEvery = 10 * time.Second
	// idleTime without a frame makes the recording write what it has.
	idleTime = 2 * time.Second
)

// Origin says what started a recording.
type Origin string

// The origins.
const (
	ByConfig Origin = "config"
	ByHook   Origin = "hook"
	ByAPI    Origin = "api"
)

// recording is one recording of one life of a stream, while it runs.
type recording struct {
	m      *Manager
	stream *stream.Stream
	name   string
	log    *slog.Logger
	plan   atomic.Pointer[plan]
	origin Origin
	cancel context.CancelCauseFunc
	over   chan struct{} // closed once all files are whole

	// The goroutine's own.
	fits    map[trackID]fit
	missing string // what is to be said of what was left out before the next file

	line  line
	first *stream.Follower // from when the recording began; nil once it was used
	files sync.WaitGroup   // that are not whole

	mu          sync.Mutex // guards below
	nextID      string     // of the next file
	id          string     // of the newest file
	cutAt       *output    // it was told to end this file
	present     *output
	lost        int64 // frames that were left out
	failing     error // why nothing is recorded
	failureTold bool  // a failure was told
	stopped     bool  // it was told to stop
	newest      File
	left        []File // that could not be made whole
}

// fit says whether a version of a track can be recorded.
type fit struct {
	version uint32
	format  string
	err     error
}

func (r *recording) config() *plan { return r.plan.Load() }

// errStopped ends a recording that was told to stop.
var errStopped = errors.New("record: stopped")

// end tells the recording to stop.
func (r *recording) end() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.cancel(errStopped)
}

// cut tells the recording to end its present file at the next key frame of the lead, and returns the id of the file that begins
// there; empty if it has none, and so nothing to end.
func (r *recording) cut() (next string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present == nil {
		return ""
	}
	r.cutAt = r.present
	if r.nextID == "" {
		r.nextID = event.NewID(time.Now())
	}
	return r.nextID
}

// cutting reports whether a file is to end.
func (r *recording) cutting(o *output) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return o != nil && r.cutAt == o
}

// run records until the stream ends or ctx does, and waits for the files.
func (r *recording) run(ctx context.Context) {
	defer close(r.over)
	again := stream.Supervision{Min: retryEvery, Max: retryEvery, Failed: r.failed}
	_ = again.Run(ctx, r.follow)
	r.files.Wait()
}

// follow records until something fails.
func (r *recording) follow(ctx context.Context) (err error) {
	f := r.first
	if r.first = nil; f == nil {
		f = r.stream.Follow(stream.FollowOptions{From: stream.FromNext, Strict: true})
	}
	defer f.Close()
	t := &taker{r: r}
	defer func() {
		if err == nil || errors.Is(err, io.EOF) || ctx.Err() != nil {
			t.drain(true)
			t.end(mp4.NoEnd)
			return
		}
		if o := t.out; o != nil {
			size, _, _ := o.state()
			before := o.about().Missing
			r.mu.Lock()
			if size > 0 || before != "" || r.newest.ID != "" { // before the first file nothing is missing
				r.missing = MissingFailed
			}
			r.mu.Unlock()
		}
		t.end(mp4.NoEnd)
		r.dropped(t.order.count + len(t.held))
	}()
	rest := time.NewTimer(beat)
	defer rest.Stop()
	begin := time.Now()
	came := begin // when the newest frame did
	for {
		wait := idleTime
		if left := t.patience() - time.Since(came); left > 0 {
			wait = min(wait, left)
		}
		idle, cancel := context.WithTimeoutCause(ctx, wait, errIdle)
		e, err := f.Next(idle)
		cancel()
		if err == nil {
			came = time.Now()
		}
		for err == nil {
			t.put(&e)
			var ok bool
			if e, ok, err = f.Poll(); !ok {
				break
			}
		}
		switch {
		case errors.Is(err, errIdle) && ctx.Err() == nil:
			if t.headers == nil && !t.told && time.Since(begin) > keyPatience { // what nobody can begin with is not even read
				t.told = true
				r.noKeyFrame()
			}
			t.drain(true)
			t.flush(mp4.NoEnd)
			if t.out != nil {
				if err := r.outputError(t.out); err != nil {
					return err
				}
			}
			// What a publisher that is still connected was held up with belongs to the file.
			if _, here := r.stream.Publisher(); !here && time.Since(came) >= t.patience() {
				t.end(mp4.NoEnd)
				t.lost()
			}
			continue
		case errors.Is(err, stream.ErrLagged):
			t.skip()
		case err != nil:
			for { // what came until now
				e, ok, _ := f.Poll()
				if !ok {
					break
				}
				t.put(&e)
			}
			return err
		}
		if r.settled() && t.complete() {
			t.drain(false)
		}
		if t.out != nil {
			if err := r.outputError(t.out); err != nil {
				return err
			}
		}
		rest.Reset(beat)
		select {
		case <-rest.C:
		case <-ctx.Done():
		}
	}
}

// errIdle ends a wait for a frame.
var errIdle = errors.New("record: no frame for a while")

// settled reports whether the stream has all its tracks, as far as one can tell: a file that begins before has to be cut again at once.
func (r *recording) settled() bool {
	select {
	case <-r.stream.Settled():
		return true
	default:
		return false
	}
}

// wall returns the wall time at which something arrived on the hub's clock.
func (r *recording) wall(arrived time.Duration) time.Time {
	now := time.Now()
	return now.Add(arrived - r.m.opt.Now()).Round(0)
}

// can reports whether the format can carry a track. One that it cannot is left out, which is told once.
func (r *recording) can(p *plan, h *stream.TrackHeader) bool {
	k := trackID{h.Kind, h.ID}
	f, known := r.fits[k]
	if !known || f.version != h.Version || f.format != p.Format {
		f = fit{h.Version, p.Format, checkTrack(p.Format, h)}
		r.fits[k] = f
		if f.err != nil && h.Unusable == nil { // the stream tells of those itself
			r.log.Warn("a track is left out of the recording: the format cannot carry it; others can, see streams[].record.format",
				slog.String("track", fmt.Sprint(h.Kind, " ", h.ID)), slog.String("codec", h.Codec.String()), slog.String("format", p.Format), slog.Any("err", f.err))
		}
	}
	return f.err == nil
}

// begin makes the output of a new file.
func (r *recording) begin(p *plan, tracks []selected, take string, at time.Duration, start time.Time) *output {
	named, publisher := r.m.opt.Named(r.stream.Path())
	r.mu.Lock()
	id := r.nextID
	if id == "" {
		id = event.NewID(time.Now())
	}
	r.nextID, r.id = "", id
	r.mu.Unlock()
	info := File{
		ID: id, Stream: r.stream.Path(), Recording: r.name, Take: take, Epoch: named.Epoch, Dir: p.Dir, Format: p.Format,
		Start: start.UTC(), Codecs: codecsOf(tracks), Missing: r.missing, Keep: p.Keep, Upload: p.Upload, publisher: publisher,
	}
	r.missing = ""
	info.Name = expand(p.File, &nameParts{stream: info.Stream, recording: r.name, id: id, at: start.In(p.zone())})
	o := &output{line: &r.line, observer: r, info: info, plan: p, open: r.m.opt.open(), done: make(chan struct{})}
	var err error
	if o.box, err = newContainer(&o.info, at, tracks, p); err != nil { // each track was checked
		o.err = err
		close(o.done)
		return o
	}
	o.pool = r.m.enter(p.Dir)
	r.files.Go(func() {
		<-o.done
		r.m.leave(p.Dir)
	})
	r.mu.Lock()
	r.present = o
	r.mu.Unlock()
	return o
}

// ended notes that the present file gets no more frames.
func (r *recording) ended(o *output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.present == o {
		r.present = nil
	}
}

func (r *recording) outputError(o *output) error {
	_, _, err := o.state()
	return err
}

// dropped counts frames that are in no file; it implements observer.
func (r *recording) dropped(n int) {
	r.mu.Lock()
	r.lost += int64(n)
	r.mu.Unlock()
	r.m.opt.Metrics.RecordDropped(n)
}

// noKeyFrame tells that the stream has no key frame with which a file could begin.
func (r *recording) noKeyFrame() {
	r.log.Warn("nothing is recorded, because the stream has had no key frame for 15s: set the encoder's key-frame interval to 2 seconds")
}

// changing tells that the stream changes too often for each change to begin a file.
func (r *recording) changing() {
	r.log.Warn("the publisher changes its codecs or tracks all the time: frames are left out of the recording, which begins a file for that every 5s at most")
}

// tooSlow tells that the disk does not keep up. The file goes on later.
func (r *recording) tooSlow(o *output) {
	r.log.Warn("the disk is too slow: frames are left out of the recording until it has caught up", slog.String("file", o.about().Name))
	r.leftOut(o, "the disk is too slow: frames are left out")
}

// tooBusy tells that frames were lost on their way to the recording.
func (r *recording) tooBusy(o *output) {
	r.log.Warn("the server is too busy: frames are left out of the recording up to the next key frame, where a new file begins")
	r.leftOut(o, "the server is too busy: frames are left out")
}

// leftOut tells why frames are left out of a file, if there is one.
func (r *recording) leftOut(o *output, text string) {
	if o != nil {
		f := o.about()
		r.tell(event.RecordingFailed, &f, map[string]any{"reason": "slow", "text": text})
	}
	r.m.opt.Metrics.RecordFailed("slow")
}

// failed tells that the recording has failed and is tried again: once until it goes well.
func (r *recording) failed(err error, again time.Duration) {
	r.mu.Lock()
	known := r.failing != nil
	r.failing = err
	r.mu.Unlock()
	if !known {
		r.log.Warn("recording stops until a new file can be written, which is tried again and again",
			slog.Any("err", err), slog.String("dir", r.config().Dir), slog.Duration("again", again.Round(time.Second)))
	}
}

// begun implements observer.
func (r *recording) begun(f *File) {
	r.mu.Lock()
	again, left := r.failing != nil, r.left
	r.failing, r.failureTold, r.left = nil, false, nil
	r.mu.Unlock()
	if again {
		r.log.Info("recording goes on in a new file", slog.String("file", f.Name))
	} else {
		r.log.Info("recording", slog.String("file", f.Name), slog.String("dir", f.Dir))
	}
	r.tell(event.RecordingStart, f, nil)
	r.catalog(func(c Catalog) error { return c.Begun(*f) })
	for i := range left {
		r.m.finishLater(&left[i])
	}
}

// wrote implements observer.
func (r *recording) wrote(n int) { r.m.opt.Metrics.RecordBytes(n) }

// finished implements observer.
func (r *recording) finished(f *File) {
	r.mu.Lock()
	r.newest = *f
	r.mu.Unlock()
	r.log.Info("recorded", slog.String("file", f.Name), slog.Duration("dur", f.Duration.Round(time.Millisecond)), slog.Int64("bytes", f.Bytes))
	r.tell(event.RecordingDone, f, map[string]any{
		"duration": f.Duration.Round(time.Millisecond).Seconds(), "bytes": f.Bytes, "start": f.Start.Format(time.RFC3339Nano),
	})
	r.catalog(func(c Catalog) error { return c.Done(*f) })
}

// fileFailed implements observer.
func (r *recording) fileFailed(f *File, err error) {
	reason := reasonOf(err)
	r.m.opt.Metrics.RecordFailed(reason)
	r.mu.Lock()
	known := r.failureTold
	r.failureTold = true
	r.mu.Unlock()
	if !known {
		message := "a file of the recording failed; what was written before can be played"
		switch {
		case errors.Is(err, errDeleted):
			message = "a file of the recording was deleted, and with it what was written before"
		case errors.Is(err, errNotBegun):
			message = "a file of the recording could not be begun"
		}
		r.log.Error(message, slog.String("file", f.Name), slog.String("dir", f.Dir), slog.String("reason", reason), slog.Any("err", err)) //nolint:sloglint // one of three constants
		r.tell(event.RecordingFailed, f, map[string]any{"reason": reason, "text": err.Error()})
	}
	r.catalog(func(c Catalog) error { c.Failed(*f, err); return nil })
}

// unfinished implements observer.
func (r *recording) unfinished(f *File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left = append(r.left, *f); len(r.left) > maxLeft { // the next start repairs what is forgotten
		r.left = r.left[1:]
	}
}

// taken implements observer.
func (r *recording) taken(dir, name string) bool { return r.m.taken(dir, name) }

// maxLeft bounds the files of a recording that are to be finished once its disk is well again.
const maxLeft = 16

// catalog tells the catalog, if there is one.
func (r *recording) catalog(tell func(Catalog) error) {
	if c := r.m.opt.Catalog; c != nil {
		if err := tell(c); err != nil {
			r.log.Error("the index of recordings could not be changed: it is made anew from the files at the next start", slog.Any("err", err))
		}
	}
}

// tell publishes an event about a file.
func (r *recording) tell(typ string, f *File, data map[string]any) {
	if data == nil {
		data = map[string]any{}
	}
	data["id"], data["recording"], data["file"], data["dir"], data["format"] = f.ID, f.Recording, f.Name, f.Dir, f.Format
	r.m.opt.Publish(event.Event{Type: typ, Stream: &event.Stream{Path: f.Stream, Epoch: f.Epoch}, Session: f.publisher, Data: data})
}

// reasonOf is an error as a word of a closed set.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, errFull), errors.Is(err, errTail), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "full"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESTALE):
		return "gone"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "files"
	}
	return "io"
}
