package record

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"weir/av"
)

// The bounds of what waits for a disk, of one recording.
const (
	maxQueueBytes = 16 << 20
	maxQueueTime  = 10 * time.Second
)

// job is what a worker does next.
type job struct {
	out    *output
	frames []av.Frame
	end    time.Duration // when the lead's next frame comes; see mp4.Muxer
	bytes  int64         // of payload
	since  time.Time
	last   bool // the file is whole
}

// line is what waits to be written of one recording. Its files are written one after the other, so that what is told of them is in
// their order.
type line struct {
	mu    sync.Mutex // guards below
	jobs  []job
	bytes int64 // of payload in jobs
	busy  bool  // a worker has it, or will
}

// output is one file, and how far it is.
type output struct {
	line     *line
	pool     *pool
	observer observer
	box      container
	plan     *plan
	// early is for how long it has frames from before info.Start. It is set before the first job.
	early time.Duration
	open  func(dir string) (storage, error)

	mu   sync.Mutex // guards below
	info File       // Name is without number and extension until the file is made
	err  error
	size int64         // written
	long time.Duration // written

	done chan struct{} // closed once nothing is done with the file any more

	// The present worker's.
	store  storage
	file   file
	synced time.Time
	looked time.Time // whether it still has its name
	closed bool
}

// observer is told of a file by its worker, in the order in which it happens.
type observer interface {
	begun(f *File)
	wrote(n int)
	finished(f *File)
	fileFailed(f *File, err error)
	unfinished(f *File) // it stays as NAME.part
	dropped(frames int) // they were to be written to a file that has failed
	// taken reports whether a file that is not here any more has a name.
	taken(dir, name string) bool
}

// container makes the bytes of a file.
type container interface {
	// append appends the frames to what is written.
	append(dst []byte, frames []av.Frame, end time.Duration) ([]byte, error)
	// duration is how long the file is so far.
	duration() time.Duration
	// finish completes a file of so many bytes, and forces it to the disk.
	finish(f file, size int64) error
}

// put queues a job. It returns false, and keeps nothing, if too much waits, or if the file has failed. The end of a file
// always finds room.
func (o *output) put(j job) bool {
	j.out, j.since = o, time.Now()
	l := o.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, _, err := o.state(); err != nil {
		return false
	}
	if !j.last && (len(l.jobs) > 0 && (l.bytes+j.bytes > maxQueueBytes || j.since.Sub(l.jobs[0].since) > maxQueueTime) || j.class() == begins && o.pool.crowded()) {
		return false
	}
	l.jobs = append(l.jobs, j)
	l.bytes += j.bytes
	if !l.busy {
		l.busy = true
		o.pool.wake(l, j.class())
	}
	return true
}

// class is what the job does to its disk.
func (j *job) class() class {
	size, _, _ := j.out.state()
	switch {
	case j.last:
		return finishes
	case size == 0:
		return begins
	}
	return writes
}

// roomy reports whether most of what waited has been written.
func (l *line) roomy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.jobs) <= 1
}

// step does one job, with a buffer that it may grow.
func (l *line) step(buf []byte) []byte {
	l.mu.Lock()
	j := l.jobs[0]
	l.mu.Unlock()
	buf, err := j.out.do(&j, buf)
	if err != nil {
		j.out.fail(err)
		j.out.observer.dropped(len(j.frames))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pop()
	for len(l.jobs) > 0 && l.jobs[0].out.closed { // it has failed, and what waited for it is lost; its pool may be gone
		l.jobs[0].out.observer.dropped(len(l.jobs[0].frames))
		l.pop()
	}
	if l.busy = len(l.jobs) > 0; l.busy {
		next := &l.jobs[0]
		next.out.pool.wake(l, next.class()) // behind the others
	}
	return buf
}

// pop drops the first job. mu is held.
func (l *line) pop() {
	l.bytes -= l.jobs[0].bytes
	l.jobs[0] = job{}
	l.jobs = l.jobs[1:]
}

// fail notes the first error: from then on frames are refused.
func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
}

// about returns what is known of the file.
func (o *output) about() File {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.info
}

// change changes what is known of the file, which the worker alone does.
func (o *output) change(f func(*File)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.info)
}

// state returns the file's error, and how much is written.
func (o *output) state() (size int64, long time.Duration, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size, o.long, o.err
}

// do does one job. After an error nothing more is written: the file is finished as far as it goes.
func (o *output) do(j *job, buf []byte) ([]byte, error) {
	var err error
	if len(j.frames) > 0 {
		if buf, err = o.box.append(buf, j.frames, j.end); err == nil && len(buf) > 0 {
			err = o.write(buf)
		}
	}
	if err == nil && !j.last {
		return buf, nil
	}
	if err != nil {
		o.fail(err)
	}
	o.close(err)
	return buf, err
}

// write writes a piece of the file, which is created for the first one.
func (o *output) write(b []byte) error {
	if o.file == nil {
		if err := o.create(); err != nil {
			return fmt.Errorf("%w: %w", errNotBegun, err)
		}
	} else if err := o.check(int64(len(b))); err != nil {
		return err
	}
	if _, err := o.file.WriteAt(b, o.size); err != nil {
		return err
	}
	o.mu.Lock()
	o.size += int64(len(b))
	o.long = o.box.duration()
	o.mu.Unlock()
	o.observer.wrote(len(b))
	if now := time.Now(); o.plan.sync == syncAlways || o.plan.sync != syncAtEnd && now.Sub(o.synced) >= o.plan.sync {
		o.synced = now
		return o.file.Sync()
	}
	return nil
}

