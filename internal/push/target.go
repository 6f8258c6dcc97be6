package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"weir/av"
	"weir/internal/reach"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

const (
	firstWait   = time.Second // after a failure; it doubles up to longestWait
	longestWait = time.Minute
	refusedWait = 5 * time.Minute
	never       = 100 * 365 * 24 * time.Hour
	// A server that closes the connection within quickTime after it was asked to publish, without a status, and
	// does so quickTimes in a row, is taken to refuse the stream.
	quickTime  = 5 * time.Second
	quickTimes = 3
	// gather is how long frames are gathered for one write, but for streams of low latency.
	gather = 50 * time.Millisecond
	// noteAfter is how long a session goes on before the stream is compared with what the service wants.
	noteAfter = 15 * time.Second
)

// Causes with which a target is ended.
var (
	errRemoved = session.Because(session.Config, errors.New("the target was removed or changed"))
	errOff     = session.Because(session.Kicked, errors.New("the target was turned off"))
	errEnded   = session.Because(session.StreamEnded, errors.New("the stream has ended"))
)

// target is one stream that is sent to one server, for as long as the stream lives.
type target struct {
	m      *Manager
	path   string
	stream *stream.Stream
	wanted
	// service is that of the configuration, or else the one whose host is in the URL.
	service *service
	log     *slog.Logger

	try  chan struct{}           // has an element when the target is to be tried at once
	look chan struct{}           // has an element when the stream has another publisher
	stop context.CancelCauseFunc // ends it; nil while it is off
	end  context.CancelCauseFunc // ends waiting and connecting
	done chan struct{}           // closed once it has ended; nil while it is off

	// Of the goroutine.
	seen  [2]time.Duration // the newest of each kind that was read of the stream; -1: none
	quick int              // closes right after publish, in a row
	moved string           // URL at which the server wants its publishers; "": that of the configuration
	guard *reach.Guard     // which addresses may be connected to, also where the server sends its publishers on to

	mu sync.Mutex // guards below
	status
}

// status is what changes of a target.
type status struct {
	address  *Address // the newest
	state    State
	since    time.Time
	verdict  verdict // of the newest failure, until the target is live again
	attempts int     // that failed, in a row
	next     time.Time
	sessions int
	live     time.Time // when the present session began; zero without one
	sent     figures   // in all
	before   figures   // when the present session began
	follower *stream.Follower
	conn     *patientConn // of the present session
	omitted  []string
	slate    string // why the file that is the slate is not used; empty if it is
	told     string // what was said of failures
}

// figures are what was sent.
type figures struct{ bytes, frames, skips int64 }

func newTarget(m *Manager, path string, s *stream.Stream, w wanted) *target {
	return &target{
		m: m, path: path, stream: s, wanted: w, service: serviceOf(w.Service, hostOfURL(shown(&w.Config, path))),
		log: m.opt.Log.With(slog.String("stream", path), slog.String("target", w.Name)),
		try: make(chan struct{}, 1), look: make(chan struct{}, 1), seen: [2]time.Duration{-1, -1},
		status: status{state: Off, since: time.Now()},
	}
}

// run sends the stream until it has ended or ctx ends, once the one before has ended.
func (t *target) run(ctx, waiting context.Context, before *ending) {
	before.wait(waiting)
	v := stream.Supervision{Min: firstWait, Max: longestWait, Delay: t.delay, Now: t.try, Failed: t.failed}
	_ = v.Run(waiting, func(context.Context) error { return t.work(ctx, waiting) })
	t.set(Off)
}

// retry makes a target that waits after a failure try again at once, and counts its attempts anew.
func (t *target) retry() {
	t.mu.Lock()
	t.attempts = 0
	t.mu.Unlock()
	select {
	case t.try <- struct{}{}:
	default:
	}
}

// anew makes a target try again that was refused for something that may be otherwise now: the stream's codecs, and, if another publisher
// has come, where the stream comes from, who has it at the server, and what the publisher sent behind the name.
func (t *target) anew(another bool) {
	t.mu.Lock()
	again := false
	if t.state == Refused {
		switch t.verdict.reason {
		case session.Unsupported:
			again = true
		case session.Loop, session.Takeover:
			again = another
		default:
			again = another && strings.Contains(t.URL+t.Key, "{query}")
		}
	}
	t.mu.Unlock()
	if again {
		t.retry()
	}
}

