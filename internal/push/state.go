package push

import (
	"errors"
	"log/slog"
	"time"

	"weir/internal/event"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// State is what a target does.
type State uint8

// The states.
const (
	Off        State = iota // it is turned off, or was removed
	Waiting                 // for the stream's publisher
	Connecting              // to the server
	Live                    // the server gets the stream
	Slated                  // the publisher is away, and the server gets the slate
	Away                    // the publisher is away, and the server gets nothing
	Retrying                // after a failure that may pass
	Refused                 // somebody must change something; it is tried again every few minutes
	stateCount
)

var stateWords = [stateCount]string{"off", "waiting", "connecting", "live", "slate", "away", "retrying", "refused"}

// String returns the word for the API, metrics and events.
func (s State) String() string { return stateWords[s] }

// States returns the words of all states.
func States() []string { return stateWords[:] }

// Origin says where a target comes from.
type Origin string

// The origins.
const (
	FromConfig Origin = "config" // streams[].push
	FromAPI    Origin = "api"
	FromHook   Origin = "hook" // the decision about the stream's publisher
	FromEdge   Origin = "edge" // the server is the edge of another one
)

// now returns what it does.
func (t *target) now() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// set changes the state.
func (t *target) set(s State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(s)
}

// change changes the state. mu is held.
func (t *target) change(s State) {
	if t.state != s {
		t.state, t.since = s, time.Now()
	}
	if s != Retrying && s != Refused {
		t.next = time.Time{}
	}
}

// begin notes that a session has begun. Events are told with mu held, so that they come in their order.
func (t *target) begin(f *stream.Follower, l *link) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(Live)
	t.sessions++
	t.live, t.before, t.follower, t.conn = time.Now(), t.sent, f, l.conn
	t.verdict, t.told, t.omitted = verdict{}, "", nil
	data := t.about()
	data["attempts"] = t.attempts
	t.log.Info("push is live", slog.String("url", t.address.String()))
	t.m.tell(event.PushStart, t.path, data)
	if _, here := t.stream.Publisher(); !here { // it has gone meanwhile
		t.turn(t.standIn())
	}
}

// away notes that the stream's publisher is gone and waited for, or that another one has come.
func (t *target) away(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case on && t.state == Live:
		t.turn(t.standIn())
	case !on && (t.state == Slated || t.state == Away):
		t.turn(Live)
	}
}

// isElsewhere reports whether it is the origin of this edge, which has the stream from another publisher.
func (t *target) isElsewhere() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.origin == FromEdge && t.state == Refused && t.verdict.reason == session.Takeover
}

// standIn is the state while the publisher is away.
func (t *target) standIn() State {
	if t.hasSlate() {
		return Slated
	}
	return Away
}

// sendsTo reports whether a server takes the stream at an address.
func (t *target) sendsTo(a *Address) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.follower != nil && t.address.URL == a.URL && t.address.Name == a.Name
}

// turn changes and tells what the server is sent. mu is held.
func (t *target) turn(s State) {
	t.change(s)
	data := t.about()
	data["state"] = s.String()
	t.log.Info("push: " + map[State]string{ //nolint:sloglint // one of three constants
		Live: "the publisher is back", Slated: "the publisher is away: the slate is sent", Away: "the publisher is away: nothing is sent",
	}[s])
	t.m.tell(event.PushState, t.path, data)
}

// ended notes that the session has ended, and why.
func (t *target) ended(f *stream.Follower, err error, a *Address) {
	skips := int64(f.Skips())
	v := judge(err, a)
	t.mu.Lock()
	defer t.mu.Unlock()
	took := time.Since(t.live)
	t.sent.skips += skips
	t.follower, t.conn, t.live = nil, nil, time.Time{}
	if took >= longestWait {
		t.attempts = 0
	}
	if _, said := errors.AsType[*rtmp.StatusError](err); said {
		t.m.held.free(t.place())
	} else if took >= quickTime {
		t.m.held.until(t.place(), time.Now())
	}
	data := t.about()
	data["reason"] = v.reason.String()
	data["duration"] = took.Round(time.Millisecond).Seconds()
	data["bytes_sent"] = t.sent.bytes - t.before.bytes
	data["frames"] = t.sent.frames - t.before.frames
	data["skips"] = t.sent.skips - t.before.skips
	t.log.Info("push has ended", slog.String("reason", v.reason.String()), slog.Duration("dur", took.Round(time.Millisecond)),
		slog.Any("sent", data["bytes_sent"]), slog.Any("frames", data["frames"]), slog.Any("skips", data["skips"]))
	t.m.tell(event.PushStop, t.path, data)
}