// Errors of a disk that has less room than the configuration wants free, or than the file needs to become whole.
var (
	errFull = errors.New("the disk has less free room than min_free")
	errTail = errors.New("the disk is full, but for what the file needs to become whole")
)

// errDeleted says that somebody has removed or renamed the file while it was written: nobody would find what is written to it.
var errDeleted = fmt.Errorf("the file was deleted while it was recorded: %w", fs.ErrNotExist)

// errNotBegun says that there is no file.
var errNotBegun = errors.New("the file cannot be begun")

// lookEvery is how often is looked whether the file still has its name.
const lookEvery = 2 * time.Second

// check fails if nothing more is to be written.
func (o *output) check(more int64) error {
	if now := time.Now(); now.Sub(o.looked) >= lookEvery {
		o.looked = now
		if o.store.Lacks(o.info.Name + PartSuffix) {
			return errDeleted
		}
	}
	return o.checkRoom(more, false)
}

// checkRoom fails if the disk is too full for so many bytes more. For a file to begin there must be something more, so that a recording does not begin again
// and again with the room that the end of its file has given back. Where the system does not tell, it never does.
func (o *output) checkRoom(more int64, begins bool) error {
	free, total, err := o.store.Free()
	if err != nil {
		return nil //nolint:nilerr // it is not known
	}
	spare := int64(0)
	if begins {
		spare = min(mostSpare, total/20)
	}
	want, tail := o.plan.minFree.Of(total), int64(0)
	if o.info.Format == "mp4" {
		tail = tailRoom(o.size + more)
	}
	if f, ok := o.file.(*ahead); ok && free-more < max(want, tail)+2*mostAhead {
		f.off = true // what is left is not to be taken by what may never come
	}
	const mib = 1 << 20
	switch {
	case want > 0 && free-more < want+spare:
		return fmt.Errorf("%w (%s): %.1f MiB are free, of which %.1f are to stay so", errFull, o.plan.MinFree, float64(free)/mib, float64(want+spare)/mib)
	case tail > 0 && free-more < tail+spare:
		return fmt.Errorf("%w: %.1f MiB are free", errTail, float64(free)/mib)
	}
	return nil
}

// mostSpare bounds by how much more room a file needs to begin than to go on: a twentieth of the disk.
const mostSpare = 64 << 20

// tailRoom is how much the tables of an MP4 file of so many bytes take at most, with something to spare: they are larger than a hundredth of the media only
// for sound alone.
func tailRoom(size int64) int64 { return 1<<20 + size/32 }

// create opens the directory and makes the file, by a name that nothing has.
func (o *output) create() (err error) {
	if o.store, err = o.open(o.info.Dir); err != nil {
		return err
	}
	if err := o.checkRoom(0, true); err != nil {
		return err
	}
	base, ext := o.info.Name, "."+o.info.Format
	for n := 1; n <= maxCopies; n++ {
		name := numbered(base, n, ext)
		if o.store.Exists(name) || o.observer.taken(o.info.Dir, name) {
			continue
		}
		f, err := o.store.Create(name + PartSuffix)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		o.file, o.synced = f, time.Now()
		o.change(func(f *File) { f.Name = name })
		o.observer.begun(&o.info)
		return nil
	}
	return fmt.Errorf("there are %d files called %s already", maxCopies, base+ext)
}

// close completes the file, as far as it was written. failed is what went wrong, if something did.
func (o *output) close(failed error) {
	defer close(o.done)
	o.closed = true
	if o.store != nil {
		defer o.store.Close()
	}
	if o.file == nil {
		if failed != nil {
			o.observer.fileFailed(&o.info, failed)
		}
		return
	}
	if errors.Is(failed, errDeleted) {
		o.observer.fileFailed(&o.info, errors.Join(failed, o.file.Close()))
		return
	}
	if o.size == 0 {
		err := errors.Join(o.file.Close(), o.store.Remove(o.info.Name+PartSuffix))
		o.observer.fileFailed(&o.info, errors.Join(failed, err))
		return
	}
	err := o.complete(failed != nil)
	if failed != nil {
		o.observer.fileFailed(&o.info, failed)
	}
	if err != nil && !errors.Is(err, errDeleted) {
		o.observer.unfinished(&o.info)
	}
	switch {
	case err == nil:
		o.observer.finished(&o.info)
	case failed == nil:
		o.fail(err)
		o.observer.fileFailed(&o.info, err)
	}
}

// complete makes the file whole, and gives it its name. torn says that something may be behind what was written well.
func (o *output) complete(torn bool) (err error) {
	o.change(func(f *File) { f.Duration = max(o.long-o.early, 0) })
	if torn {
		err = o.file.Truncate(o.size)
	}
	if err == nil {
		err = o.box.finish(o.file, o.size)
	}
	if info, statErr := o.file.Stat(); statErr == nil {
		o.change(func(f *File) { f.Bytes = info.Size() })
	}
	if err = errors.Join(err, o.file.Close()); err != nil {
		return err
	}
	part := o.info.Name + PartSuffix
	if o.store.Lacks(part) {
		return errDeleted
	}
	if o.store.Exists(o.info.Name) { // somebody else has made it meanwhile
		return fmt.Errorf("%s: %w, so %s keeps its name", o.info.Name, fs.ErrExist, part)
	}
	if err := o.store.Rename(part, o.info.Name); err != nil {
		return err
	}
	return o.store.SyncFolder(o.info.Name)
}