// allowed makes a target try again that was refused for its address: private ones may be reached now.
func (t *target) allowed() {
	t.mu.Lock()
	refused := t.state == Refused && t.verdict.reason == session.Address
	t.mu.Unlock()
	if refused {
		t.retry()
	}
}

// expected is the state of a target that begins: it waits for the publisher, or connects at the next key frame.
func (t *target) expected() State {
	if _, live := t.stream.Publisher(); live {
		return Connecting
	}
	return Waiting
}

// delay is for Supervision. It doubles with the attempts, which may begin anew. What was refused is not tried soon, and what would take the
// stream away from another publisher not by itself.
func (t *target) delay(error) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	v := &t.verdict
	switch {
	case v.reason == session.Takeover:
		return never
	case t.MaxAttempts > 0 && t.attempts >= t.MaxAttempts:
		v.refused = true
		v.text = fmt.Sprintf("given up after %d attempts, until somebody asks for another one (weir pushes retry); the last one: %s", t.attempts, v.text)
		return never
	case v.refused:
		return refusedWait
	}
	most := longestWait
	if v.held || v.soon {
		most = heldWait
	}
	wait := firstWait
	for n := 1; n < t.attempts && wait < most; n++ {
		wait *= 2
	}
	wait = min(wait, most)
	return wait - rand.N(wait/4+1)
}

// place is that of the target.
func (t *target) place() place { return place{t.path, t.URL, t.Key} }

// mayPass makes a refusal one that passes, if the server may refuse us for a connection of ours that was lost.
func (t *target) mayPass(v *verdict) {
	if v.refused && v.reason == session.Denied && t.m.held.lately(t.place()) {
		v.refused, v.held = false, true
	}
	if v.held {
		v.text = session.Printable("the stream was sent there a moment ago, and the server may not have noticed yet that this connection is lost; it says: "+v.text, maxText)
	}
}

// errFailed is what Supervision is told of failures, which it must not take for the end of the stream.
var errFailed = errors.New("failed")

