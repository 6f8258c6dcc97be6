package record

import (
	"slices"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/mp4"
	"weir/internal/accessunit"
	"weir/internal/event"
	"weir/internal/stream"
)

const (
	// leastBatch is how old a batch must be for a key frame to end it, and fullBatch how old it gets at the lead's next frame; it never gets
	// older than oldBatch.
	leastBatch = 500 * time.Millisecond
	fullBatch  = time.Second
	oldBatch   = 1500 * time.Millisecond
	// maxBatch bounds the payload of a batch.
	maxBatch = 8 << 20
	// maxHold and maxHeld bound what is kept of the other tracks while the lead's key frame is waited for.
	maxHold     = 10 * time.Second
	maxHeld     = 8 << 20
	maxHeldList = 4096
	// tolerance makes a file of 10 s end at the key frame that is said to come at 9.999 s.
	tolerance = 25 * time.Millisecond
	// leastGap is for how long nothing must have come for a file not to go on where the one before it ends.
	leastGap = 200 * time.Millisecond
	// maxStep bounds the time between two frames of the lead that is taken for usual: a file goes on over twice as much.
	maxStep = 10 * time.Second
	// keyPatience is for how long a recording waits for a key frame before that is told.
	keyPatience = 15 * time.Second
)

// taker puts frames into files.
type taker struct {
	r    *recording
	conf *plan // of the present file

	join    accessunit.Joiner
	headers *stream.Headers // the newest
	order   order
	await   awaited

	out     *output // the file; nil while there is none
	tracks  []selected
	lead    int // index in tracks
	clock   clock
	begun   time.Duration // when the file began
	wrote   time.Duration // when the newest frame in it came
	version uint32        // of the headers that it began with
	mark    time.Time     // at which it ends
	bytes   int64         // of payload in it

	batch      []av.Frame
	batchBytes int64
	batchAt    time.Duration
	keyed      []bool          // of each track: its first key frame in the file has come
	heard      []time.Duration // of each track of sound: where what the file has of it ends; 0 before it begins

	held      []item // waits for the lead's key frame
	heldBytes int64
	recut     bool // the file ends at the lead's next key frame
	changes   changes
	slow      bool // frames are left out because the disk is too slow

	// What leadOf returned last, and for what.
	leadFrom *stream.Headers
	leadBy   *plan
	leadIs   trackID

	take   string
	seen   bool // a frame has come
	last   time.Duration
	step   time.Duration // between two frames of the lead
	before time.Duration // and between the two before
	led    bool          // a frame of the lead has come
	leadAt time.Duration // the newest of them
	wait   time.Duration // since when a key frame is waited for
	told   bool          // that was told
}

// put takes the next entry of the stream.
func (t *taker) put(e *stream.Entry) {
	if e.Headers != t.headers {
		t.headers = e.Headers
		t.join.SetTracks(e.Headers.Tracks)
	}
	if e.Type != av.Media && (e.Type != av.Script || e.Kind != av.Data) {
		return
	}
	for _, f := range t.join.Put(&e.Frame) {
		if f.Type == av.Media || f.Kind == av.Data {
			t.order.put(&f, e.Headers)
			if a := &t.await; a.waits && !a.begun { // what came before may be long ago
				a.begun, a.since = true, t.order.newest
			}
		}
	}
}

// patience is the longest time without a frame within a file.
func (t *taker) patience() time.Duration { return max(t.r.config().MaxGap, 2*t.step) }

// drain puts the frames whose turn it is into files; with all those that wait for others too.
func (t *taker) drain(all bool) {
	if all {
		for _, f := range t.join.Flush() {
			t.order.put(&f, t.headers)
		}
	}
	for {
		it, ok := t.order.take(all)
		if !ok {
			return
		}
		t.add(&it)
	}
}

// add takes the next frame in the order of all tracks.
func (t *taker) add(it *item) {
	if it.Kind == av.Data {
		if t.out != nil && t.conf.Format == "flv" {
			t.append(it)
		}
		return
	}
	if it.headers != t.headers && covers(t.headers, it.headers) { // a track has come while it waited
		it.headers = t.headers
	}
	h := headerOf(it.headers, it.Kind, it.Track)
	if h == nil || !t.wanted(h) {
		return
	}
	conf := t.r.config()
	if t.seen && it.at-t.last > t.patience() {
		t.end(mp4.NoEnd)
		t.lost()
		t.wait, t.told = it.at, false
		for len(t.held) > 0 { // from before the gap
			t.unhold()
		}
	}
	if !t.seen {
		t.seen, t.last, t.wait = true, it.at, it.at
	}
	t.last = max(t.last, it.at)
	lead := t.leadOf(it.headers)
	isLead := it.Kind == lead.kind && it.Track == lead.id
	if isLead {
		if d := it.at - t.leadAt; d > 0 && t.led {
			t.before, t.step = t.step, min(d, maxStep)
		}
		t.led, t.leadAt = true, it.at
	}
	starts := isLead && (it.IsKey() || it.Kind == av.Audio)
	if starts {
		t.wait, t.told = it.at, false
	} else if !t.told && it.at-t.wait > keyPatience && t.out == nil {
		t.told = true
		t.r.noKeyFrame()
	}
	i, current := t.track(it, h)
	current = current && (isLead || it.headers.Version <= t.version || t.leads(it.headers)) // what comes with another lead belongs to its file
	if current && it.Kind == av.Audio && t.holed(i, it.PTS) {
		t.recut = true
	}
	switch {
	case starts && t.ends(it, conf, current):
		t.cut(it)
		i, _ = t.track(it, h)
	case t.slow:
		t.r.dropped(1)
		return
	case t.out == nil, !current:
		if it.Kind == av.Video && isLead && t.out != nil {
			t.r.dropped(1) // it is not as the present file's pictures are, and begins no other
		}
		t.hold(it, isLead)
		return
	}
	if t.out == nil || i < 0 {
		return
	}
	t.keyed[i] = t.keyed[i] || it.Kind == av.Audio || it.IsKey()
	if t.keyed[i] { // pictures before it cannot be shown
		t.append(it)
	}
}

