package bench

// The kinds of frames.
const (
	video = iota
	audio
	kinds
)

// The windows in which latencies are counted, and the groups of players that are
// counted apart.
const (
	noWindow   = -1
	windows    = 2
	groupMain  = 0
	groupOther = 1 // the slow ones; those of a storm
	groups     = 2
)

// recorder is where the players of one goroutine count. What is not atomic is read after
// that goroutine has ended.
type recorder struct {
	run     *run
	now     int64 // when the bytes at hand were read
	window  int   // the window at that time, or noWindow
	latency [groups][windows]histogram
}

// at takes note of the time, before the bytes just read are looked at.
func (r *recorder) at(now int64) {
	r.now = now
	r.window = int(r.run.window.Load())
}

// tally is what one player received.
type tally struct {
	rec     *recorder
	group   int
	stream  uint32 // the number of the stream that it asked for
	begun   int64  // when it began to connect
	started int64  // when its first coded video frame came; 0 before
	keyless bool   // that frame was no key frame

	frames      int64
	faults      faults
	torn        int64 // frames with another's end, and connections that lost their framing
	misdirected int64 // frames of another stream
	unstamped   int64 // coded frames that are not ours
	restarts    int64 // changes of the publisher

	run   uint32
	seen  bool // run is valid
	order [kinds]sequence
}

// media takes note of one whole audio or video message: its first bytes, its length, and
// its last four bytes.
func (t *tally) media(kind int, head []byte, length int, tail uint32) {
	at := stampVideo
	if kind == audio {
		at = stampAudio
	}
	if len(head) < 2 || head[1] != 1 { // a sequence header, an end, nothing at all
		return
	}
	t.frames++
	if kind == video && t.started == 0 {
		t.started = t.rec.now
		t.keyless = head[0]>>4 != 1
		t.rec.run.playerStarted()
	}
	if len(head) < at+stampSize || length < at+stampSize+stampTail {
		t.unstamped++
		return
	}
	s, ok := parseStamp(head[at:])
	if !ok {
		t.unstamped++
		return
	}
	if s.tail() != tail {
		t.torn++
		return
	}
	if s.stream != t.stream {
		t.misdirected++
		return
	}
	if t.seen && s.run != t.run {
		t.restarts++
		t.order = [kinds]sequence{}
	}
	t.run, t.seen = s.run, true
	t.order[kind].add(s.seq, &t.faults)
	// What the server had kept for newcomers says nothing about latency.
	if t.rec.window >= 0 && s.sent >= t.begun {
		t.rec.latency[t.group][t.rec.window].add(t.rec.now - s.sent)
	}
}