// failed is for Supervision: it tells of a failure, unless it was told last.
func (t *target) failed(_ error, again time.Duration) {
	t.mu.Lock()
	state := Retrying
	if t.verdict.refused {
		state = Refused
	}
	t.change(state)
	if again < never {
		t.next = time.Now().Add(again)
	}
	v := t.verdict
	repeated := t.told == v.text
	t.told = v.text
	data := t.about()
	data["state"], data["reason"], data["error"], data["attempts"] = state.String(), v.reason.String(), v.text, t.attempts
	if !t.next.IsZero() {
		data["next_try"] = t.next.UTC().Round(time.Millisecond)
	}
	attempts := t.attempts
	t.mu.Unlock()
	t.m.failed(t.service, v.reason)
	if repeated {
		return
	}
	attrs := []any{slog.String("reason", v.reason.String()), slog.String("err", v.text), slog.Int("attempts", attempts)}
	if again < never {
		attrs = append(attrs, slog.Duration("again", again.Round(100*time.Millisecond)))
	}
	if state == Refused {
		t.log.Warn("push is refused", attrs...)
	} else {
		t.log.Warn("push has failed and is tried again", attrs...)
	}
	t.m.tell(event.PushFailed, t.path, data)
	if _, here := t.stream.Publisher(); !here && t.isElsewhere() && t.m.opt.Elsewhere != nil {
		t.m.opt.Elsewhere(t.path)
	}
}

// about returns what every event says of the target. mu is held.
func (t *target) about() map[string]any {
	d := map[string]any{"target": t.Name, "service": t.service.name, "origin": string(t.origin)}
	if t.address != nil {
		d["url"] = t.address.String()
	}
	return d
}

// leftOut notes that a track is not sent, and why.
func (t *target) leftOut(what string) {
	t.mu.Lock()
	t.omitted = append(t.omitted, what)
	t.mu.Unlock()
	t.log.Warn("push leaves a track out", slog.String("what", what))
}

// Status is what is known of a target.
type Status struct {
	Stream   string
	Config   Config // with its secrets
	Origin   Origin
	URL      string // without what may be secret
	State    State
	Since    time.Time // of the state
	Reason   session.Reason
	Error    string // the newest failure; empty once the target is live
	Attempts int    // that failed, in a row
	NextTry  time.Time
	Sessions int
	Bytes    int64
	Frames   int64
	Skips    int64
	Lag      time.Duration
	Stalled  time.Duration // for how long the server has taken nothing of what waits; 0 while it takes what comes
	LeftOut  []string
	Notes    []Note
}

// Status returns what is known of the target.
func (t *target) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Status{
		Stream: t.path, Config: t.Config, Origin: t.origin, State: t.state, Since: t.since,
		Reason: t.verdict.reason, Error: t.verdict.text, Attempts: t.attempts, NextTry: t.next, Sessions: t.sessions,
		Bytes: t.sent.bytes, Frames: t.sent.frames, Skips: t.sent.skips, LeftOut: append([]string(nil), t.omitted...),
	}
	if t.address != nil {
		s.URL = t.address.String()
	} else {
		s.URL = shown(&t.Config, t.path)
	}
	if f := t.follower; f != nil {
		st := f.Stats()
		s.Lag, s.Skips = st.Lag, s.Skips+st.Skips
	}
	if t.conn != nil {
		s.Stalled = t.conn.stuck()
	}
	if t.state != Off {
		s.Notes = notes(t.service, t.stream)
		if t.slate != "" {
			s.Notes = append(s.Notes, Note{Sentence: t.slate, Setting: "Make the slate with the encoder and the settings of the stream."})
		}
	}
	return s
}

// shown is the URL of an entry for people.
func shown(c *Config, path string) string {
	if a, err := c.address(vars{path: path}); err == nil {
		return a.String()
	}
	return ""
}

func hostOfURL(url string) string {
	_, authority, _, err := split(url)
	if err != nil {
		return ""
	}
	return hostOf(authority)
}