// ends reports whether a file is to begin with a frame of the lead. current is false if the frame is not as the present file's tracks are.
func (t *taker) ends(it *item, conf *plan, current bool) bool {
	switch {
	case t.slow:
		return t.r.line.roomy()
	case t.out != nil && (!current || t.recut):
		now := time.Now()
		if !t.changes.room(now) {
			if !t.changes.told {
				t.changes.told = true
				t.r.changing()
			}
			return false
		}
		t.changes.note(now)
		return true
	}
	return t.out == nil || t.isDue(it, conf)
}

// lag leaves out frames until the disk has caught up.
func (t *taker) lag() {
	if !t.slow && t.r.outputError(t.out) == nil {
		t.slow, t.r.missing = true, MissingSlow
		t.r.tooSlow(t.out)
	}
}

// skip goes on behind frames that were lost before they came here.
func (t *taker) skip() {
	t.drain(true)
	t.r.dropped(1)
	if !t.slow {
		t.slow, t.r.missing = true, MissingSlow
		t.r.tooBusy(t.out)
	}
}

// isDue reports whether the file ends before a frame of the lead.
func (t *taker) isDue(it *item, conf *plan) bool {
	long := it.at - t.begun
	switch {
	case t.recut, t.r.cutting(t.out), conf != t.conf && conf.replaces(t.conf), t.holeComes():
		return true
	case conf.Cut > 0 && !conf.Aligned && long >= conf.Cut-tolerance:
		return true
	case conf.Cut > 0 && conf.Aligned && !t.clock.at(it.at).Before(t.marked(conf)):
		return true
	case conf.CutSize > 0 && t.bytes >= conf.CutSize:
		return true
	}
	return false
}

// holed reports whether there is a hole in the sound of a track before a time that the file cannot be without and that is not filled.
func (t *taker) holed(i int, at time.Duration) bool {
	return t.conf.Format == "mp4" && t.heard[i] > 0 && !mp4.Fills(&t.tracks[i].Track, at-t.heard[i])
}

// holeComes reports whether the sound that is next beside the lead has such a hole before it: then it belongs to the next file.
func (t *taker) holeComes() bool {
	for i := range t.tracks {
		if i == t.lead {
			continue
		}
		if next := t.order.next(t.tracks[i].Kind, t.tracks[i].ID); next != nil && next.Kind == av.Audio && t.holed(i, next.PTS) {
			return true
		}
	}
	return false
}

// marked is the time at which a file that ends by the clock does.
func (t *taker) marked(conf *plan) time.Time {
	if t.mark.IsZero() {
		t.mark = nextMark(t.clock.at(t.begun).In(conf.zone()), conf.Cut)
	}
	return t.mark
}

// hold keeps a frame of another track than the lead until the lead's next key frame: the next file begins with it. Pictures that
// depend on a key frame that has not come are left out.
func (t *taker) hold(it *item, isLead bool) {
	if t.out != nil {
		t.recut = true
	}
	if it.Kind == av.Video && (isLead || !it.IsKey()) {
		return
	}
	t.held = append(t.held, *it)
	t.heldBytes += int64(len(it.Payload))
	for len(t.held) > 0 && (t.heldBytes > maxHeld || len(t.held) > maxHeldList) {
		t.unhold()
	}
	if t.out == nil && len(t.held) > 0 && it.at-t.held[0].at > maxHold { // the lead may never come
		t.begin(&t.held[0], t.held[0].at)
		t.releaseHeld()
	}
}

// unhold gives up the oldest frame that is held.
func (t *taker) unhold() {
	t.heldBytes -= int64(len(t.held[0].Payload))
	t.held[0] = item{}
	t.held = t.held[1:]
	t.r.dropped(1)
}