// work runs sessions until one fails. It returns nil once the stream has ended.
func (t *target) work(ctx, waiting context.Context) error {
	select {
	case <-t.try: // what was asked for before is done now
	default:
	}
	var err error
	for again := 0; again <= maxRedirects; again++ {
		begun := time.Now()
		err = t.session(ctx, waiting)
		if !errors.Is(err, errOther) && !errors.Is(err, errMoved) {
			break
		}
		t.log.Info("push begins a new session", slog.String("reason", session.ReasonOf(err).String()), slog.Any("err", err))
		if time.Since(begun) > longestWait {
			again = 0
		}
	}
	if errors.Is(err, errEnded) || waiting.Err() != nil {
		return nil
	}
	by := t.m.sender(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdict = judge(err, t.address)
	if by != "" && t.verdict.refused && t.verdict.reason == session.Denied {
		t.verdict.text = session.Printable("this server sends "+by+" there with the same key, and a server takes one stream for a key; it says: "+t.verdict.text, maxText)
	} else {
		t.mayPass(&t.verdict)
	}
	t.attempts++
	return errFailed
}

// session is one session with the server: it waits for the stream, connects, and sends until it fails,
// or the stream has ended.
func (t *target) session(ctx, waiting context.Context) error {
	t.set(t.expected())
	if t.moved == "" {
		foreign := t.origin == FromAPI || t.origin == FromHook
		t.guard = &reach.Guard{Foreign: foreign, Open: t.m.opt.Private != nil && t.m.opt.Private(t.path)}
	}
	select {
	case <-t.stream.Settled():
	case <-waiting.Done():
		return context.Cause(waiting)
	}
	f := t.stream.Follow(stream.FollowOptions{})
	defer f.Close()
	first, err := t.first(waiting, f)
	if err != nil {
		return err
	}
	a, err := t.goal()
	if err != nil {
		return &unsupportedError{err.Error()}
	}
	if err := fits(a.service, first.Headers); err != nil {
		return err
	}
	t.set(Connecting)
	var asked time.Time
	l, err := t.dial(waiting, a, &asked)
	if err != nil {
		return t.quickly(err, asked)
	}
	t.begin(f, l)
	err = t.send(ctx, waiting, l, f, &first)
	t.ended(f, err, l.at)
	return t.quickly(err, asked)
}

// quickly counts sessions that the server has ended at once and without a word after it was asked to publish; any other end in
// between begins the count anew. asked is zero if it was not asked.
func (t *target) quickly(err error, asked time.Time) error {
	_, said := errors.AsType[*rtmp.StatusError](err)
	if said || asked.IsZero() || time.Since(asked) >= quickTime || !errors.Is(err, rtmp.ErrClosedByPeer) {
		t.quick = 0
		return err
	}
	if t.quick++; t.quick >= quickTimes {
		return errSilent
	}
	return err
}

// first waits for the frame with which a session begins: the first that may be one and was not sent before.
func (t *target) first(ctx context.Context, f *stream.Follower) (stream.Entry, error) {
	for {
		e, err := f.Next(ctx)
		if err != nil {
			return stream.Entry{}, endOf(err)
		}
		if e.Sync && e.DTS > t.seen[e.Kind] {
			return e, nil
		}
	}
}

// endOf gives the end of the stream a name: the end of a connection is io.EOF, too.
func endOf(err error) error {
	if err == io.EOF { //nolint:errorlint // wrapped, it is that of a connection
		return errEnded
	}
	return err
}

// goal returns where the stream goes now.
func (t *target) goal() (*Address, error) {
	p, _ := t.stream.Publisher()
	a, err := t.Config.address(vars{t.path, p.Query})
	if err == nil && t.moved != "" {
		a, t.moved = a.movedTo(t.moved), ""
	}
	return a, err
}

// fits refuses a stream whose main tracks a service does not take.
func fits(s *service, h *stream.Headers) error {
	var seen [2]bool
	for i := range h.Tracks {
		k := &h.Tracks[i]
		if k.Kind > av.Audio || seen[k.Kind] {
			continue
		}
		seen[k.Kind] = true
		if !s.takes(k.Kind, k.Codec) {
			return &unsupportedError{fmt.Sprintf("%s takes no %v: set another encoder for the %v", s.title, k.Codec, k.Kind)}
		}
	}
	return nil
}

// errMoved says that the server wants its publishers at another URL.
var errMoved = errors.New("the server asks its publishers to connect again")

// why returns what ended a link besides its connection.
func (l *link) why() error {
	if st := l.ended.Load(); st != nil {
		return st
	}
	return errMoved
}

// send sends the stream from first on. A session that is to end is ended as OBS does it, so that the
// service knows that the broadcast is over.
func (t *target) send(ctx, waiting context.Context, l *link, f *stream.Follower, first *stream.Entry) error {
	running, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { cancel(t.watch(running, l)) })
	// A server that takes little would hold up everything else.
	defer context.AfterFunc(running, func() { l.conn.endBy(time.Now().Add(endTime)) })()
	defer context.AfterFunc(waiting, func() { l.conn.endBy(time.Now().Add(drainTime)) })()
	s := newSender(l.pub, l.client.Caps(), l.at.service != custom, t.leftOut)
	err := t.pump(running, s, f, first)
	if l.pub.Err() == nil {
		t.rest(s)
	}
	_ = l.pub.Close()
	cancel(nil)
	wg.Wait()
	if moved := l.moved.Load(); moved != nil && errors.Is(err, errMoved) && *moved != "" {
		to, ferr := follow(l.at.URL, *moved)
		if ferr != nil {
			return ferr
		}
		t.moved = to
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watch returns why a session is to end, as soon as something says so.
func (t *target) watch(ctx context.Context, l *link) error {
	for {
		select {
		case <-l.pub.Done():
			return l.pub.Err()
		case <-l.told:
			return l.why()
		case <-t.look:
			if t.fetchedFrom(l.at.Host, l.conn.remote()) {
				return errBack
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rest sends what is still to be sent at the end.
func (t *target) rest(s *sender) {
	for _, e := range s.repair.Flush() {
		s.put(&e.Frame)
	}
	_ = t.flush(s)
}

// pump reads the stream and sends it until either fails. It returns errEnded at the end of the stream.
func (t *target) pump(ctx context.Context, s *sender, f *stream.Follower, first *stream.Entry) error {
	stand := slate{unfit: t.slateIs}
	remark := time.Now().Add(noteAfter)
	if err := t.take(s, &stand, first); err != nil {
		return err
	}
	stand.with = t.loop(ctx, s)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		e, ok, err := f.Poll()
		if err != nil {
			return endOf(err)
		}
		if !ok {
			if err = t.flush(s); err != nil {
				return orCause(ctx, err)
			}
			if !remark.IsZero() && time.Now().After(remark) {
				remark = time.Time{}
				t.remark()
			}
			if e, err = t.wait(ctx, s, f, &stand); err != nil {
				return endOf(err)
			}
		}
		if err = t.take(s, &stand, &e); err != nil {
			return err
		}
		switch {
		case s.full():
			if err = t.flush(s); err != nil {
				return orCause(ctx, err)
			}
		case !ok && !t.stream.Settings().Low:
			pause.Reset(gather)
			select {
			case <-pause.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// remark logs what the service wants otherwise.
func (t *target) remark() {
	for _, n := range notes(t.service, t.stream) {
		t.log.Warn("push: the service wants the stream otherwise", slog.String("what", n.Sentence), slog.String("setting", n.Setting))
	}
}

// hasSlate reports whether something is sent while the publisher is away.
func (t *target) hasSlate() bool { return t.Slate != "" && t.Slate != slateOff }

// loop returns the slate that is a file; nil if there is none, or it cannot be read, which is said. It is said now, too, if it does not fit
// what is sent.
func (t *target) loop(ctx context.Context, s *sender) *loop {
	if !isLoop(t.Slate) {
		return nil
	}
	l, err := t.m.loops.get(ctx, t.Slate)
	if err != nil {
		t.slateIs(err)
		return nil
	}
	t.slateIs(l.fits(s))
	return l
}

// slateIs notes why the slate that is a file is not used, and says it once; nil is of one that is.
func (t *target) slateIs(err error) {
	what := ""
	if err != nil {
		what = session.ErrorText(err, maxText) + "; the last key frame is repeated instead"
	}
	t.mu.Lock()
	told := t.status.slate == what
	t.status.slate = what
	t.mu.Unlock()
	if !told && what != "" {
		t.log.Warn("push: the slate is not used", slog.String("what", what))
	}
}

// orCause returns why ctx has ended, if it has: that is why writing failed.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// take gathers one frame.
func (t *target) take(s *sender, stand *slate, e *stream.Entry) error {
	if !stand.over(s, e) {
		return nil
	}
	if err := s.add(e); err != nil {
		return err
	}
	if e.Kind != av.Data && e.Type == av.Media {
		t.seen[e.Kind] = max(t.seen[e.Kind], e.DTS)
	}
	return nil
}

// wait waits for the next frame. While the stream has no publisher it sends a slate, if that is wanted.
func (t *target) wait(ctx context.Context, s *sender, f *stream.Follower, stand *slate) (stream.Entry, error) {
	if !t.hasSlate() {
		return f.Next(ctx)
	}
	for {
		bounded, cancel := context.WithTimeout(ctx, stand.every())
		e, err := f.Next(bounded)
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return e, err
		}
		if _, live := t.stream.Publisher(); live && !stand.on {
			continue
		}
		stand.step(s, time.Now())
		if err := t.flush(s); err != nil {
			return e, orCause(ctx, err)
		}
	}
}

// flush writes what is gathered, and counts it.
func (t *target) flush(s *sender) error {
	err := s.flush()
	bytes, frames := s.bytes, s.frames
	s.bytes, s.frames = 0, 0
	if err != nil {
		return err
	}
	t.m.count(t.service, bytes)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent.bytes += bytes
	t.sent.frames += frames
	return nil
}