// releaseHeld appends what is held to the file that has begun.
func (t *taker) releaseHeld() {
	held := t.held
	t.held, t.heldBytes = nil, 0
	for i := range held {
		it := &held[i]
		if h := headerOf(it.headers, it.Kind, it.Track); h != nil {
			if i, ok := t.track(it, h); ok {
				t.keyed[i] = true // pictures that are held begin with a key frame
				t.append(it)
			}
		}
	}
}

// lost begins another take: what comes does not go on where the last file ended.
func (t *taker) lost() {
	t.take, t.clock = "", clock{}
}

// cut ends the present file, if there is one, and begins the next with a frame of the lead. If nothing came for a while before it, the present file does not
// last until then, and the next one does not go on where it ends.
func (t *taker) cut(it *item) {
	from := it.at
	if len(t.held) > 0 {
		from = min(from, t.held[0].at)
	}
	gap := t.slow || t.out != nil && from-t.wrote > max(leastGap, 2*t.before)
	t.slow = false
	if gap {
		t.end(mp4.NoEnd)
		t.lost()
	}
	early := time.Duration(0)
	if t.out != nil { // it has pictures until then: what is held is of use without them only to who plays the file alone
		early, from = it.at-from, it.at
	}
	t.end(it.DTS)
	t.begin(it, from)
	if t.out != nil {
		t.out.early = early
	}
	t.releaseHeld()
}

// begin begins a file with the tracks of a frame's headers, at a time of the stream.
func (t *taker) begin(it *item, from time.Duration) {
	conf := t.r.config()
	t.conf = conf
	t.tracks = nil
	lead := t.leadOf(it.headers)
	for _, h := range []*stream.Headers{it.headers, t.headers} { // the newest may have tracks that have just come
		for i := range h.Tracks {
			x := &h.Tracks[i]
			title, ok := conf.wants(x.Kind, x.ID)
			known := slices.ContainsFunc(t.tracks, func(s selected) bool { return s.Kind == x.Kind && s.ID == x.ID })
			if !ok || known || !x.Media && x.ConfigFrame == nil || !t.wanted(x) {
				continue
			}
			t.tracks = append(t.tracks, selected{TrackHeader: *x, title: title, first: t.firstOf(it, x)})
		}
	}
	nameTracks(t.tracks)
	t.lead = slices.IndexFunc(t.tracks, func(s selected) bool { return s.Kind == lead.kind && s.ID == lead.id })
	if t.take == "" {
		t.take = event.NewID(time.Now())
		t.clock = clock{t.r.wall(it.Arrived), it.at}
	}
	t.version = it.headers.Version
	t.begun, t.mark, t.bytes, t.recut, t.keyed = from, time.Time{}, 0, false, make([]bool, len(t.tracks))
	t.heard = make([]time.Duration, len(t.tracks))
	t.out = t.r.begin(conf, t.tracks, t.take, from, t.clock.at(from))
}

// append puts a frame into the batch, which is closed before it if it is full.
func (t *taker) append(it *item) {
	isLead := t.lead >= 0 && it.Kind == t.tracks[t.lead].Kind && it.Track == t.tracks[t.lead].ID
	if len(t.batch) > 0 {
		old := it.at - t.batchAt
		switch {
		case isLead && (old >= fullBatch-tolerance || it.IsKey() && old >= leastBatch):
			t.flush(it.DTS)
		case t.batchBytes+int64(len(it.Payload)) > maxBatch:
			if isLead {
				t.flush(it.DTS)
			} else {
				t.flush(mp4.NoEnd)
			}
		case old > oldBatch:
			t.flush(mp4.NoEnd)
		}
	}
	if t.slow { // the batch before it could not be taken: nothing is to follow that
		t.r.dropped(1)
		return
	}
	if len(t.batch) == 0 {
		t.batchAt = it.at
	}
	t.wrote = max(t.wrote, it.at)
	if i := slices.IndexFunc(t.tracks, func(s selected) bool { return s.Kind == it.Kind && s.ID == it.Track }); i >= 0 && it.Kind == av.Audio {
		t.heard[i] = it.PTS + codec.FrameDuration(it.Codec, t.tracks[i].Config, it.Payload)
	}
	t.batch = append(t.batch, it.Frame)
	t.batchBytes += int64(len(it.Payload))
	t.bytes += int64(len(it.Payload))
}

// flush gives the batch to the file's worker. end is when the lead's next frame comes.
func (t *taker) flush(end time.Duration) {
	if len(t.batch) == 0 || t.out == nil {
		return
	}
	n := len(t.batch)
	if !t.out.put(job{frames: t.batch, end: end, bytes: t.batchBytes}) {
		t.r.dropped(n)
		t.lag()
	}
	t.batch, t.batchBytes = make([]av.Frame, 0, n+n/8+4), 0
}

// end ends the present file. end is when the lead's next frame comes, or mp4.NoEnd.
func (t *taker) end(end time.Duration) {
	if t.out == nil {
		return
	}
	t.flush(end)
	t.out.put(job{last: true})
	t.r.ended(t.out)
	t.out, t.tracks = nil, nil
}
